"""The verbs a routing script calls, one for each of Kamailio's routes.

A message's way: `on_request` may answer it (400, 422); `on_branch` puts on it what its receiver is to
see and remembers the rest with the transaction; `on_reply` completes the 2xx and writes the record;
`on_failure` sends once more after a 422. Every verb is guarded: if our code fails, the message is routed
as if we were not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from . import ksr, last_good, tm_settings
from .memory.records import LearnedMinSE, Records, clock_id
from .peers import Directory
from .routes.door import Door
from .routes.expired_records import ExpiredRecords
from .routes.failures import Failures, Next
from .routes.requests import Requests
from .routes.responses import Responses
from .routes.trust import Trust
from .this_edge import ThisEdge

_Result = TypeVar("_Result")


class SessionTimers:
    """The session timers of this edge; every process of Kamailio has one of its own."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the configuration at `path`; `clock` delivers monotonic seconds.

        A broken configuration ends Kamailio's start with its problems in the log; on a reload the one
        before stays in force.
        """
        settings = last_good.load(path)
        config = settings.config
        self._edge = ThisEdge(
            config=config,
            key=settings.key,
            directory=Directory(config),
            records=Records(),
            learned=LearnedMinSE(config.edge.learned_min_se),
            clock=clock,
            clock_id=clock_id(),
        )
        self._trust = Trust(self._edge)
        self._requests = Requests(self._edge)
        self._responses = Responses(self._edge)
        self._failures = Failures(self._edge)
        self._expired_records = ExpiredRecords(self._edge)
        self._door = Door(self._edge)
        self._has_ticked = False

    def on_request(self) -> bool:
        """Call it in the request route, before anything is relayed.

        True: nothing is left to do, the request has been answered (or dropped, if it is an ACK).
        """
        return self._guarded(self._trust.request, otherwise=False) or self._guarded(
            self._requests.request, otherwise=False
        )

    def on_branch(self) -> None:
        """Call it in the branch route of every INVITE and UPDATE."""
        self._guarded(self._requests.branch, otherwise=None)

    def on_any_reply(self) -> bool:
        """Call it in the core's reply route. Removes our internal header from every response.

        True: the response is to be dropped. In a KEMI script that has been done.
        """
        return self._guarded(self._any_reply, otherwise=False)

    def on_reply(self) -> None:
        """Call it in the onreply route of every INVITE, UPDATE and BYE."""
        self._guarded(self._responses.reply, otherwise=None)

    def on_failure(self) -> bool:
        """Call it in the failure route of every INVITE, UPDATE and BYE, before any failover.

        True: relay the request once more, by the same routes, and return.
        """
        return self.after_failure() is Next.AGAIN

    def after_failure(self) -> Next:
        """As `on_failure`, for a script that also wants to know whether the request has been answered."""
        return self._guarded(self._failures.failure, otherwise=Next.GO_ON)

    def on_unroutable(self) -> None:
        """Call it where a request could not be relayed, before the script answers it."""
        self._guarded(self._failures.unroutable, otherwise=None)

    def on_tick(self) -> None:
        """Call it about every second, in one process."""
        self._guarded(self._tick, otherwise=None)

    def on_expired(self) -> None:
        """Call it in htable's event for an entry of the table ``session_timer`` whose lifetime is over."""
        self._guarded(self._expired_records.expired, otherwise=None)

    def on_http(self) -> None:
        """Call it in xhttp's event. Answers the companion, and 404 to everybody else."""
        self._guarded(self._door.open, otherwise=None)

    def _guarded(self, verb: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return verb()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the call goes on
            self._report(fault)
            return otherwise

    def _report(self, fault: Exception) -> None:
        # What has failed may be what is needed to log it; not even that may stop the call.
        with suppress(Exception):
            ksr.count("session_timer_faults")
        call = "whose Call-ID cannot be read"
        with suppress(Exception):
            call = ksr.pv("$ci")
        with suppress(Exception):
            ksr.error(f"session timer: fault in our code, the call {call} goes on without us: {fault!r}")

    def _any_reply(self) -> bool:
        text = ksr.message_text()
        if self._trust.response(text):
            return True
        self._responses.stray(text)
        return False

    def _tick(self) -> None:
        now, clock = self._edge.now()
        self._edge.records.publish_clock(clock, now)
        if not self._has_ticked:
            self._has_ticked = True
            tm_settings.warn_of_lost_responses()
        self._requests.for_native.publish_enough()
