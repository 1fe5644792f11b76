"""The calls of one Asterisk: which are tracked, through restarts, reconnects and transfers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import structlog
from session_timer import Agreement, Config, DialogTimer, Mode, Policy, Record, Side, is_rpc_address

from session_timer_companion.ami.client import (
    Ami,
    AmiAccount,
    AmiError,
    AmiMessage,
    AmiRefused,
    AmiTimeout,
    AmiUnavailable,
)
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.channels import calls, queries, refresh_actions, stuck
from session_timer_companion.channels.calls import Call, Channel, Media
from session_timer_companion.channels.stuck import StuckChannels
from session_timer_companion.edge.client import EdgeClient, Found
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.driver import TimerDriver
from session_timer_companion.timers.shared_dialogs import SharedDialogs
from session_timer_companion.timers.tracked_call import UNKNOWN, TrackedCall
from session_timer_companion.tracking.roster import Roster

EVENTS = ("Newstate", "Rename", "Hangup")

SETTLE = 0.02
"""Seconds that events are gathered before Asterisk is asked about their channels."""

TOGETHER = 250
"""Channels that are read in one go while many calls are tracked."""

GOES = 4
"""How many of them are under way: Asterisk answers for some while an edge does for others."""

LOOK_AGAIN = 0.5
"""Seconds after which an answered call without internal header is looked at once more."""

_NO_ANSWER = AmiMessage.from_line(f"Response: Error\r\nMessage: {stuck.REASON}")
_MASQUERADE = ("<MASQ>", "<ZOMBIE>")


class CallTracker:
    """One Asterisk and its calls. Runs on one event loop, until `aclose`."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        account: AmiAccount,
        *,
        config: Config,
        alone: bool = False,
        edges: EdgePool,
        clocks: Clocks,
        metrics: Metrics,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = account.name
        self.config = config
        """May be replaced at any time: calls that come later are held to it."""
        self.alone = alone
        """This Asterisk faces its peers itself: its calls have no internal header and no record."""
        self.in_sync = asyncio.Event()
        """Logged in, and every call that Asterisk has is tracked."""
        self._edges = edges
        self._metrics = metrics
        self._now = asyncio.get_running_loop().time
        self._chance = chance
        self._background = BackgroundTasks(self._fault)
        self._resync: asyncio.Task[None] | None = None
        self._to_look: dict[str, Channel | None] = {}
        self._readers = 0
        self._ended: set[str] = set()
        """Channels that hung up while channels were being read: what was read of them is out of date."""
        self._unseen: dict[str, TrackedCall] = {}
        """Calls from before this connection that were not found on it yet, while all channels are read."""
        self._log = structlog.get_logger(__name__).bind(asterisk=account.name)
        self._roster = Roster(self._log)
        self.by_key = self._roster.by_key
        self.ami = Ami(account, events=EVENTS, on_event=self._heard, on_up=self._up, on_down=self._down)
        self._stuck = StuckChannels(
            self.ami, self.look_at, beside=self._background, log=self._log, chance=chance
        )
        self._dialogs = SharedDialogs()
        self.driver = TimerDriver(
            self,
            edges=edges,
            clocks=clocks,
            dialogs=self._dialogs,
            metrics=metrics,
            log=self._log,
            chance=chance,
        )

    @property
    def ready(self) -> bool:
        return self.in_sync.is_set()

    async def aclose(self) -> None:
        """Stop watching: no call is touched any more."""
        await self.driver.aclose()
        await self.ami.aclose()
        await self._background.aclose()

    def changed(self, key: str, record: Record) -> None:
        """The edge lists this dialog's record as changed."""
        tracked = self.by_key.get(key)
        if tracked is not None:
            self.driver.changed(tracked, record)

    # What a turn needs of Asterisk

    async def pipelined(self, actions: Sequence[refresh_actions.Action]) -> list[AmiMessage]:
        """Carry out actions in their order; those on a channel that is stuck are refused. Raises AmiError."""
        held = [headers.get("Channel") in self._stuck for _, headers in actions]
        with self._stuck.noticed():
            answers = iter(await self.ami.pipelined(itertools.compress(actions, [not each for each in held])))
        return [_NO_ANSWER if each else next(answers) for each in held]

    async def media(self, channel: str) -> Media:
        """What is negotiated on a channel now. Raises AmiError."""
        with self._stuck.noticed(channel):
            return await queries.media(self.ami, channel)

    async def connected_number(self, channel: str) -> str:
        """The number of the other party that Asterisk knows by now. Raises AmiError."""
        with self._stuck.noticed(channel):
            return await queries.connected_number(self.ami, channel)

    def look_at(self, channel: str, answered: Channel | None = None) -> None:
        """Ask Asterisk for a channel, with others that changed in the same moment.

        `answered`: it was answered this moment, so that its record need not be read.
        """
        if not self._to_look:
            self._background.spawn(self._look())
        self._to_look[channel] = answered if self._to_look.get(channel, answered) else None

    # Asterisk comes and goes

    def _up(self) -> None:
        self._metrics.ami_up.labels(self.name).set(1)
        self._metrics.logins.labels(self.name).inc()
        if self._resync is not None:
            self._resync.cancel()
        self._resync = self._background.spawn(self._resync_until_done())

    def _down(self, error: AmiError) -> None:  # noqa: ARG002  # the adapter has logged it
        self._metrics.ami_up.labels(self.name).set(0)
        self.in_sync.clear()
        self.driver.scheduler.pause()
        if self._resync is not None:
            self._resync.cancel()

    async def _resync_until_done(self) -> None:
        """Read everything; while the connection stands, again and again until that has succeeded."""
        read: set[str] = set()
        absent: list[Channel] = []
        for attempt in itertools.count():
            try:
                with self._stuck.noticed(), self._noting_ends():
                    await self._read_all(read, absent)
            except AmiTimeout as error:
                self._log.warning("not in step with Asterisk yet; reading on", reason=str(error))
            except AmiRefused as error:
                self._log.error(  # for the operator
                    "Asterisk does not list its channels; the AMI account needs write = call, and then "
                    "`manager reload`. It holds for new logins, so we log in again",
                    reason=error.reason,
                )
                await asyncio.sleep(self.ami.account.backoff.delay(attempt, self._chance(), refused=True))
                self.ami.reconnect(str(error))
            except AmiUnavailable:
                return  # the connection is gone; the next one brings the next resync
            except Exception as error:  # noqa: BLE001  # calls must not die of our faults
                self._fault(error)
                # What is tracked already is kept: one call that cannot be read must not cost the others.
                self.driver.scheduler.resume()
            else:
                await self._look_later(absent)
                return
            await asyncio.sleep(self.ami.account.backoff.delay(attempt, self._chance()))

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self._log.error("a fault of ours; it is tried again", exc_info=error)

    async def _read_all(self, read: set[str], absent: list[Channel]) -> None:
        """Bring what is tracked in line with the channels that Asterisk has. Raises AmiError.

        `read` has those that were read on this connection already; whatever is read now is added.
        `absent` gets those whose internal header may be readable only in a moment.
        """
        began = self._now()
        self._unseen = {key: tracked for key, tracked in self.by_key.items() if tracked.channel not in read}
        found: list[TrackedCall] = []
        gate = asyncio.Semaphore(GOES)
        try:
            listed = await queries.answered(self.ami)
            self._stuck.keep(channel.name for channel in listed)
            left = [each for each in listed if each.name not in read and each.name not in self._stuck]
            goes = [
                self._take_up(left[start : start + TOGETHER], gate, found, absent, read)
                for start in range(0, len(left), TOGETHER)
            ]
            # None is left behind at work when another one fails.
            for outcome in await asyncio.gather(*goes, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            for tracked in self._unseen.values():
                if not tracked.gone and tracked.channel not in self._stuck:
                    self._forget(tracked, "ended while we were away")
        finally:
            for tracked in found:
                tracked.busy = False
        self.in_sync.set()
        self.driver.scheduler.resume()
        self._log.info(
            "in step with Asterisk",
            sessions=len(self.by_key),
            found=len(found),
            stuck=len(self._stuck),
            seconds=round(self._now() - began, 3),
        )

    async def _take_up(
        self,
        listed: list[Channel],
        gate: asyncio.Semaphore,
        found: list[TrackedCall],
        absent: list[Channel],
        read: set[str],
    ) -> None:
        """Track the calls of some channels, and start each timer that does not run yet.

        Not only new calls have none: a reading may have been broken off between the channels and the records.
        """
        async with gate:
            fresh: list[TrackedCall] = []
            named = {channel.name: channel for channel in listed}
            for call in await queries.these(self.ami, listed, self.config.edge.header):
                if call.channel in self._ended:
                    continue
                self._unseen.pop(call.key, None)
                tracked = self.by_key.get(call.key)
                if tracked is not None:
                    self._roster.move(tracked, call.channel)
                elif self._may_be_late(call):
                    absent.append(named[call.channel])
                else:
                    tracked = self._track(call, refreshes=UNKNOWN)
                if tracked is not None and not tracked.begun:
                    tracked.busy = True
                    fresh.append(tracked)
            found += fresh
            await self._settle(fresh)
            read.update(channel.name for channel in listed)

    # Records

    async def _settle(self, tracked_calls: list[TrackedCall]) -> None:
        """Start the timers of calls that were up before we knew of them: their records tell since when."""
        edges = {tracked.edge for tracked in tracked_calls}
        await asyncio.gather(
            *[
                self._settle_at(edge, [tracked for tracked in tracked_calls if tracked.edge is edge])
                for edge in edges
            ]
        )

    async def _settle_at(self, edge: EdgeClient | None, tracked_calls: list[TrackedCall]) -> None:
        answers = await self._edges.records(edge, [tracked.key for tracked in tracked_calls])
        for tracked, answer in zip(tracked_calls, answers, strict=True):
            tracked.busy = False
            if not tracked.gone:
                self.driver.begin(tracked, answer)

    async def reread(self, edge: EdgeClient, tracked_calls: list[TrackedCall]) -> None:
        """Read records because changes may have been missed; take what they tell."""
        unsettled = [
            tracked for tracked in tracked_calls if tracked.refreshes == UNKNOWN and not tracked.busy
        ]
        settled = [tracked for tracked in tracked_calls if tracked.refreshes != UNKNOWN]
        answers = await edge.records([tracked.key for tracked in [*unsettled, *settled]])
        for tracked, answer in zip([*unsettled, *settled], answers, strict=True):
            if isinstance(answer, Found) and not tracked.gone:
                if tracked.refreshes == UNKNOWN and tracked.attempt is None and not tracked.busy:
                    self.driver.begin(tracked, answer)
                else:
                    self.driver.changed(tracked, answer.record)

    # Events

    def _heard(self, event: AmiMessage) -> None:
        channel = event.text("channel")
        if not channel.startswith(calls.TECHNOLOGY):
            return
        match event.event:
            case "Newstate":
                if (answered := calls.answered(event)) is not None:
                    self.look_at(channel, answered)
            case "Rename":
                for name in (channel, event.text("newname")):
                    for mark in _MASQUERADE:
                        name = name.removesuffix(mark)  # noqa: PLW2901  # the name without its marks
                    if name.startswith(calls.TECHNOLOGY):
                        self.look_at(name)
            case "Hangup":
                if self._readers:
                    self._ended.add(channel)
                self._stuck.forget(channel)
                self._to_look.pop(channel, None)
                tracked = self._roster.on(channel)
                if tracked is not None:
                    self._forget(tracked, "ended")

    @contextlib.contextmanager
    def _noting_ends(self) -> Iterator[None]:
        """Note in `_ended` what hangs up while channels are read."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._ended.clear()

    async def _look(self) -> None:
        await asyncio.sleep(SETTLE)
        with self._noting_ends():
            await self._look_now()

    async def _look_now(self) -> None:
        while self._to_look:
            asked, self._to_look = self._to_look, {}
            asked = {name: channel for name, channel in asked.items() if name not in self._stuck}
            header = self.config.edge.header
            answered = [channel for channel in asked.values() if channel is not None]
            found: dict[str, Call | None] = {}
            try:
                with self._stuck.noticed():
                    for call in await queries.these(self.ami, answered, header):
                        found[call.channel] = call
                    for name, channel in asked.items():
                        if channel is None:
                            found[name] = await queries.one(self.ami, header, name)
            except AmiTimeout:
                # It is slow, not gone. What was answered a while ago may have been refreshed meanwhile.
                self._to_look = dict.fromkeys(asked) | self._to_look
                continue
            except AmiError:
                return  # what was missed is found when Asterisk is back
            await self._take_note(asked, found)

    async def _take_note(self, asked: Mapping[str, Channel | None], found: Mapping[str, Call | None]) -> None:
        """Take note of what is on channels; of those in `asked` with a Channel, as answered this moment."""
        lost: list[TrackedCall] = []
        for name, answered in asked.items():
            if name in self._ended:
                continue
            try:
                lost += await self._bind(name, found.get(name), answered)
            except Exception as error:  # noqa: BLE001  # the others must not be lost with it
                self._fault(error)
        # The dialog of a channel that is gone may have moved to another one, which was looked at too.
        for tracked in lost:
            if self._roster.on(tracked.channel) is not tracked and not tracked.gone:
                self._forget(tracked, "ended")

    async def _bind(self, channel: str, call: Call | None, answered: Channel | None) -> list[TrackedCall]:
        """Take note of what is on a channel; the call that has lost its channel by that, if any."""
        lost: list[TrackedCall] = []
        held = self._roster.on(channel)
        if held is not None and (call is None or call.key != held.key):
            self._roster.leave(channel)
            lost.append(held)
        if call is None:
            return lost
        self._unseen.pop(call.key, None)
        tracked = self.by_key.get(call.key)
        if tracked is not None:
            self._roster.move(tracked, channel)
        elif answered and self._may_be_late(call):
            self._background.spawn(self._look_later([answered]))
        elif (tracked := self._track(call, refreshes=0 if answered else UNKNOWN)) is not None:
            if answered:
                self.driver.begin(tracked, None)
            else:
                await self._settle_at(tracked.edge, [tracked])
        return lost

    def _may_be_late(self, call: Call) -> bool:
        """Asterisk may not have made its internal header readable yet."""
        return call.header is None and not call.malformed and not self.alone

    async def _look_later(self, absent: Sequence[Channel]) -> None:
        """Look once more at answered channels whose internal header was absent."""
        await asyncio.sleep(LOOK_AGAIN)
        with self._noting_ends():
            for start in range(0, len(absent), TOGETHER):
                some = [each for each in absent[start : start + TOGETHER] if each.name not in self._stuck]
                try:
                    with self._stuck.noticed():
                        present = await queries.these(self.ami, some, self.config.edge.header)
                except AmiTimeout:
                    for channel in some:  # it is slow, not gone
                        self.look_at(channel.name)
                except AmiError:
                    return  # they are read anew when Asterisk is back
                else:
                    asked = dict.fromkeys(each.name for each in some)
                    await self._take_note(asked, {call.channel: call for call in present})

    # Tracked, and no more

    def _track(self, call: Call, refreshes: int) -> TrackedCall | None:
        """Track `call`, its timer not running yet; None for a call that is not ours to refresh."""
        if call.malformed:
            self._log.warning("unreadable internal header", call_id=call.call_id, reason=call.malformed)
        header = call.header
        if header is not None and header.rpc and not is_rpc_address(header.rpc):
            self._log.warning("internal header names no edge", call_id=call.call_id, rpc=header.rpc)
        if header is None and not self.alone:
            self._metrics.foreign.labels(self.name).inc()
            return None
        policy = self.config.peer(name=call.endpoint if header is None else header.peer).policy
        if policy.mode is not Mode.ANCHOR or not policy.enabled:
            return None
        tracked = TrackedCall(
            channel=call.channel,
            key=call.key,
            edge=None if header is None else self._edges.at(header.rpc),
            policy=policy,
            placed_by_us=call.placed_by_us,
            dialog=self._dialogs.one(_private(policy) if header is None else header.dialog),
            since=self._now(),
            refreshes=refreshes,
            number=call.number,
        )
        self._roster.add(tracked)
        self._metrics.armed.labels(self.name).inc()
        return tracked

    def _forget(self, tracked: TrackedCall, why: str) -> None:
        self.driver.scheduler.put(tracked, None)
        self._roster.remove(tracked, why)


def _private(policy: Policy) -> DialogTimer:
    """What holds for a call without edge: nothing is agreed, we refresh so that a dead peer shows.

    By re-INVITE: Asterisk may swallow an UPDATE, and nobody would know.
    """
    return DialogTimer(Agreement(policy.default_expires, Side.LOCAL, one_sided=True))


def at_edge(trackers: Iterable[CallTracker], edge: EdgeClient) -> list[tuple[CallTracker, TrackedCall]]:
    """Every call of all trackers whose record is at this edge."""
    return [
        (tracker, tracked)
        for tracker in trackers
        for tracked in tracker.by_key.values()
        if tracked.edge is edge
    ]
