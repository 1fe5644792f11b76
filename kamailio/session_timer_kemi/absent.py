"""The verbs without the protocol library: calls go on, and one line says why nothing else happens."""

from __future__ import annotations

from . import ksr


class SessionTimers:
    """Lets every message pass."""

    def __init__(self, path: str) -> None:
        ksr.error(
            f"session timers are off: the Python package session_timer was not found, so {path} is not used. "
            "Put pylib/session_timer beside the script or into PYTHONPATH and restart Kamailio"
        )

    def on_request(self) -> bool:
        return False

    def on_branch(self) -> None:
        pass

    def on_any_reply(self) -> bool:
        return False

    def on_reply(self) -> None:
        pass

    def on_failure(self) -> bool:
        return False

    def after_failure(self) -> str:
        return "go on"

    def on_tick(self) -> None:
        pass

    def on_expired(self) -> None:
        pass

    def on_unroutable(self) -> None:
        pass

    def on_http(self) -> None:
        pass
