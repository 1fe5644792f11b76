"""Session timers for a native kamailio.cfg: what session-timer-native.cfg runs with python_exec().

A method that returns below zero makes python_exec() false, and $rc says which number it was.
"""

import os

from session_timer_kemi import SessionTimers

CONFIG = os.environ.get("SESSION_TIMER_CONFIG", "/etc/kamailio/session-timer.yaml")

GO_ON = 1
ANSWERED = -2
"""-1 is what python_exec() itself returns where it fails: then the message goes on."""
AGAIN = 2


class Routes:
    """Kamailio makes one of these in every process and calls its methods by name."""

    def __init__(self) -> None:
        self.timers = SessionTimers(CONFIG)

    def child_init(self, rank: int) -> int:
        """Kamailio: a process has started."""
        return 0

    def on_request(self, msg: object) -> int:
        """ANSWERED: nothing is left to do."""
        return ANSWERED if self.timers.on_request() else GO_ON

    def on_branch(self, msg: object) -> int:
        self.timers.on_branch()
        return GO_ON

    def on_any_reply(self, msg: object) -> int:
        """ANSWERED: the response is to be dropped."""
        return ANSWERED if self.timers.on_any_reply() else GO_ON

    def on_reply(self, msg: object) -> int:
        self.timers.on_reply()
        return GO_ON

    def on_failure(self, msg: object) -> int:
        """AGAIN: the request is to be sent once more. ANSWERED: nothing is left to do."""
        match self.timers.after_failure():
            case "again":
                return AGAIN
            case "answered":
                return ANSWERED
        return GO_ON

    def on_unroutable(self, msg: object) -> int:
        self.timers.on_unroutable()
        return GO_ON

    def on_http(self, msg: object) -> int:
        self.timers.on_http()
        return GO_ON

    def on_tick(self, msg: object) -> int:
        self.timers.on_tick()
        return GO_ON

    def on_expired(self, msg: object) -> int:
        self.timers.on_expired()
        return GO_ON


def mod_init() -> Routes:
    """Kamailio: the script is loaded. The object that is returned has the methods."""
    return Routes()
