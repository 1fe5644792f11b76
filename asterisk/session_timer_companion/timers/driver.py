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
from session_timer_companion.edge.client import Answer, Edge, Found
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import Edges
from session_timer_companion.metrics import Measures
from session_timer_companion.timers import expiry, forms, refresh
from session_timer_companion.timers.due import RETRY, Due
from session_timer_companion.timers.evidence import Verdicts
from session_timer_companion.timers.expiry import Expiry
from session_timer_companion.timers.refresh import Sending
from session_timer_companion.timers.scheduler import Agenda
from session_timer_companion.timers.shared_dialogs import SharedDialogs
from session_timer_companion.timers.tracked_call import Watch

POLLS = (0.1, 0.2, 0.7, 1.0, 2.0, 4.0)
"""Seconds between two readings of the record after a refresh has left; the last one repeats."""

TOGETHER = 64
"""Calls that are served together at most."""

OVERDUE_SPREAD = 10.0
"""Seconds over which calls of unknown age are refreshed after a start without edge."""

_Thing = TypeVar("_Thing")


class Asterisk(refresh.Asterisk, expiry.Asterisk, Protocol):
    """What a turn needs of Asterisk."""


class Turns:
    """Does what sessions want done, and tells them what came of it."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        asterisk: Asterisk,
        *,
        edges: Edges,
        clocks: Clocks,
        dialogs: SharedDialogs,
        measures: Measures,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.agenda = Agenda(self._woken)
        self.sending = Sending(asterisk, measures, log)
        self.verdicts = Verdicts(
            clocks=clocks, dialogs=dialogs, measures=measures, log=log, chance=chance, moved=self._moved
        )
        self._expiry = Expiry(
            asterisk, records=self._records, verdicts=self.verdicts, measures=measures, log=log
        )
        self._edges = edges
        self._clocks = clocks
        self._dialogs = dialogs
        self._measures = measures
        self._log = log
        self._now = asyncio.get_running_loop().time
        self._tasks = BackgroundTasks(self._fault)

    async def aclose(self) -> None:
        """Stop: nothing more is sent."""
        self.agenda.pause()
        await self._tasks.aclose()

    def begin(self, watch: Watch, answer: Answer | None) -> None:
        """Start a call's timer from its record; None: it was answered this moment."""
        now = self._now()
        since: float | None = now if answer is None else None
        if isinstance(answer, Found):
            record = answer.record
            at = self._clocks.ours(record.clock, record.at)
            since = None if at is None else min(now, at)
            watch.refreshes = record.refreshes
            watch.failure_at = record.failure.at if record.failure else None
            watch.dialog = self._dialogs.one(record.dialog)
        watch.since = now if since is None else since
        watch.active = None
        begun = watch.session
        if since is None and begun.state is State.OURS:
            # Nobody can say how much of the interval is left: a refresh soon makes it known.
            watch.active = begun = replace(begun, wake=now + watch.spread * OVERDUE_SPREAD)
        self.agenda.put(watch, begun.wake)
        agreed = begun.dialog.agreement
        # Calls that are found at a start come by the thousand and are told of together.
        tell = self._log.info if answer is None else self._log.debug
        tell(
            "armed",
            call_id=watch.call_id,
            channel=watch.channel,
            interval=agreed.interval if agreed else 0,
            refresher=str(agreed.refresher) if agreed else "none",
            due_in=None if begun.wake is None else round(begun.wake - now, 1),
        )

    def changed(self, watch: Watch, record: Record) -> None:
        """This record was read without asking for it; take what is new in it."""
        self.verdicts.take_news(watch, record)

    async def record(self, watch: Watch) -> Answer:
        """The record of one call, asked now."""
        return (await self._records([watch]))[0]

    # Whose turn it is

    def _woken(self, watches: list[Watch], lag: float) -> None:
        now = self._now()
        due: list[Due] = []
        polls: list[Watch] = []
        for watch in watches:
            self._measures.lag.observe(lag)
            if watch.busy or watch.gone:
                continue
            standing = watch.session
            if watch.attempt is not None and (standing.wake is None or now < standing.wake):
                polls.append(watch)
                continue
            watch.active, action = session.due(standing, now)
            if action is None:
                self._schedule(watch)
            else:
                due.append(Due(watch, standing, action))
        for some in _some(due):
            self._tasks.spawn(self._serve(some, []))
        for few in _some(polls):
            self._tasks.spawn(self._serve([], few))

    async def _serve(self, due: list[Due], polls: list[Watch]) -> None:
        """Do what is due, and what follows from it, until all of them have only to wait."""
        watches = [*(each.watch for each in due), *polls]
        for watch in watches:
            watch.busy = True
        try:
            while due or polls:
                await self.sending.together([each for each in due if isinstance(each.action, Send)])
                await self._expiry.together([each for each in due if isinstance(each.action, Expire)])
                asks = [each.watch for each in due if isinstance(each.action, Ask)]
                due = await self._read(asks, polls)
                polls = []
        except Exception:  # noqa: BLE001  # calls must not die of our faults
            for each in due:
                if isinstance(each.action, Send) and each.watch.attempt is None:
                    each.take_back(self._now() + RETRY)
            for watch in watches:
                standing = watch.session
                if standing.wake is not None:  # else it is off or over, and nothing makes it due
                    watch.active = replace(standing, wake=self._now() + RETRY)
            self._measures.faults.inc()
            self._log.exception("a fault of ours; these calls are tried again", calls=len(watches))
        finally:
            for watch in watches:
                watch.busy = False
                if not watch.gone:
                    self._schedule(watch)

    def _moved(self, watch: Watch) -> None:
        if not watch.busy:
            self._schedule(watch)

    def _schedule(self, watch: Watch) -> None:
        wake = watch.session.wake
        attempt = watch.attempt
        if attempt is not None and watch.edge is not None:
            now = self._now()
            poll = now + POLLS[min(attempt.polls, len(POLLS) - 1)]
            second = forms.second_due(watch, attempt)
            # One whose time went by is seen to at the next poll.
            times = (wake, poll, second if second is not None and second > now else None)
            wake = min(time for time in times if time is not None)
        self.agenda.put(watch, wake)

    async def _read(self, asks: list[Watch], polls: list[Watch]) -> list[Due]:
        """Read records: a verdict for those who ask, news for those whose refresh is under way."""
        answers = await self._records([*asks, *polls])
        due: list[Due] = []
        verdicts = self.verdicts
        for place, (watch, answer) in enumerate(zip([*asks, *polls], answers, strict=True)):
            if watch.gone:
                continue
            before = watch.session
            asked = before.state is State.ASKING
            attempt = watch.attempt
            # Who asked once is read again at each poll, and need not be told of each time.
            tell = self._log.warning if place < len(asks) else self._log.debug
            action = verdicts.judge(watch, answer, tell) if asked else verdicts.hear(watch, answer)
            if action is not None:
                due.append(Due(watch, before, action))
                if isinstance(action, Expire):
                    # It is over once it is ended: until then a refresh counts of which we hear.
                    watch.active = before
            elif not asked and attempt is not None and attempt is watch.attempt:
                attempt.polls += 1
                await self.sending.second_form(watch, attempt)
        return due

    async def _records(self, watches: list[Watch]) -> list[Answer]:
        """The record of each, asked from the edge that has it."""
        by_edge: dict[Edge | None, list[Watch]] = {}
        for watch in watches:
            by_edge.setdefault(watch.edge, []).append(watch)
        found = await asyncio.gather(
            *[self._edges.records(edge, [watch.key for watch in group]) for edge, group in by_edge.items()]
        )
        of = {
            id(watch): answer
            for group, answers in zip(by_edge.values(), found, strict=True)
            for watch, answer in zip(group, answers, strict=True)
        }
        return [of[id(watch)] for watch in watches]

    def _fault(self, error: BaseException) -> None:
        self._measures.faults.inc()
        self._log.error("a fault of ours", exc_info=error)


def _some(things: list[_Thing]) -> Iterator[list[_Thing]]:
    for start in range(0, len(things), TOGETHER):
        yield things[start : start + TOGETHER]
