"""The calls of one Asterisk: which are tracked, through restarts, reconnects and transfers.

Each is found by its dialog and by its channel, which a transfer may change.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping

import structlog
from session_timer import Agreement, Config, DialogTimer, Mode, SharedKey

from session_timer_companion.ami.client import Ami, AmiAccount, AmiError, AmiMessage
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.channels import calls
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.channels.calls import Call, Channel
from session_timer_companion.channels.stuck import StuckChannels
from session_timer_companion.control.operator import Operator
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import Found
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.driver import TimerDriver
from session_timer_companion.timers.expiry import HangUpRules
from session_timer_companion.timers.tracked_call import UNKNOWN, TrackedCall, shared, terms
from session_timer_companion.tracking.channel_changes import ChannelChanges, NamedChannels
from session_timer_companion.tracking.resync import Resync

EVENTS = ("Newstate", "Rename", "Hangup")

_MASQUERADE = ("<MASQ>", "<ZOMBIE>")


class CallTracker:
    """One Asterisk and its calls. Runs on one event loop, until `aclose`."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        account: AmiAccount,
        *,
        config: Config,
        key: SharedKey | None,
        edges: EdgePool,
        pace: float,
        learn_peers: bool,
        rules: HangUpRules,
        metrics: Metrics,
        operator: Operator,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = account.name
        self.config = config
        """May be replaced at any time: calls that come later are held to it."""
        self.alone = account.alone
        """This Asterisk faces its peers itself: its calls have no internal header and no record."""
        self.in_sync = asyncio.Event()
        """Logged in, and every call that Asterisk has is tracked."""
        self.by_key: dict[str, TrackedCall] = {}
        """Every tracked call, by the key of its record."""
        self._by_channel: dict[str, TrackedCall] = {}
        self._edges = edges
        self._metrics = metrics
        self._now = asyncio.get_running_loop().time
        self._background = BackgroundTasks(self._fault)
        self._resyncing: asyncio.Task[None] | None = None
        self._said: set[tuple[str, str]] = set()
        self._holds = operator.holds
        log = structlog.get_logger(__name__).bind(asterisk=account.name)
        self.log = CallLog(log, account.name, operator.history, operator.heard)
        self.ami = Ami(
            account,
            events=EVENTS,
            on_event=self._heard,
            on_up=self._up,
            on_down=self._down,
            on_fault=lambda _error: metrics.faults.inc(),  # the connection has logged it
        )
        stuck = StuckChannels(self.ami, self.look_at, background=self._background, log=log, chance=chance)
        # Where Asterisk faces its peers itself, whoever speaks in our internal header is one of them.
        self.channels = AsteriskChannels(self.ami, stuck, None if account.alone else key, log=log)
        self.changes = ChannelChanges(
            self.channels,
            header=lambda: self.config.edge.header,
            take_note=self._take_note,
            background=self._background,
        )
        self._resync = Resync(self, self.ami, self.channels, log=log, chance=chance, on_fault=self._fault)
        self.driver = TimerDriver(
            self.channels,
            asterisk=account.name,
            pace=pace,
            learn_peers=learn_peers,
            rules=rules,
            edges=edges,
            metrics=metrics,
            log=self.log,
            look_at=self.look_at,
            ready=self.in_sync.is_set,
            holds=operator.holds,
            chance=chance,
        )

    @property
    def ready(self) -> bool:
        return self.in_sync.is_set()

    async def aclose(self) -> None:
        """Stop tracking: no call is touched any more."""
        await self.driver.aclose()
        await self.ami.aclose()
        await self._background.aclose()

    def changed(self, key: str, found: Found, speaker: EdgeClient) -> None:
        """`speaker` lists this dialog's record as changed; an edge speaks for its own calls only."""
        tracked = self.by_key.get(key)
        if tracked is not None and self._edges.speaks_for(speaker, tracked.edge):
            self.driver.changed(tracked, found)

    def look_at(self, channel: str, answered: Channel | None = None) -> None:
        """Ask Asterisk for a channel, with others that changed in the same moment.

        `answered`: it was answered this moment, so that its record need not be read.
        """
        self.changes.look_at(channel, answered)

    # Asterisk comes and goes

    def _up(self) -> None:
        self._metrics.ami_up.labels(self.name).set(1)
        self._metrics.logins.labels(self.name).inc()
        self.changes.begin_anew()
        if self._resyncing is not None:
            self._resyncing.cancel()
        self._resyncing = self._background.spawn(self._resync.run())

    def _down(self, error: AmiError) -> None:  # noqa: ARG002  # the connection has logged it
        self._metrics.ami_up.labels(self.name).set(0)
        self.in_sync.clear()
        self.driver.pause()
        if self._resyncing is not None:
            self._resyncing.cancel()

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self.log.error("internal_error", exc_info=error)

    # Records

    async def settle(self, edge: EdgeClient | None, tracked_calls: list[TrackedCall]) -> None:
        """Start the timers of calls that were up before we knew of them: their records tell since when."""
        replies = await self._edges.records(edge, [tracked.key for tracked in tracked_calls])
        for tracked, reply in zip(tracked_calls, replies, strict=True):
            tracked.busy = False
            if not tracked.gone:
                self.driver.begin(tracked, reply)

    async def reread(self, edge: EdgeClient, tracked_calls: list[TrackedCall]) -> None:
        """Read records because changes may have been missed; take what they tell."""
        unsettled = [each for each in tracked_calls if each.refreshes == UNKNOWN and not each.busy]
        settled = [each for each in tracked_calls if each.refreshes != UNKNOWN]
        both = [*unsettled, *settled]
        replies = await edge.records([tracked.key for tracked in both])
        for tracked, reply in zip(both, replies, strict=True):
            if isinstance(reply, Found) and not tracked.gone:
                if tracked.refreshes == UNKNOWN and tracked.attempt is None and not tracked.busy:
                    self.driver.begin(tracked, reply)
                else:
                    self.driver.changed(tracked, reply)

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
                self.changes.hung_up(channel)
                self.channels.stuck.forget(channel)
                tracked = self._by_channel.get(channel)
                if tracked is not None:
                    self.forget(tracked, "ended")

    def on(self, channel: str) -> TrackedCall | None:
        """The call that this channel carries, as far as we know."""
        return self._by_channel.get(channel)

    async def _take_note(self, asked: NamedChannels, found: Mapping[str, Call | None]) -> None:
        """Take note of what is on channels; of those in `asked` with a Channel, as answered this moment."""
        lost: list[TrackedCall] = []
        for name, answered in asked.items():
            if self.changes.has_ended(name) or name not in found:
                continue
            try:
                lost += await self._bind(name, found[name], answered)
            except Exception as error:  # noqa: BLE001  # the others must not be lost with it
                self._fault(error)
        # The dialog of a channel that is gone may have moved to another one, which was looked at too.
        for tracked in lost:
            if self._by_channel.get(tracked.channel) is not tracked and not tracked.gone:
                self.forget(tracked, "ended")

    async def _bind(self, channel: str, call: Call | None, answered: Channel | None) -> list[TrackedCall]:
        """Take note of what is on a channel; the call that has lost its channel by that, if any."""
        lost: list[TrackedCall] = []
        held = self._by_channel.get(channel)
        if held is not None and call is not None:
            call = call.as_known(held.key)
        if held is not None and (call is None or call.key != held.key):
            del self._by_channel[channel]
            lost.append(held)
        if call is None:
            return lost
        self._resync.seen(call.key)
        tracked = self.by_key.get(call.key)
        if tracked is not None:
            self.move(tracked, channel)
        elif answered and self.may_be_late(call):
            self.changes.look_later(answered)
        elif (tracked := self.track(call, refreshes=0 if answered else UNKNOWN)) is not None:
            if answered:
                if tracked.edge is not None:
                    tracked.edge.serves()
                self.driver.begin(tracked, None)
            else:
                await self.settle(tracked.edge, [tracked])
        return lost

    def may_be_late(self, call: Call) -> bool:
        """Whether Asterisk may not have made the internal header of this call readable yet."""
        return call.header is None and not call.refused and not self.alone

    # What is tracked

    def track(self, call: Call, refreshes: int) -> TrackedCall | None:
        """Track `call`, its timer not running yet; None for a call that is not ours to refresh."""
        if call.refused:
            self._metrics.refused_headers.labels(self.name).inc()
            self.log.warning("header_refused", call_id=call.call_id, reason=call.refused)
        header = call.header
        if header is None and not self.alone:
            self._metrics.foreign.labels(self.name).inc()
            return None
        peer = self.config.peer(name=call.endpoint if header is None else header.peer)
        if header is not None and header.peer and header.peer != peer.name:
            self._say_once("profile_unknown", header.peer, call)
        policy = peer.policy
        if policy.mode is not Mode.ANCHOR or not policy.enabled:
            return None
        edge = None if header is None else self._edges.named(header.edge)
        if header is not None and edge is None:
            self._say_once("edge_unknown", header.edge, call)
        alone = DialogTimer(Agreement.refreshed_alone(policy.default_expires))
        tracked = TrackedCall(
            channel=call.channel,
            key=call.key,
            terms=terms(edge, policy, peer.name, call.placed_by_us, call.connected),
            # By re-INVITE where there is no edge: Asterisk may swallow an UPDATE, and nobody would know.
            dialog=shared(alone if header is None else header.dialog),
            since=self._now(),
            refreshes=refreshes,
            numbers_utf8=call.numbers_utf8,
        )
        self.by_key[tracked.key] = tracked
        self._by_channel[tracked.channel] = tracked
        self._metrics.armed.labels(self.name).inc()
        return tracked

    def _say_once(self, event: str, name: str, call: Call) -> None:
        """Log what one call's header shows of a difference between the edge's settings and ours, once."""
        if (event, name) not in self._said:
            self._said.add((event, name))
            self.log.error(event, name=name, call_id=call.call_id)

    def move(self, tracked: TrackedCall, channel: str) -> None:
        """The call is on this channel, from now on or as before."""
        if tracked.channel == channel and self._by_channel.get(channel) is tracked:
            return
        if self._by_channel.get(tracked.channel) is tracked:
            del self._by_channel[tracked.channel]
        self.log.info("call_moved", call=tracked, channel=channel, was=tracked.channel)
        tracked.channel = channel
        self._by_channel[channel] = tracked

    def forget(self, tracked: TrackedCall, why: str) -> None:
        """The call is over, or no longer ours."""
        self.driver.drop(tracked)
        self.by_key.pop(tracked.key, None)
        if self._by_channel.get(tracked.channel) is tracked:
            del self._by_channel[tracked.channel]
        self._holds.excluded.pop(tracked.key, None)
        self.log.info("call_untracked", call=tracked, channel=tracked.channel, why=why)
        self.log.close(tracked, why)


def at_edge(trackers: Iterable[CallTracker], edge: EdgeClient) -> list[tuple[CallTracker, TrackedCall]]:
    """Every call of all trackers whose record is at this edge."""
    return [
        (tracker, tracked)
        for tracker in trackers
        for tracked in tracker.by_key.values()
        if tracked.edge is edge
    ]
