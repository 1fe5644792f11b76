"""The route that Kamailio's rtimer calls every second, for a script to take over as it is."""

from __future__ import annotations

from typing import Protocol


class _Timers(Protocol):
    def on_tick(self) -> None: ...


class _Routes(Protocol):
    timers: _Timers


def every_second(routes: _Routes, msg: object, evname: str) -> int:  # noqa: ARG001 - Kamailio's signature
    """A method for the script's class, whose `timers` are the `SessionTimers`."""
    routes.timers.on_tick()
    return 1
