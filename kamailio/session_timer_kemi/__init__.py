"""Session timers (RFC 4028) in Kamailio's KEMI routing: the verbs that a Python script calls.

    from . import SessionTimers

Without the library `session_timer` beside it, the verbs let every message pass as if we were not there.
Outside Kamailio there are no verbs: only `python3 -m session_timer_kemi.check FILE`.
"""

from __future__ import annotations

from typing import Protocol

try:
    import KSR  # noqa: F401 - Kamailio's own, nowhere else
except ModuleNotFoundError:
    pass
else:
    try:
        from .session_timers import SessionTimers
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("session_timer"):
            raise
        from .absent import SessionTimers  # type: ignore[assignment]

__all__ = ["SessionTimers", "every_http_request", "every_second"]


class _Timers(Protocol):
    def on_tick(self) -> None: ...
    def on_http(self) -> None: ...


class _Routes(Protocol):
    timers: _Timers


def every_second(routes: _Routes, msg: object, evname: str) -> int:  # noqa: ARG001 - Kamailio's signature
    """The route that Kamailio's rtimer calls every second.

    A method for the script's class, whose `timers` are the `SessionTimers`.
    """
    routes.timers.on_tick()
    return 1


def every_http_request(routes: _Routes, msg: object, evname: str) -> int:  # noqa: ARG001
    """The route that Kamailio's xhttp calls for a request by HTTP.

    A method for the script's class, whose `timers` are the `SessionTimers`. A script that serves other paths
    has a route of its own and calls `on_http` for the path ``/session-timer``.
    """
    routes.timers.on_http()
    return 1
