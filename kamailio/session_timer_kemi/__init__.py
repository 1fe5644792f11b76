"""Session timers (RFC 4028) in Kamailio's KEMI routing: the verbs that a Python script calls.

    from . import SessionTimers

Without the library `session_timer` beside it, the verbs let every message pass as if we were not there.
Outside Kamailio there are no verbs: only `python3 -m session_timer_kemi.check FILE`.
"""

from __future__ import annotations

from .tick import every_second

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

__all__ = ["SessionTimers", "every_second"]
