"""Keeps the calls of one Asterisk: takes them under watch, refreshes, asks the edge, hangs up what is dead.

Two rules. What Asterisk was not made to send is no evidence that a peer is silent: then the session stays as
it was. And only the edge's record says that a refresh took place, or that none did.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from typing import Any

import structlog
from session_timer import Agreement, Config, DialogTimer, Mode, Policy, Record, Side, session
from session_timer.session import Ask, Expire, Method, Send, Session, State

from session_timer_companion import calls, refreshing
from session_timer_companion.agenda import Agenda
from session_timer_companion.ami import (
    Ami,
    AmiAccount,
    AmiError,
    AmiMessage,
    AmiRefused,
)
from session_timer_companion.calls import Call
from session_timer_companion.clocks import Clocks
from session_timer_companion.edge import Edge, Found, Missing, Unreachable
from session_timer_companion.edges import Edges
from session_timer_companion.measures import Measures
from session_timer_companion.watch import UNKNOWN, Attempt, Refreshed, Refused, Watch, news

EVENTS = ("Newstate", "Rename", "Hangup")

POLLS = (0.1, 0.2, 0.7, 1.0, 2.0, 4.0)
"""Seconds between two readings of the record after a refresh has left; the last one repeats."""

RETRY = 1.0
"""Seconds before a refresh or a hang-up is tried again that Asterisk could not be told of."""

LOOK_AGAIN = 0.5
"""Seconds after which an answered call without internal header is looked at once more."""

OVERDUE_SPREAD = 10.0
"""Seconds over which calls of unknown age are refreshed after a start without edge."""

ARM_AT_ONCE = 1000
"""Records read in a row after a start."""

_MASQUERADE = ("<MASQ>", "<ZOMBIE>")

Step = tuple[Session, session.Action | None]


class Keeper:
    """One Asterisk and its calls. Runs on one event loop; `start`, then `aclose`."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        account: AmiAccount,
        *,
        config: Config,
        edges: Edges,
        clocks: Clocks,
        measures: Measures,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = account.name
        self.config = config
        """May be replaced at any time: calls that come later are held to it."""
        self.ready = False
        """Logged in, and every call that Asterisk has is under watch."""
        self.by_key: dict[str, Watch] = {}
        self.by_channel: dict[str, Watch] = {}
        self._edges = edges
        self._clocks = clocks
        self._measures = measures
        self._chance = chance
        self._now = asyncio.get_running_loop().time
        self._agenda = Agenda(self._woken, measures.lag.observe)
        self._tasks: set[asyncio.Task[None]] = set()
        self._resync: asyncio.Task[None] | None = None
        self._to_look: dict[str, bool] = {}
        self._ended: set[str] = set()
        self._proven: set[tuple[str, Method]] = set()
        self._dialogs: dict[DialogTimer, DialogTimer] = {}
        self._log = structlog.get_logger(__name__).bind(asterisk=account.name)
        self.ami = Ami(account, events=EVENTS, on_event=self._heard, on_up=self._up, on_down=self._down)

    async def aclose(self) -> None:
        """Stop watching: no call is touched any more."""
        self._agenda.pause()
        await self.ami.aclose()
        tasks = [*self._tasks, *([self._resync] if self._resync else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What others see and do

    def watches(self) -> Iterator[Watch]:
        yield from self.by_key.values()

    def changed(self, key: str, record: Record) -> None:
        """The edge lists this dialog's record as changed."""
        watch = self.by_key.get(key)
        if watch is not None and isinstance(
            found := news(watch, record, self._clocks, self._now()), Refreshed
        ):
            self._take(watch, record, found.since)
            if not watch.busy:
                self._schedule(watch)

    async def reread(self, watch: Watch) -> None:
        """Read one call's record because changes may have been missed; takes what it tells."""
        answer = await watch.edge.record(watch.key)
        if watch.gone or not isinstance(answer, Found):
            return
        if watch.refreshes == UNKNOWN and not watch.busy:
            self._begin(watch, answer.record)
            self._schedule(watch)
        else:
            self.changed(watch.key, answer.record)

    async def refresh(self, watch: Watch, method: Method) -> None:
        """Send one refresh now, whatever the agenda says. Raises AmiError or CannotRefresh."""
        await self._transmit(watch, method)

    # Asterisk comes and goes

    def _up(self) -> None:
        self._measures.ami_up.labels(self.name).set(1)
        self._start_resync()

    def _down(self, error: AmiError) -> None:  # noqa: ARG002  # the adapter has logged it
        self._measures.ami_up.labels(self.name).set(0)
        self.ready = False
        self._agenda.pause()
        if self._resync is not None:
            self._resync.cancel()

    def _start_resync(self) -> None:
        if self._resync is not None:
            self._resync.cancel()
        self._resync = asyncio.create_task(self._read_all(), name=f"resync {self.name}")

    async def _read_all(self) -> None:
        """Bring what is under watch in line with the channels that Asterisk has."""
        began = self._now()
        self._ended.clear()
        known = dict.fromkeys(self.by_key)
        fresh: list[Call] = []

        def entry(message: AmiMessage) -> None:
            call = calls.read(message, self.config.edge.header)
            if call is None:
                return
            known.pop(call.key, None)
            watch = self.by_key.get(call.key)
            if watch is None:
                fresh.append(call)
            else:
                self._rename(watch, call.channel)

        try:
            await self.ami.stream("Status", entry, Variables=calls.variables(self.config.edge.header))
        except AmiRefused as error:
            self._log.error(
                "Asterisk does not tell its channels: the AMI account needs write=call", reason=error.reason
            )
            return
        except AmiError:
            return  # the connection is gone; its return brings the next resync
        for key in known:
            if (watch := self.by_key.get(key)) is not None:
                self._forget(watch, "ended while we were away")
        for start in range(0, len(fresh), ARM_AT_ONCE):
            batch = fresh[start : start + ARM_AT_ONCE]
            await asyncio.gather(*[self._arm_old(call) for call in batch if call.channel not in self._ended])
        self.ready = True
        self._agenda.resume()
        self._log.info(
            "in step with Asterisk",
            sessions=len(self.by_key),
            found=len(fresh),
            seconds=round(self._now() - began, 3),
        )

    # Events

    def _heard(self, event: AmiMessage) -> None:
        channel = event.text("channel")
        if not channel.startswith(calls.TECHNOLOGY):
            return
        match event.event:
            case "Newstate" if event.text("channelstate") == calls.UP:
                self._look_at(channel, new=True)
            case "Rename":
                for name in (channel, event.text("newname")):
                    for mark in _MASQUERADE:
                        name = name.removesuffix(mark)  # noqa: PLW2901  # the name without its marks
                    if name.startswith(calls.TECHNOLOGY):
                        self._look_at(name, new=False)
            case "Hangup":
                self._ended.add(channel)
                watch = self.by_channel.get(channel)
                if watch is not None:
                    self._forget(watch, "ended")

    def _look_at(self, channel: str, *, new: bool) -> None:
        """Ask Asterisk for a channel, with others that changed in the same moment."""
        if not self._to_look:
            self._spawn(self._look())
        self._to_look[channel] = new and self._to_look.get(channel, True)

    async def _look(self) -> None:
        await asyncio.sleep(0.02)
        while self._to_look:
            asked, self._to_look = self._to_look, {}
            variables = calls.variables(self.config.edge.header)
            lost: list[Watch] = []
            for channel, new in asked.items():
                try:
                    entries = await self.ami.collect("Status", Channel=channel, Variables=variables)
                except AmiRefused:
                    entries = []
                except AmiError:
                    return
                found = [call for entry in entries if (call := calls.read(entry, self.config.edge.header))]
                await self._bind(channel, found[0] if found else None, lost, new=new)
            # The dialog of a channel that is gone may have moved to another one, which was looked at too.
            for watch in lost:
                if self.by_channel.get(watch.channel) is not watch and not watch.gone:
                    self._forget(watch, "ended")

    async def _bind(self, channel: str, call: Call | None, lost: list[Watch], *, new: bool) -> None:
        held = self.by_channel.get(channel)
        if held is not None and (call is None or call.key != held.key):
            del self.by_channel[channel]
            lost.append(held)
        if call is None:
            return
        watch = self.by_key.get(call.key)
        if watch is not None:
            self._rename(watch, channel)
        elif not new:
            await self._arm_old(call)
        elif call.header is None and channel not in self._ended:
            self._spawn(self._look_later(channel))
        else:
            self._arm_new(call)

    async def _look_later(self, channel: str) -> None:
        await asyncio.sleep(LOOK_AGAIN)
        if channel not in self._ended:
            self._look_at(channel, new=False)

    def _rename(self, watch: Watch, channel: str) -> None:
        if watch.channel == channel and self.by_channel.get(channel) is watch:
            return
        if self.by_channel.get(watch.channel) is watch:
            del self.by_channel[watch.channel]
        self._log.info("dialog has moved", call_id=watch.call_id, channel=channel, was=watch.channel)
        watch.channel = channel
        self.by_channel[channel] = watch

    # Under watch, and no more

    def _arm_new(self, call: Call) -> None:
        """A call was answered this moment: its header tells all."""
        watch = self._watch(call, refreshes=0)
        if watch is not None:
            self._armed(watch)

    async def _arm_old(self, call: Call) -> None:
        """A call that was up before we knew of it: its record tells how far its interval has run."""
        watch = self._watch(call, refreshes=UNKNOWN)
        if watch is None:
            return
        watch.busy = True
        answer = await watch.edge.record(watch.key)
        watch.busy = False
        if watch.gone:
            return
        if isinstance(answer, Found):
            self._begin(watch, answer.record)
        elif watch.session.state is State.OURS:
            # Nobody can say how much of the interval is left: a refresh soon makes it known.
            soon = self._now() + watch.session.spread * OVERDUE_SPREAD
            watch.session = replace(watch.session, wake=soon)
        self._armed(watch)

    def _watch(self, call: Call, refreshes: int) -> Watch | None:
        """A new watch on `call`, not on the agenda yet; None for a call that is not ours to refresh."""
        if call.header is None:
            if call.malformed:
                self._log.warning("unreadable internal header", call_id=call.call_id, reason=call.malformed)
            self._measures.foreign.labels(self.name).inc()
            return None
        policy = self._policy(call.header.peer)
        if policy.mode is not Mode.ANCHOR or not policy.enabled or call.key in self.by_key:
            return None
        begun = session.begin(
            self._shared(call.header.dialog),
            self._now(),
            policy,
            owns_call_id=call.outbound,
            spread=_spread(call.key),
        )
        watch = Watch(
            channel=call.channel,
            key=call.key,
            edge=self._edges.at(call.header.rpc),
            session=begun,
            refreshes=refreshes,
            number="" if call.connected else (call.number or "unknown"),
        )
        self.by_key[watch.key] = watch
        self.by_channel[watch.channel] = watch
        return watch

    def _begin(self, watch: Watch, record: Record) -> None:
        """Start from what the record says, however long ago that was."""
        now = self._now()
        at = self._clocks.ours(record.clock, record.at)
        old = watch.session
        watch.refreshes = record.refreshes
        watch.failure_at = record.failure.at if record.failure else None
        watch.session = session.begin(
            self._shared(record.dialog),
            now if at is None else min(now, at),
            old.policy,
            owns_call_id=old.owns_call_id,
            spread=old.spread,
        )
        if at is None and watch.session.state is State.OURS:
            watch.session = replace(watch.session, wake=now + old.spread * OVERDUE_SPREAD)

    def _armed(self, watch: Watch) -> None:
        self._measures.armed.labels(self.name).inc()
        agreed = watch.session.dialog.agreement
        self._log.info(
            "armed",
            call_id=watch.call_id,
            channel=watch.channel,
            interval=agreed.interval if agreed else 0,
            refresher=str(agreed.refresher) if agreed else "none",
            due_in=round(watch.session.wake - self._now(), 1) if watch.session.wake is not None else None,
        )
        self._schedule(watch)

    def _forget(self, watch: Watch, why: str) -> None:
        watch.gone = True
        self._agenda.put(watch, None)
        self.by_key.pop(watch.key, None)
        if self.by_channel.get(watch.channel) is watch:
            del self.by_channel[watch.channel]
        self._log.info("no longer under watch", call_id=watch.call_id, channel=watch.channel, why=why)

    def _policy(self, peer: str) -> Policy:
        return self.config.peer(name=peer).policy

    def _shared(self, dialog: DialogTimer) -> DialogTimer:
        """One object for all calls that agreed on the same."""
        if len(self._dialogs) > 10_000:
            self._dialogs.clear()
        return self._dialogs.setdefault(dialog, dialog)

    # A call's turn

    def _woken(self, watch: Watch) -> None:
        if watch.busy:
            return
        now = self._now()
        wake = watch.session.wake
        if watch.attempt is not None and (wake is None or now < wake):
            watch.busy = True
            self._spawn(self._carry_on(watch, self._confirm(watch)))
        else:
            self._go(watch, session.due(watch.session, now))

    def _go(self, watch: Watch, step: Step) -> None:
        before = watch.session
        watch.session, action = step
        if action is None:
            self._schedule(watch)
        else:
            watch.busy = True
            self._spawn(self._carry_on(watch, self._act(watch, before, action)))

    async def _carry_on(self, watch: Watch, doing: Coroutine[Any, Any, Step | None]) -> None:
        """Act, and act on what came of it, until there is nothing to do but wait."""
        try:
            while True:
                step = await doing
                if step is None or watch.gone:
                    break
                before = watch.session
                watch.session, action = step
                if action is None:
                    break
                doing = self._act(watch, before, action)
        except Exception:  # noqa: BLE001  # one call's fault must not cost another call anything
            self._measures.faults.inc()
            self._log.exception("a fault of ours; this call is tried again", call_id=watch.call_id)
            watch.session = replace(watch.session, wake=self._now() + RETRY)
        finally:
            watch.busy = False
        if not watch.gone:
            self._schedule(watch)

    def _act(self, watch: Watch, before: Session, action: session.Action) -> Coroutine[Any, Any, Step | None]:
        match action:
            case Send(method):
                return self._send(watch, before, method)
            case Ask():
                return self._ask(watch)
            case Expire():
                return self._expire(watch, before, action)

    def _schedule(self, watch: Watch) -> None:
        wake = watch.session.wake
        attempt = watch.attempt
        if attempt is not None:
            poll = self._now() + POLLS[min(attempt.polls, len(POLLS) - 1)]
            second = self._second_form_due(watch, attempt)
            wake = min(time for time in (wake, poll, second) if time is not None)
        self._agenda.put(watch, wake)

    async def _send(self, watch: Watch, before: Session, method: Method) -> Step | None:
        sending = watch.session
        try:
            await self._transmit(watch, method)
        except (AmiError, refreshing.CannotRefresh) as error:
            self._log.warning(
                "refresh could not be sent", call_id=watch.call_id, method=str(method), reason=str(error)
            )
            self._measures.refreshes.labels(str(method), "not sent").inc()
            if watch.session is sending:
                watch.session = replace(before, wake=self._now() + RETRY)
            return None
        if watch.session is sending:
            watch.attempt = Attempt(before, method, self._now())
            self._log.info("refresh sent", call_id=watch.call_id, method=str(method))
        return None

    async def _transmit(self, watch: Watch, method: Method) -> None:
        """Make Asterisk send. Raises AmiError, or CannotRefresh, if it was not told or would not."""
        if method is Method.UPDATE:
            actions = refreshing.by_connected_line(watch.channel, refreshing.fresh_tag(), watch.number)
        else:
            variables = calls.variables(self.config.edge.header)
            entries = await self.ami.collect("Status", Channel=watch.channel, Variables=variables)
            call = next(
                (call for entry in entries if (call := calls.read(entry, self.config.edge.header))), None
            )
            if call is None or call.key != watch.key:
                self._look_at(watch.channel, new=False)
                raise refreshing.CannotRefresh(f"channel {watch.channel} does not have this dialog any more")
            actions = refreshing.by_offer(call, method)
        for answer in await self.ami.pipelined(actions):
            if not answer.ok:
                self._look_at(watch.channel, new=False)
                raise AmiRefused("Setvar", answer.reason)
        if method is Method.UPDATE:
            watch.number = ""

    async def _confirm(self, watch: Watch) -> Step | None:
        """Read the record after a refresh of ours, before any verdict is due."""
        attempt = watch.attempt
        answer = await watch.edge.record(watch.key)
        if attempt is None or watch.attempt is not attempt or watch.gone:
            return None
        attempt.polls += 1
        if isinstance(answer, Found):
            step = self._hear(watch, answer.record)
            if step is not None or watch.attempt is None:
                return step
            await self._second_form(watch, attempt)
        return None

    def _left_for_sure(self, watch: Watch, attempt: Attempt) -> bool:
        """Whether a refresh of this form surely left Asterisk, so that silence is the peer's.

        Asterisk swallows an UPDATE by connected line where the endpoint has no `send_pai`, and says Success.
        So a form counts from its first answer on; an offer with a changed format always leaves.
        """
        return (
            attempt.other_form
            or attempt.method is Method.INVITE
            or (watch.endpoint, attempt.method) in self._proven
        )

    def _second_form_due(self, watch: Watch, attempt: Attempt) -> float | None:
        wake = watch.session.wake
        if wake is None or attempt.second_tried or self._left_for_sure(watch, attempt):
            return None
        return (attempt.sent + wake) / 2

    async def _second_form(self, watch: Watch, attempt: Attempt) -> None:
        """Refresh by re-INVITE too, in time to be answered, where the first form may never have left."""
        due = self._second_form_due(watch, attempt)
        if due is None or self._now() < due:
            return
        attempt.second_tried = True
        self._log.warning(
            "no sign that the refresh left Asterisk: trying the other form",
            call_id=watch.call_id,
            method=str(attempt.method),
        )
        try:
            await self._transmit(watch, Method.INVITE)
        except (AmiError, refreshing.CannotRefresh) as error:
            self._log.warning("other form could not be sent", call_id=watch.call_id, reason=str(error))
        else:
            attempt.other_form = True

    async def _ask(self, watch: Watch) -> Step | None:
        answer = await watch.edge.record(watch.key)
        now = self._now()
        if watch.gone:
            return None
        match answer:
            case Found(record):
                attempted = watch.attempt
                step = self._hear(watch, record)
                if step is not None or (attempted is not None and watch.attempt is None):
                    return step
                if watch.session.state is not State.ASKING:
                    return None
                if attempted is None or self._left_for_sure(watch, attempted):
                    return session.silent(watch.session, now)
                self._log.warning("no sign that any refresh left Asterisk", call_id=watch.call_id)
            case Missing():
                self._log.warning("the edge has no record of this call", call_id=watch.call_id)
            case Unreachable(reason):
                self._log.warning("the edge cannot be asked", call_id=watch.call_id, reason=reason)
        step = session.unknown(watch.session, now)
        if step[0].state in (State.OURS, State.THEIRS):
            watch.attempt = None
        return step

    def _hear(self, watch: Watch, record: Record) -> Step | None:
        """Take what a record tells; the step that follows, None for none."""
        now = self._now()
        told = news(watch, record, self._clocks, now)
        if isinstance(told, Refreshed):
            self._take(watch, record, told.since)
            return watch.session, None
        if isinstance(told, Refused):
            watch.failure_at = record.failure.at if record.failure else None
            attempt = watch.attempt
            watch.attempt = None
            if attempt is not None:
                self._proven.add((watch.endpoint, attempt.method))
                self._measures.refreshes.labels(str(attempt.method), "refused").inc()
            self._log.warning("refresh refused", call_id=watch.call_id, code=told.answer.code)
            return session.answered(watch.session, now, told.answer, self._chance())
        return None

    def _take(self, watch: Watch, record: Record, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        attempt = watch.attempt
        old = watch.session
        watch.attempt = None
        watch.refreshes = record.refreshes
        watch.failure_at = None
        watch.session = session.refreshed(old, self._shared(record.dialog), since)
        self._measures.seen.inc()
        if old.deadline is not None:
            self._measures.margin.observe(max(0.0, old.deadline - since))
        if attempt is not None:
            if not attempt.other_form:
                self._proven.add((watch.endpoint, attempt.method))
            self._measures.refreshes.labels(str(attempt.method), "confirmed").inc()
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                self._measures.saved.inc()
        if old.dialog.agreement != record.dialog.agreement:
            self._log.info("agreement changed", call_id=watch.call_id, now=_told(record.dialog.agreement))
        self._log.info(
            "refresh confirmed" if attempt else "refreshed",
            call_id=watch.call_id,
            refreshes=record.refreshes,
            due_in=round(watch.session.wake - self._now(), 1) if watch.session.wake is not None else None,
        )

    async def _expire(self, watch: Watch, before: Session, expired: Expire) -> Step | None:
        reason = str(expired.reason)
        if watch.attempt is not None:
            self._measures.refreshes.labels(str(watch.attempt.method), "unanswered").inc()
            watch.attempt = None
        if not expired.hang_up:
            self._measures.expiries.labels(reason, "reported").inc()
            self._log.error(
                "session expired; the profile says only to report it", call_id=watch.call_id, reason=reason
            )
            old = watch.session
            watch.session = session.begin(
                old.dialog, self._now(), old.policy, owns_call_id=old.owns_call_id, spread=old.spread
            )
            return None
        try:
            *_, answer = await self.ami.pipelined(refreshing.hang_up(watch.channel, expired.reason))
        except AmiError as error:
            self._log.warning("hang-up could not be sent", call_id=watch.call_id, reason=str(error))
            watch.session = replace(before, wake=self._now() + RETRY)
            return None
        if not answer.ok:
            self._look_at(watch.channel, new=False)
            watch.session = replace(before, wake=self._now() + RETRY)
            return None
        self._measures.expiries.labels(reason, "hung up").inc()
        self._log.error(
            "session expired: hung up", call_id=watch.call_id, channel=watch.channel, reason=reason
        )
        return None

    def _spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _spread(key: str) -> float:
    """A call's constant place in [0, 1): of few values, so that many calls share one number."""
    return _PLACES[zlib.crc32(key.encode("utf-8", "surrogateescape")) % len(_PLACES)]


_PLACES = tuple(place / 256 for place in range(256))


def _told(agreement: Agreement | None) -> str:
    return f"{agreement.interval};refresher={agreement.refresher}" if agreement else "off"


def by_edge(keepers: Iterable[Keeper], edge: Edge) -> list[tuple[Keeper, Watch]]:
    """Every call of all keepers whose record is at this edge."""
    return [(keeper, watch) for keeper in keepers for watch in keeper.watches() if watch.edge is edge]
