"""A call's turn: its time has come, or its refresh wants to be confirmed.

Two rules. What Asterisk was not made to send is no evidence that a peer is silent: then the session stays as
it was. And only the edge's record says that a refresh took place, or that none did.

Calls whose turn comes together are served together: what is sent to Asterisk and what is asked of an edge
goes out in one go.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import structlog
from session_timer import Agreement, DialogTimer, Record, Side, record, session
from session_timer.answers import OWN_WAIT
from session_timer.session import Ask, Expire, Method, Send, Session, State

from session_timer_companion import forms, refreshing
from session_timer_companion.agenda import Agenda
from session_timer_companion.ami import AmiError, AmiMessage, AmiRefused
from session_timer_companion.calls import Media
from session_timer_companion.clocks import Clocks
from session_timer_companion.edge import Answer, Edge, Found, Missing
from session_timer_companion.edges import Copy, Edges
from session_timer_companion.measures import Measures, Outcome
from session_timer_companion.refreshing import CannotRefresh
from session_timer_companion.watch import Attempt, Refreshed, Refused, Watch, news

POLLS = (0.1, 0.2, 0.7, 1.0, 2.0, 4.0)
"""Seconds between two readings of the record after a refresh has left; the last one repeats."""

RETRY = 1.0
"""Seconds before a refresh or a hang-up is tried again that Asterisk could not be told of."""

TOGETHER = 64
"""Calls that are served together at most."""

OVERDUE_SPREAD = 10.0
"""Seconds over which calls of unknown age are refreshed after a start without edge."""

GLARE = 491
"""What a peer answers that has a request of its own under way (RFC 3261 14.2)."""

MOST_DIALOGS = 10_000
"""Different agreements that are kept to be shared among calls."""


_Thing = TypeVar("_Thing")


class Asterisk(Protocol):
    """What a turn needs of Asterisk."""

    async def pipelined(self, actions: Sequence[refreshing.Action]) -> list[AmiMessage]:
        """Carry out actions in their order. Raises AmiError."""

    async def media(self, channel: str) -> Media:
        """What is negotiated on a channel now. Raises AmiError."""

    async def connected_number(self, channel: str) -> str:
        """The number of the other party that Asterisk knows by now. Raises AmiError."""

    @property
    def ready(self) -> bool:
        """Its calls are the ones that are under watch."""

    def look_at(self, channel: str) -> None:
        """Find out, later, what became of a channel."""


@dataclass(slots=True)
class _Due:
    """What one call is to do now."""

    watch: Watch
    before: Session
    """Its session as it stood: if Asterisk cannot be told, nothing has happened."""
    action: session.Action


class Turns:
    """Does what sessions want done, and tells them what came of it."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        asterisk: Asterisk,
        *,
        edges: Edges,
        clocks: Clocks,
        measures: Measures,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.agenda = Agenda(self._woken)
        self._asterisk = asterisk
        self._edges = edges
        self._clocks = clocks
        self._measures = measures
        self._log = log
        self._chance = chance
        self._now = asyncio.get_running_loop().time
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialogs: dict[DialogTimer, DialogTimer] = {}

    async def aclose(self) -> None:
        """Stop: nothing more is sent."""
        self.agenda.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def shared(self, dialog: DialogTimer) -> DialogTimer:
        """One object for all calls that agreed on the same."""
        if len(self._dialogs) > MOST_DIALOGS:
            self._dialogs.clear()
        return self._dialogs.setdefault(dialog, dialog)

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
            watch.dialog = self.shared(record.dialog)
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
        told = self.news(watch, record)
        if isinstance(told, Refreshed):
            self._take(watch, record, told.since)

    async def record(self, watch: Watch) -> Answer:
        """The record of one call, asked now."""
        return (await self._records([watch]))[0]

    def news(self, watch: Watch, record: Record) -> Refreshed | Refused | None:
        """What a record tells beyond what the watch knows."""
        return news(watch, record, self._clocks, self._now())

    async def send(self, watch: Watch, method: Method) -> None:
        """Send one refresh now, whatever the agenda says. Raises AmiError or CannotRefresh."""
        actions = await self._actions(watch, method)
        for answer in await self._asterisk.pipelined(actions):
            if not answer.ok:
                raise AmiRefused("Setvar", answer.reason)

    # Whose turn it is

    def _woken(self, watches: list[Watch], lag: float) -> None:
        now = self._now()
        due: list[_Due] = []
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
                due.append(_Due(watch, standing, action))
        for some in _some(due):
            self._spawn(self._serve(some, []))
        for few in _some(polls):
            self._spawn(self._serve([], few))

    async def _serve(self, due: list[_Due], polls: list[Watch]) -> None:
        """Do what is due, and what follows from it, until all of them have only to wait."""
        watches = [*(each.watch for each in due), *polls]
        for watch in watches:
            watch.busy = True
        try:
            while due or polls:
                await self._send([each for each in due if isinstance(each.action, Send)])
                await self._expire([each for each in due if isinstance(each.action, Expire)])
                asks = [each.watch for each in due if isinstance(each.action, Ask)]
                due = await self._read(asks, polls)
                polls = []
        except Exception:  # noqa: BLE001  # calls must not die of our faults
            for each in due:
                if isinstance(each.action, Send) and each.watch.attempt is None:
                    self._undo(each, RETRY)
            for watch in watches:
                watch.active = replace(watch.session, wake=self._now() + RETRY)
            self._measures.faults.inc()
            self._log.exception("a fault of ours; these calls are tried again", calls=len(watches))
        finally:
            for watch in watches:
                watch.busy = False
                if not watch.gone:
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

    # Refreshing

    async def _send(self, due: list[_Due]) -> None:
        ready = await self._prepared(due)
        if not ready:
            return
        try:
            answers = iter(
                await self._asterisk.pipelined([action for _, _, actions in ready for action in actions])
            )
        except AmiError as error:
            for each, method, _ in ready:
                self._not_sent(each, method, str(error))
            return
        now = self._now()
        for each, method, actions in ready:
            refusals = [answer.reason for _ in actions if not (answer := next(answers)).ok]
            watch = each.watch
            if refusals:
                self._asterisk.look_at(watch.channel)
                self._not_sent(each, method, refusals[0])
                continue
            watch.hindrance = ""
            if method is Method.UPDATE:
                watch.number = ""
            # Where a refresh of the peer came in between, ours needs no watching.
            if watch.active is not None and watch.active.sent is not None:
                watch.attempt = Attempt(method, now)
            # A line costs as much as the rest of a refresh: at level info its confirmation is enough.
            tell = self._log.info if watch.edge is None else self._log.debug
            tell("refresh sent", call_id=watch.call_id, method=str(method))

    async def _prepared(self, due: list[_Due]) -> list[tuple[_Due, Method, list[refreshing.Action]]]:
        """What can be sent, and what Asterisk must be told for it."""
        for each in due:
            each.watch.attempt = None  # whatever was sent before, it was not this
        methods = [each.action.method for each in due if isinstance(each.action, Send)]
        prepared = await asyncio.gather(
            *[self._actions(each.watch, method) for each, method in zip(due, methods, strict=True)],
            return_exceptions=True,
        )
        ready: list[tuple[_Due, Method, list[refreshing.Action]]] = []
        for each, method, actions in zip(due, methods, prepared, strict=True):
            if isinstance(actions, CannotRefresh):
                self._asterisk.look_at(each.watch.channel)
                self._not_sent(each, method, str(actions), OWN_WAIT)
            elif isinstance(actions, AmiError):
                self._not_sent(each, method, str(actions))
            elif isinstance(actions, BaseException):
                raise actions
            else:
                ready.append((each, method, actions))
        return ready

    async def _actions(self, watch: Watch, method: Method) -> list[refreshing.Action]:
        """What Asterisk must be told. Raises AmiError, or CannotRefresh."""
        if method is Method.UPDATE:
            if watch.number and await self._asterisk.connected_number(watch.channel):
                watch.number = ""
            return refreshing.by_connected_line(watch.channel, refreshing.fresh_tag(), watch.number)
        media = await self._asterisk.media(watch.channel)
        if GLARE in watch.session.refused:
            # Asterisk holds its own retry back for as long as we do, then finds that it would change nothing
            # and drops it, and with it every offer that was made meanwhile.
            return refreshing.by_repetition(watch.channel, media)
        return refreshing.with_sdp(watch.channel, media, method)

    def _not_sent(self, each: _Due, method: Method, reason: str, wait: float = RETRY) -> None:
        """Asterisk could not be told: try again `wait` seconds later. What stays in the way is said once."""
        self._undo(each, wait)
        watch = each.watch
        tell = self._log.debug if watch.hindrance == reason else self._log.warning
        watch.hindrance = reason
        self._measures.ended(method, Outcome.NOT_SENT)
        tell("refresh could not be sent", call_id=watch.call_id, method=str(method), reason=reason)

    def _undo(self, each: _Due, wait: float) -> None:
        """Nothing left: the session is as it was, unless a refresh of the peer has moved it on."""
        watch = each.watch
        if watch.active is not None and watch.active.sent is not None:
            watch.active = replace(each.before, wake=self._now() + wait)

    async def _second_form(self, watch: Watch, attempt: Attempt) -> None:
        """Refresh with SDP too, in time to be answered, where the first form may never have left.

        By UPDATE: a re-INVITE without answer would keep Asterisk from sending BYE for half a minute.
        """
        due = forms.second_due(watch, attempt)
        if due is None or self._now() < due:
            return
        attempt.second_tried = True
        try:
            await self.send(watch, Method.UPDATE_SDP)
        except (AmiError, CannotRefresh) as error:
            self._asterisk.look_at(watch.channel)
            self._log.warning("other form could not be sent", call_id=watch.call_id, reason=str(error))
            return
        attempt.other_form = self._now()
        self._log.warning(
            "no sign that the refresh left Asterisk: tried the other form",
            call_id=watch.call_id,
            method=str(attempt.method),
        )

    # What the record says

    async def _read(self, asks: list[Watch], polls: list[Watch]) -> list[_Due]:
        """Read records: a verdict for those who ask, news for those whose refresh is under way."""
        answers = await self._records([*asks, *polls])
        due: list[_Due] = []
        for place, (watch, answer) in enumerate(zip([*asks, *polls], answers, strict=True)):
            if watch.gone:
                continue
            before = watch.session
            asked = before.state is State.ASKING
            attempt = watch.attempt
            # Who asked once is read again at each poll, and need not be told of each time.
            tell = self._log.warning if place < len(asks) else self._log.debug
            action = self._judge(watch, answer, tell) if asked else self._hear(watch, answer)
            if action is not None:
                due.append(_Due(watch, before, action))
            elif not asked and attempt is not None and attempt is watch.attempt:
                attempt.polls += 1
                await self._second_form(watch, attempt)
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

    def _judge(self, watch: Watch, answer: Answer, tell: Callable[..., object]) -> session.Action | None:
        """The verdict that a session asked for; `tell` logs why there is none."""
        action = self._hear(watch, answer)
        asking, attempt = watch.session, watch.attempt
        if action is not None or asking.state is not State.ASKING:
            return action
        left = forms.left(attempt)
        if self.is_evidence(answer):
            after, action = session.silent(asking, self._now())
            if not isinstance(action, Expire) or asking.sent is None or left is not None:
                watch.active = after
                return action
            tell("no sign that any refresh left Asterisk", call_id=watch.call_id)
        elif watch.edge is not None:
            tell("the edge cannot say", call_id=watch.call_id, reason=why_not(answer))
        after, action = session.unknown(asking, self._now(), left=left)
        if after.state in (State.OURS, State.THEIRS):
            self._go_on(watch, after)
        else:
            watch.active = after
        return action

    def _go_on(self, watch: Watch, after: Session) -> None:
        """Nobody could say what came of our refresh, and the call still stands."""
        attempt, watch.attempt = watch.attempt, None
        self._rest(watch, after)
        left = forms.left(attempt)
        if attempt is None or left is None:
            return
        outlived = self._now() >= left + session.SELF_ENDING
        self._measures.ended(attempt.method, Outcome.OUTLIVED if outlived else Outcome.UNKNOWN)
        # Asterisk would have ended it, had the peer not answered.
        told = "call has outlived its refresh" if outlived else "nobody could say what came of the refresh"
        self._log.info(told, call_id=watch.call_id)

    def is_evidence(self, answer: Answer) -> bool:
        """Whether a refresh that this answer does not tell of did not take place."""
        if not isinstance(answer, Found) or isinstance(answer, Copy):
            return False
        return self._clocks.ours(answer.record.clock, answer.record.at) is not None

    def _hear(self, watch: Watch, answer: Answer) -> session.Action | None:
        """Take what a record tells; what follows from it."""
        if not isinstance(answer, Found):
            return None
        record = answer.record
        told = self.news(watch, record)
        if isinstance(told, Refreshed):
            self._take(watch, record, told.since)
        elif isinstance(told, Refused):
            watch.failure_at = record.failure.at if record.failure else None
            attempt, watch.attempt = watch.attempt, None
            if attempt is not None:
                self._measures.ended(attempt.method, Outcome.REFUSED)
            watch.active, action = session.answered(watch.session, self._now(), told.answer, self._chance())
            self._log.warning("refresh refused", call_id=watch.call_id, code=told.answer.code)
            return action
        return None

    def _take(self, watch: Watch, record: Record, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        old = watch.session
        attempt, watch.attempt = watch.attempt, None
        watch.refreshes = record.refreshes
        watch.failure_at = None
        fresh = session.refreshed(old, self.shared(record.dialog), since)
        self._rest(watch, fresh)
        if not watch.busy:
            self._schedule(watch)
        measures = self._measures
        measures.seen.inc()
        if old.deadline is not None:
            measures.margin.observe(max(0.0, old.deadline - since))
        if attempt is not None:
            if attempt.other_form is not None:
                measures.suppressed.labels(str(attempt.method)).inc()
            measures.ended(attempt.method, Outcome.CONFIRMED)
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                measures.saved.inc()
        if old.dialog.agreement != fresh.dialog.agreement:
            now = _told(fresh.dialog.agreement)
            self._log.info(
                "agreement changed", call_id=watch.call_id, was=_told(old.dialog.agreement), now=now
            )
        self._log.info(
            "refresh confirmed" if attempt else "refreshed",
            call_id=watch.call_id,
            method=str(attempt.method) if attempt else None,
            refreshes=record.refreshes,
            due_in=None if fresh.wake is None else round(fresh.wake - self._now(), 1),
        )

    def _rest(self, watch: Watch, fresh: Session) -> None:
        if fresh.state in (State.OURS, State.THEIRS, State.OFF):
            watch.rest(fresh)
        else:
            watch.active = fresh

    # The end

    async def _expire(self, due: list[_Due]) -> None:
        """End what has expired, if a last look shows nothing new: since the verdict others had their turn."""
        hang_up: list[tuple[_Due, Expire]] = []
        for each in due:
            assert isinstance(each.action, Expire)  # noqa: S101  # for the type checker
            each.watch.active = each.before  # so that a refresh counts of which we hear meanwhile
            if each.action.hang_up:
                hang_up.append((each, each.action))
            else:
                self._report(each.watch, each.action)
        answers = await self._records([each.watch for each, _ in hang_up])
        ends = [
            self._end(each, expired, answer) for (each, expired), answer in zip(hang_up, answers, strict=True)
        ]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _end(self, each: _Due, expired: Expire, answer: Answer) -> None:
        watch = each.watch
        refusal = await self._hung_up(each, expired, answer)
        if refusal and not watch.gone:
            self._asterisk.look_at(watch.channel)
            if watch.active is each.before:
                watch.active = replace(each.before, wake=self._now() + RETRY)
            self._log.warning("not hung up yet", call_id=watch.call_id, reason=refusal)
        if refusal:
            return
        watch.active = replace(each.before, state=State.OVER, wake=None)
        self._count_unanswered(watch)
        self._measures.expiries.labels(str(expired.reason), "hung up").inc()
        self._log.error(
            "session expired: hung up",
            call_id=watch.call_id,
            channel=watch.channel,
            reason=str(expired.reason),
        )

    async def _hung_up(self, each: _Due, expired: Expire, answer: Answer) -> str:
        """Hang up, if record and channel still are what the verdict stands on; else what is against it."""
        watch = each.watch
        if not self.is_evidence(answer):
            return why_not(answer)
        if isinstance(answer, Found) and self.news(watch, answer.record) is not None:
            return "the record has changed"
        try:
            told = await self._asterisk.pipelined(refreshing.ask_dialog(watch.channel))
            if record.key(*[value.text("value") for value in told]) != watch.key:
                return "the channel has another call, or none"
            if watch.gone or watch.active is not each.before or not self._asterisk.ready:
                return "the call has moved on"
            *_, last = await self._asterisk.pipelined(refreshing.hang_up(watch.channel, expired.reason))
        except AmiError as error:
            return str(error)
        return "" if last.ok else last.reason or "Asterisk refused"

    def _report(self, watch: Watch, expired: Expire) -> None:
        self._count_unanswered(watch)
        watch.since = self._now()
        watch.active = None
        self._measures.expiries.labels(str(expired.reason), "reported").inc()
        self._log.error(
            "session expired; the profile says only to report it",
            call_id=watch.call_id,
            reason=str(expired.reason),
        )

    def _count_unanswered(self, watch: Watch) -> None:
        attempt, watch.attempt = watch.attempt, None
        if attempt is not None:
            self._measures.ended(attempt.method, Outcome.UNANSWERED)

    def _spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _some(things: list[_Thing]) -> Iterator[list[_Thing]]:
    for start in range(0, len(things), TOGETHER):
        yield things[start : start + TOGETHER]


def _told(agreement: Agreement | None) -> str:
    return f"{agreement.interval};refresher={agreement.refresher}" if agreement else "off"


def why_not(answer: Answer) -> str:
    """Why an answer of the edge is no evidence."""
    match answer:
        case Copy():
            return "it does not answer, and another edge has only a copy of the record"
        case Found():
            return "the record's time is by a clock that is not known yet"
        case Missing():
            return "it has no record of this call"
        case _:
            return answer.reason
