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

from . import ksr, last_good
from .memory.records import LearnedMinSE, Records, clock_id
from .peers import Directory
from .routes.expired_records import ExpiredRecords
from .routes.requests import Requests
from .routes.responses import Responses
from .routes.retry_422 import Failures
from .this_edge import ThisEdge

_Result = TypeVar("_Result")


class SessionTimers:
    """The session timers of this edge; every process of Kamailio has one of its own."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the configuration at `path`; `clock` delivers monotonic seconds.

        A broken configuration ends Kamailio's start with its problems in the log; on a reload the one
        before stays in force.
        """
        config = last_good.load(path)
        self._edge = ThisEdge(
            config=config,
            directory=Directory(config),
            records=Records(),
            learned=LearnedMinSE(config.edge.learned_min_se),
            clock=clock,
            clock_id=clock_id(),
        )
        self._requests = Requests(self._edge)
        self._responses = Responses(self._edge)
        self._failures = Failures(self._edge)
        self._expired_records = ExpiredRecords(self._edge)

    def on_request(self) -> bool:
        """In the request route, before anything is relayed. True: the request has been answered."""
        return self._guarded(self._request, otherwise=False)

    def on_branch(self) -> None:
        """In the branch route of every INVITE and UPDATE."""
        self._guarded(self._requests.branch, otherwise=None)

    def on_any_reply(self) -> None:
        """In the core's reply route. Removes our internal header from every response."""
        self._guarded(self._strip, otherwise=None)

    def on_reply(self) -> None:
        """In the onreply route of every INVITE and UPDATE."""
        self._guarded(self._responses.reply, otherwise=None)

    def on_failure(self) -> bool:
        """In the failure route of every INVITE and UPDATE. True: relay it once more, by the same routes."""
        return self._guarded(self._failures.failure, otherwise=False)

    def on_tick(self) -> None:
        """About every second, in one process."""
        self._guarded(self._tick, otherwise=None)

    def on_expired(self) -> None:
        """In htable's event for an entry of the table ``session_timer`` whose lifetime is over."""
        self._guarded(self._expired_records.expired, otherwise=None)

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

    def _request(self) -> bool:
        self._strip()
        return self._requests.request()

    def _strip(self) -> None:
        # In the text itself: an answer with one row that Kamailio cannot parse has no headers for it, yet is
        # relayed as it came.
        header = self._edge.config.edge.header
        text = ksr.pv("$mb")
        if text and header.lower() not in text.lower():
            return
        # A row may hide behind a lone CR: part of a value to Kamailio, the end of a row to Asterisk's parser.
        hidden = text.count("\r") != text.count("\r\n")
        if hidden or not ksr.remove(header):
            ksr.disarm(header)

    def _tick(self) -> None:
        now, clock = self._edge.now()
        self._edge.records.publish_clock(clock, now)
