"""Does what calls have to do when their time has come, and follows their refreshes to the outcome.

Calls whose time comes together are served together: what is sent to Asterisk and what is asked of an edge
goes out in one go. What may lead to a refresh is paced; what follows one that is under way is not.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from session_timer import session
from session_timer.session import Ask, Expire, Method, Send
from session_timer.session.transitions import State

from session_timer_companion.api import RefreshOutcome
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.control.operator import Holds
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import Found, RecordReply
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.evidence import Evidence
from session_timer_companion.timers.expiry import Expiry, HangUpRules
from session_timer_companion.timers.held_back import HeldBack
from session_timer_companion.timers.orders import Breaker
from session_timer_companion.timers.refresh import LearnedPeers, RefreshSender
from session_timer_companion.timers.scheduler import PacedQueue, Scheduler, batches
from session_timer_companion.timers.tracked_call import RETRY, PendingAction, TrackedCall

POLLS = (0.1, 0.2, 0.7, 1.0, 2.0, 4.0)
"""Seconds between two readings of the record after a refresh has left; the last one repeats."""

OVERDUE_SPREAD = 10.0
"""Seconds over which calls of unknown age are refreshed after a start without edge."""

STANDBY_LOOK = 3.0
"""Seconds between two looks at a call that is due, while another companion leads."""

_OPEN = (State.REFRESHING, State.PROBING, State.ASKING)
"""A refresh may be under way: what follows is not paced."""

_Thing = TypeVar("_Thing")


class TimerDriver:
    """Carries out what sessions want done, and tells them what came of it."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        channels: AsteriskChannels,
        *,
        asterisk: str,
        pace: float,
        learn_peers: bool,
        rules: HangUpRules,
        edges: EdgePool,
        metrics: Metrics,
        log: CallLog,
        look_at: Callable[[str], None],
        ready: Callable[[], bool],
        holds: Holds,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`look_at` finds out, later, what became of a channel; `ready`: what is tracked is what there is.

        `pace` is how many refreshes a second may be sent.
        """
        self.leading = True
        """This companion refreshes and hangs up; else it stands by and only follows what happens."""
        self.scheduler = Scheduler(self._woken, self._fault)
        self._tasks = BackgroundTasks(self._fault)
        self.learned = learned = LearnedPeers(enabled=learn_peers)
        self.sender = RefreshSender(
            channels,
            breaker=Breaker(asterisk, metrics, log),
            learned=learned,
            metrics=metrics,
            log=log,
            look_at=look_at,
            may_send=lambda tracked: self.leading and not holds.why(tracked.key),
            is_down=edges.is_down,
            spawn=self._tasks.spawn,
        )
        self.evidence = Evidence(
            learned=learned, metrics=metrics, log=log, chance=chance, moved=self.reschedule
        )
        self._expiry = Expiry(
            channels,
            rules,
            records=self.records,
            evidence=self.evidence,
            metrics=metrics,
            log=log,
            look_at=look_at,
            ready=lambda: self.leading and ready(),
            holds=holds,
        )
        self.held_back = HeldBack(self.sender.held, is_down=edges.is_down, schedule=self.schedule)
        self.holds = holds
        self._in_step = False
        self._queue = PacedQueue(pace)
        self._pump_timer: asyncio.TimerHandle | None = None
        self._paused = True
        self._edges = edges
        self._metrics = metrics
        self.log = log
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time

    async def aclose(self) -> None:
        """Stop: nothing more is sent."""
        self.pause()
        await self._tasks.aclose()

    def pause(self) -> None:
        """Do nothing until `resume`; nothing is forgotten."""
        self._in_step = False
        self.hold()

    def resume(self) -> None:
        """Go on, first with what has become due meanwhile; not while an operator holds everything back."""
        self._in_step = True
        self.let_go()

    def hold(self) -> None:
        """An operator holds everything back: do nothing until `let_go`."""
        self._paused = True
        self.scheduler.pause()

    def let_go(self) -> None:
        """Go on where neither an operator nor `pause` stands against it."""
        if self.holds.paused or not self._in_step:
            return
        self._paused = False
        self.scheduler.resume()
        self._pump()

    @property
    def waiting(self) -> int:
        """Calls that are due and wait for their turn."""
        return len(self._queue)

    @property
    def held(self) -> int:
        """Calls whose refresh is held back because their edge is down."""
        return len(self.held_back)

    def begin(self, tracked: TrackedCall, reply: RecordReply | None) -> None:
        """Start a call's timer from its record; None: it was answered this moment."""
        now = self._now()
        since_known = reply is None
        if isinstance(reply, Found):
            since_known = tracked.take_up(reply, now)
        else:
            tracked.since = now
        tracked.active = None
        begun = tracked.current_session()
        if not since_known and begun.state is State.OURS:
            # Nobody can say how much of the interval is left: a refresh soon makes it known.
            tracked.active = begun = replace(begun, wake=now + tracked.spread * OVERDUE_SPREAD)
        self.scheduler.put(tracked, begun.wake)
        agreed = begun.dialog.agreement
        # Calls that are found at a start come by the thousand and are logged together.
        log = self.log.info if reply is None else self.log.debug
        log(
            "armed",
            call=tracked,
            channel=tracked.channel,
            interval=agreed.interval if agreed else 0,
            refresher=str(agreed.refresher) if agreed else "none",
            due_in=None if begun.wake is None else round(begun.wake - now, 1),
        )

    def changed(self, tracked: TrackedCall, found: Found) -> None:
        """This record was read without asking for it; take what is new in it."""
        self.evidence.apply_refresh(tracked, found)

    def drop(self, tracked: TrackedCall) -> None:
        """The call is no longer tracked: nothing is sent for it any more."""
        tracked.gone = True
        self.scheduler.put(tracked, None)
        self._queue.forget(tracked)
        self.sender.forget(tracked)
        self._expiry.forget(tracked)
        if tracked.attempt is not None and tracked.attempt.reported is not None:
            self.evidence.close_attempt(tracked, RefreshOutcome.UNKNOWN, "the call has ended")

    def count_not_sent(self, tracked: TrackedCall, method: Method) -> None:
        """A refresh that an operator asked for could not be sent."""
        self._metrics.ended(tracked.peer, method, RefreshOutcome.NOT_SENT)

    def shift(self, tracked_calls: Sequence[TrackedCall], seconds: float) -> None:
        """Our host has stood still for so long: these calls are older by that than we thought."""
        for tracked in tracked_calls:
            tracked.shift(seconds)
            self.reschedule(tracked)

    # Calls whose time has come

    def _woken(self, tracked_calls: list[TrackedCall], lag: float) -> None:
        now = self._now()
        at_once: list[TrackedCall] = []
        polls: list[TrackedCall] = []
        for tracked in tracked_calls:
            self._metrics.lag.observe(lag)
            if not self._may_serve(tracked):
                continue
            standing = tracked.current_session()
            polled = tracked.attempt is not None and (standing.wake is None or now < standing.wake)
            if self.leading and polled:
                polls.append(tracked)
            elif self.leading and standing.state in _OPEN and standing.sent is not None:
                at_once.append(tracked)
            else:
                self._queue.add(tracked, math.inf if standing.expires is None else standing.expires)
        self._due(at_once, polls)
        self._pump()

    def _pump(self) -> None:
        """Let go of those that wait for their turn, as many as the pace allows now."""
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        if self._paused:
            return
        now = self._now()
        taken = [tracked for tracked in self._queue.take(now) if self._may_serve(tracked)]
        if self.leading:
            self._due(taken, [])
        else:
            for some in batches(taken):
                self._tasks.spawn(self._stand_by(some))
        wait = self._queue.wait()
        if wait is not None:
            self._pump_timer = self._loop.call_later(max(wait, 0.005), self._pump)

    def _due(self, tracked_calls: list[TrackedCall], polls: list[TrackedCall]) -> None:
        now = self._now()
        due: list[PendingAction] = []
        for tracked in tracked_calls:
            standing = tracked.current_session()
            tracked.active, action = session.due(standing, now)
            if action is None:
                self.schedule(tracked)
            else:
                due.append(PendingAction(tracked, standing, action))
        for some in batches(due):
            self._tasks.spawn(self._serve(some, []))
        for few in batches(polls):
            self._tasks.spawn(self._serve([], few))

    async def _stand_by(self, tracked_calls: list[TrackedCall]) -> None:
        """Another companion refreshes these: follow what their records show."""
        for tracked in tracked_calls:
            tracked.busy = True
        try:
            replies = await self.records(tracked_calls)
            for tracked, reply in zip(tracked_calls, replies, strict=True):
                before = tracked.since
                if isinstance(reply, Found):
                    self.evidence.apply_refresh(tracked, reply)
                if tracked.since == before:
                    # A refresh of ours that is under way from before is the other one's to follow, too.
                    self.evidence.close_attempt(tracked, RefreshOutcome.UNKNOWN, "another companion leads")
                    tracked.active = None
                    standing = tracked.current_session()
                    tracked.active = replace(standing, wake=self._now() + STANDBY_LOOK)
        finally:
            for tracked in tracked_calls:
                tracked.busy = False
                self.reschedule(tracked)

    async def _serve(self, due: list[PendingAction], polls: list[TrackedCall]) -> None:
        """Do what is due, and what follows from it, until all of them have only to wait."""
        tracked_calls = [*(each.tracked for each in due), *polls]
        for tracked in tracked_calls:
            tracked.busy = True
        try:
            while due or polls:
                sends = await self._still_due([each for each in due if isinstance(each.action, Send)])
                await self.sender.together(sends)
                if late := [each.tracked for each in sends if each.may_be_the_last]:
                    self._tasks.spawn(self._expiry.count_media(late))
                if ends := [(each, each.action) for each in due if isinstance(each.action, Expire)]:
                    await self._expiry.together(ends)
                asks = [each.tracked for each in due if isinstance(each.action, Ask)]
                due = await self._read(asks, polls)
                polls = []
        except Exception:  # calls must not die of our faults
            for each in due:
                if isinstance(each.action, Send) and each.tracked.attempt is None:
                    each.take_back(self._now() + RETRY)
            for tracked in tracked_calls:
                standing = tracked.current_session()
                if standing.wake is not None:  # else it is off or over, and nothing makes it due
                    tracked.active = replace(standing, wake=self._now() + RETRY)
            self._metrics.faults.inc()
            self.log.exception("internal_error", calls=len(tracked_calls))
        finally:
            for tracked in tracked_calls:
                tracked.busy = False
                self.reschedule(tracked)

    async def _still_due(self, sends: list[PendingAction]) -> list[PendingAction]:
        """Those of `sends` whose record shows no refresh since: a hold of a moment ago is one too.

        The look also shows whether the edge is there at this moment, and which peer a call is with. Asterisk
        would end each call whose refresh went into an edge that has just died.
        """
        unread = [each.tracked for each in sends if each.before.state not in _OPEN and _replies(each.tracked)]
        for tracked, reply in zip(unread, await self.records(unread), strict=True):
            if isinstance(reply, Found):
                tracked.note_peer(reply.record)
                self.evidence.apply_refresh(tracked, reply)
        sent = [(each, each.tracked.active) for each in sends]
        return [each for each, active in sent if active is not None and active.sent is not None]

    def reschedule(self, tracked: TrackedCall) -> None:
        """This call has something else to wait for, or nothing."""
        if not tracked.busy and not tracked.gone:
            self.schedule(tracked)

    def _may_serve(self, tracked: TrackedCall) -> bool:
        return not tracked.busy and not tracked.gone and tracked.key not in self.holds.excluded

    def schedule(self, tracked: TrackedCall) -> None:
        """Wake this call when its session wants it, or earlier to read what came of its refresh."""
        if tracked.key in self.holds.excluded:
            self.scheduler.put(tracked, None)
            return
        wake = tracked.current_session().wake
        attempt = tracked.attempt
        if attempt is not None and tracked.edge is not None and not attempt.judged:
            poll = self._now() + POLLS[min(attempt.polls, len(POLLS) - 1)]
            wake = poll if wake is None else min(wake, poll)
        self.scheduler.put(tracked, wake)

    async def _read(self, asks: list[TrackedCall], polls: list[TrackedCall]) -> list[PendingAction]:
        """Read records: a verdict for those that ask, news for those whose refresh is under way."""
        replies = await self.records([*asks, *polls])
        due: list[PendingAction] = []
        evidence = self.evidence
        for index, (tracked, reply) in enumerate(zip([*asks, *polls], replies, strict=True)):
            if tracked.gone:
                continue
            before = tracked.current_session()
            asked = before.state is State.ASKING
            attempt = tracked.attempt
            # A call that asked once is read again at each poll: one line at level warning is enough.
            log = self.log.warning if index < len(asks) else self.log.debug
            action = evidence.decide(tracked, reply, log) if asked else evidence.apply_record(tracked, reply)
            if action is not None:
                due.append(PendingAction(tracked, before, action))
                if isinstance(action, Expire):
                    # It is over once it is ended: a refresh that is seen until then counts.
                    tracked.active = before
            elif not asked and attempt is not None and attempt is tracked.attempt:
                attempt.polls += 1
        return due

    async def records(self, tracked_calls: list[TrackedCall]) -> list[RecordReply]:
        """The record of each, asked from the edge that has it."""
        return await self._edges.each([(tracked.edge, tracked.key) for tracked in tracked_calls])

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self.log.error("internal_error", exc_info=error)


def _replies(tracked: TrackedCall) -> bool:
    """Whether this call has an edge that is not known to be away."""
    return tracked.edge is not None and tracked.edge.up is not False
