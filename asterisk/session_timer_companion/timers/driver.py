"""A call's turn: its time has come, or its refresh wants to be confirmed.

Calls whose turn comes together are served together: what is sent to Asterisk and what is asked of an edge
goes out in one go.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog
from session_timer import Record, session
from session_timer.session import Ask, Expire, Send, State

from session_timer_companion.background import BackgroundTasks
from session_timer_companion.edge.client import EdgeClient, Found, RecordReply
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers import expiry, forms, refresh
from session_timer_companion.timers.due import RETRY, PendingAction
from session_timer_companion.timers.evidence import Evidence
from session_timer_companion.timers.expiry import Expiry
from session_timer_companion.timers.refresh import RefreshSender
from session_timer_companion.timers.scheduler import Scheduler
from session_timer_companion.timers.shared_dialogs import SharedDialogs
from session_timer_companion.timers.tracked_call import TrackedCall

POLLS = (0.1, 0.2, 0.7, 1.0, 2.0, 4.0)
"""Seconds between two readings of the record after a refresh has left; the last one repeats."""

TOGETHER = 64
"""Calls that are served together at most."""

OVERDUE_SPREAD = 10.0
"""Seconds over which calls of unknown age are refreshed after a start without edge."""

_Thing = TypeVar("_Thing")


class Asterisk(refresh.Asterisk, expiry.Asterisk, Protocol):
    """What a turn needs of Asterisk."""


class TimerDriver:
    """Does what sessions want done, and tells them what came of it."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        asterisk: Asterisk,
        *,
        edges: EdgePool,
        clocks: Clocks,
        dialogs: SharedDialogs,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.scheduler = Scheduler(self._woken)
        self.sender = RefreshSender(asterisk, metrics, log)
        self.evidence = Evidence(
            clocks=clocks, dialogs=dialogs, metrics=metrics, log=log, chance=chance, moved=self._moved
        )
        self._expiry = Expiry(
            asterisk, records=self._records, evidence=self.evidence, metrics=metrics, log=log
        )
        self._edges = edges
        self._clocks = clocks
        self._dialogs = dialogs
        self._metrics = metrics
        self._log = log
        self._now = asyncio.get_running_loop().time
        self._tasks = BackgroundTasks(self._fault)

    async def aclose(self) -> None:
        """Stop: nothing more is sent."""
        self.scheduler.pause()
        await self._tasks.aclose()

    def begin(self, tracked: TrackedCall, answer: RecordReply | None) -> None:
        """Start a call's timer from its record; None: it was answered this moment."""
        now = self._now()
        since: float | None = now if answer is None else None
        if isinstance(answer, Found):
            record = answer.record
            at = self._clocks.ours(record.clock, record.at)
            since = None if at is None else min(now, at)
            tracked.refreshes = record.refreshes
            tracked.failure_at = record.failure.at if record.failure else None
            tracked.dialog = self._dialogs.one(record.dialog)
        tracked.since = now if since is None else since
        tracked.active = None
        begun = tracked.session
        if since is None and begun.state is State.OURS:
            # Nobody can say how much of the interval is left: a refresh soon makes it known.
            tracked.active = begun = replace(begun, wake=now + tracked.spread * OVERDUE_SPREAD)
        self.scheduler.put(tracked, begun.wake)
        agreed = begun.dialog.agreement
        # Calls that are found at a start come by the thousand and are told of together.
        tell = self._log.info if answer is None else self._log.debug
        tell(
            "armed",
            call_id=tracked.call_id,
            channel=tracked.channel,
            interval=agreed.interval if agreed else 0,
            refresher=str(agreed.refresher) if agreed else "none",
            due_in=None if begun.wake is None else round(begun.wake - now, 1),
        )

    def changed(self, tracked: TrackedCall, record: Record) -> None:
        """This record was read without asking for it; take what is new in it."""
        self.evidence.apply_refresh(tracked, record)

    async def record(self, tracked: TrackedCall) -> RecordReply:
        """The record of one call, asked now."""
        return (await self._records([tracked]))[0]

    # Whose turn it is

    def _woken(self, tracked_calls: list[TrackedCall], lag: float) -> None:
        now = self._now()
        due: list[PendingAction] = []
        polls: list[TrackedCall] = []
        for tracked in tracked_calls:
            self._metrics.lag.observe(lag)
            if tracked.busy or tracked.gone:
                continue
            standing = tracked.session
            if tracked.attempt is not None and (standing.wake is None or now < standing.wake):
                polls.append(tracked)
                continue
            tracked.active, action = session.due(standing, now)
            if action is None:
                self._schedule(tracked)
            else:
                due.append(PendingAction(tracked, standing, action))
        for some in _some(due):
            self._tasks.spawn(self._serve(some, []))
        for few in _some(polls):
            self._tasks.spawn(self._serve([], few))

    async def _serve(self, due: list[PendingAction], polls: list[TrackedCall]) -> None:
        """Do what is due, and what follows from it, until all of them have only to wait."""
        tracked_calls = [*(each.tracked for each in due), *polls]
        for tracked in tracked_calls:
            tracked.busy = True
        try:
            while due or polls:
                await self.sender.together([each for each in due if isinstance(each.action, Send)])
                await self._expiry.together([each for each in due if isinstance(each.action, Expire)])
                asks = [each.tracked for each in due if isinstance(each.action, Ask)]
                due = await self._read(asks, polls)
                polls = []
        except Exception:  # noqa: BLE001  # calls must not die of our faults
            for each in due:
                if isinstance(each.action, Send) and each.tracked.attempt is None:
                    each.take_back(self._now() + RETRY)
            for tracked in tracked_calls:
                standing = tracked.session
                if standing.wake is not None:  # else it is off or over, and nothing makes it due
                    tracked.active = replace(standing, wake=self._now() + RETRY)
            self._metrics.faults.inc()
            self._log.exception("a fault of ours; these calls are tried again", calls=len(tracked_calls))
        finally:
            for tracked in tracked_calls:
                tracked.busy = False
                if not tracked.gone:
                    self._schedule(tracked)

    def _moved(self, tracked: TrackedCall) -> None:
        if not tracked.busy:
            self._schedule(tracked)

    def _schedule(self, tracked: TrackedCall) -> None:
        wake = tracked.session.wake
        attempt = tracked.attempt
        if attempt is not None and tracked.edge is not None:
            now = self._now()
            poll = now + POLLS[min(attempt.polls, len(POLLS) - 1)]
            second = forms.second_due(tracked, attempt)
            # One whose time went by is seen to at the next poll.
            times = (wake, poll, second if second is not None and second > now else None)
            wake = min(time for time in times if time is not None)
        self.scheduler.put(tracked, wake)

    async def _read(self, asks: list[TrackedCall], polls: list[TrackedCall]) -> list[PendingAction]:
        """Read records: a verdict for those who ask, news for those whose refresh is under way."""
        answers = await self._records([*asks, *polls])
        due: list[PendingAction] = []
        evidence = self.evidence
        for place, (tracked, answer) in enumerate(zip([*asks, *polls], answers, strict=True)):
            if tracked.gone:
                continue
            before = tracked.session
            asked = before.state is State.ASKING
            attempt = tracked.attempt
            # Who asked once is read again at each poll, and need not be told of each time.
            tell = self._log.warning if place < len(asks) else self._log.debug
            action = (
                evidence.decide(tracked, answer, tell) if asked else evidence.apply_record(tracked, answer)
            )
            if action is not None:
                due.append(PendingAction(tracked, before, action))
                if isinstance(action, Expire):
                    # It is over once it is ended: until then a refresh counts of which we hear.
                    tracked.active = before
            elif not asked and attempt is not None and attempt is tracked.attempt:
                attempt.polls += 1
                await self.sender.second_form(tracked, attempt)
        return due

    async def _records(self, tracked_calls: list[TrackedCall]) -> list[RecordReply]:
        """The record of each, asked from the edge that has it."""
        by_edge: dict[EdgeClient | None, list[TrackedCall]] = {}
        for tracked in tracked_calls:
            by_edge.setdefault(tracked.edge, []).append(tracked)
        found = await asyncio.gather(
            *[
                self._edges.records(edge, [tracked.key for tracked in group])
                for edge, group in by_edge.items()
            ]
        )
        of = {
            id(tracked): answer
            for group, answers in zip(by_edge.values(), found, strict=True)
            for tracked, answer in zip(group, answers, strict=True)
        }
        return [of[id(tracked)] for tracked in tracked_calls]

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self._log.error("a fault of ours", exc_info=error)


def _some(things: list[_Thing]) -> Iterator[list[_Thing]]:
    for start in range(0, len(things), TOGETHER):
        yield things[start : start + TOGETHER]
