"""A live peer that goes on by itself while a test sees to something else."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.lab.peers.refreshed_calls import HALF, INTERVAL, TIMER
from tests.lab.peers.user_agent import Call
from tests.lab.sip import SipMessage
from tests.lab.waiting import NotInTimeError, wait_until

THEIRS = f"Session-Expires: {INTERVAL};refresher=uac"


@dataclass(slots=True)
class LivePeer:
    """A live peer on a thread of its own: it answers each refresh, and refreshes where that is its part."""

    call: Call
    refreshes: bool = False
    refreshed: list[float] = field(default_factory=list)
    """When a refresh came, each of them answered; seconds of the machine's monotonic clock."""
    hung_up: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop answering."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(20)

    def is_refreshed(self, timeout: float) -> None:
        """Wait for the next refresh that it answers, or for the BYE that it should not get."""
        before = len(self.refreshed)
        wait_until(
            lambda: self.hung_up or len(self.refreshed) > before, timeout, f"a refresh of {self.call.call_id}"
        )
        assert not self.hung_up, self.call.call_id

    def _live(self) -> None:
        due = time.monotonic() + HALF
        while not self._over.is_set() and not self.hung_up:
            request = self._next(0.2)
            if request is not None and request.method == "BYE":
                self.call.answer(request, 200)
                self.hung_up = True
            elif request is not None:
                self.refreshed.append(time.monotonic())
                agree_without_waiting(self.call, request)
            if self.refreshes and time.monotonic() >= due:
                due = time.monotonic() + (HALF if self._refresh() else 1)

    def _next(self, timeout: float) -> SipMessage | None:
        try:
            got = self.call.agent.sockets.receive(
                lambda each: (
                    each.message is not None
                    and each.message.call_id == self.call.call_id
                    and each.own == self.call.agent.own
                    and each.message.is_request("UPDATE", "INVITE", "BYE")
                ),
                "a request",
                timeout,
            )
        except NotInTimeError:
            return None
        return got.message

    def _refresh(self) -> bool:
        number = self.call.send("UPDATE", TIMER, THEIRS)
        try:
            return self.call.final(number, 2).status == 200
        except NotInTimeError:
            return False


def agree_without_waiting(call: Call, request: SipMessage) -> None:
    """200 on the terms that a refresh names; its ACK may be lost in the fault."""
    call.accept(request, "Require: timer", f"Session-Expires: {request.header('Session-Expires')}", allow="")
