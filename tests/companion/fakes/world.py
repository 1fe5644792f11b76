"""A whole world for the companion: an Asterisk and an edge, both fake, and calls between them.

async with world(tmp_path) as it:
    call = it.call("call-1", Agreement(12, Side.LOCAL))
    await it.until(lambda: it.edge.records[call.key].refreshes == 2)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from session_timer import Agreement, InternalHeader, Side, record
from session_timer_companion.companion import Companion
from session_timer_companion.config import Configuration, load
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.tracker import CallTracker

from tests.companion.fakes.fake_asterisk import FakeAsterisk
from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.fake_edge import KEY, FakeEdge

KEY_TEXT = "a-key-of-the-tests-that-is-long-enough\n"

Peer = Callable[["World", Channel, Refresh], int | None]
"""What the far side does with a refresh: the code of its response, None for silence, or `SWALLOWED`."""

SWALLOWED = -1
"""Asterisk says Success, and nothing leaves it."""


def answers(code: int) -> Peer:
    """A peer that always answers with this code."""
    return lambda _world, _channel, _refresh: code


def takes_turns(*codes: int | None) -> Peer:
    """A peer that answers with one code after the other, and then always with the last."""
    left = list(codes)
    return lambda _world, _channel, _refresh: left.pop(0) if len(left) > 1 else left[0]


def silence() -> Peer:
    return lambda _world, _channel, _refresh: None


TIMER_F = 32.0
"""Seconds after which Asterisk ends a call whose refresh got no response."""


def into_nothing(it: World, channel: Channel) -> int:
    """The edge is dead: this refresh is never answered, and Asterisk then ends the call."""

    def end() -> None:
        if it.alive(channel):
            it.asterisk.hangup(channel)

    asyncio.get_running_loop().call_later(TIMER_F, end)
    return SWALLOWED


def swallowed_updates(_world: World, _channel: Channel, refresh: Refresh) -> int | None:
    """As with an endpoint that has no `send_pai`: the tag changes, nothing leaves; an offer is answered."""
    return 200 if refresh.sdp else SWALLOWED


@dataclass
class Sent:
    """A refresh that left Asterisk; `at` in seconds of the loop's clock."""

    call_id: str
    refresh: Refresh
    at: float


@dataclass
class World:
    """Asterisk, edge and companion; `peer` is what the far side does."""

    asterisk: FakeAsterisk
    edge: FakeEdge
    path: Path
    peer: Peer = field(default_factory=lambda: answers(200))
    sent: list[Sent] = field(default_factory=list)
    companion: Companion | None = None
    policy: dict[str, object] = field(default_factory=dict)
    peers: list[dict[str, object]] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    alone: bool = False
    """There is no edge in front of Asterisk."""
    beside: FakeAsterisk | None = None
    """A second Asterisk of the same companion: `ast2`."""
    edges: list[dict[str, object]] | None = None
    """`companion.edges`, where it is not the one edge."""
    passes: bool = True
    """What Asterisk sends passes the edge."""
    writes_anew: bool = False
    """The edge begins a record anew where a request of ours passes and there is none."""
    no_routes: bool = False
    """The edge has no memory to run a route when its timer fires: what is open stays so in the record."""
    memory_full: bool = False
    """The edge has no memory for records nor for what Asterisk sends, and answers that 500 itself."""

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def tracker(self) -> CallTracker:
        assert self.companion is not None
        return self.companion.trackers[0]

    def tracker_of(self, asterisk: FakeAsterisk) -> CallTracker:
        assert self.companion is not None
        return self.companion.trackers[asterisk is self.beside]

    def tracked(self, channel: Channel) -> TrackedCall:
        return self.tracker.by_key[key(channel)]

    def is_tracked(self, channel: Channel) -> bool:
        return self.companion is not None and key(channel) in self.tracker.by_key

    def configuration(self) -> Configuration:
        asterisks = [self.asterisk, *([self.beside] if self.beside else [])]
        data: dict[str, object] = {
            "unsafe_lab_intervals": True,
            "session_timer": {"default_expires": 12, "min_se": 4, **self.policy},
            "peers": self.peers,
            "edge": {} if self.alone else {"door": self.edge.address, "key_file": "key"},
            "companion": {
                "ami": [
                    {
                        "name": f"ast{number}",
                        "host": "127.0.0.1",
                        "port": asterisk.port,
                        "secret": "s3cret",
                        "alone": self.alone,
                    }
                    for number, asterisk in enumerate(asterisks, 1)
                ],
                "http": {"enabled": False},
                "door_timeout": 2.0,
                **({} if self.edges is None else {"edges": self.edges}),
                **self.settings,
            },
        }
        file = self.path / "session-timer.yaml"
        file.write_text(yaml.safe_dump(data))
        (self.path / "key").write_text(KEY_TEXT)
        configuration = load(file, {})
        self.edge.digest = self.edge.digest or configuration.shared.digest()
        return configuration

    async def start(self) -> Companion:
        """Start a companion and wait until it is in step with Asterisk."""
        self.companion = Companion(self.configuration())
        await self.companion.connect()
        self._reading = asyncio.create_task(self.companion.changes.run())
        await self.until(lambda: self.tracker.ready)
        return self.companion

    async def stop(self) -> None:
        """End the companion as kill -9 would: nothing is told to anybody."""
        if self.companion is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            await self.companion.aclose()
            self.companion = None

    def call(
        self,
        call_id: str,
        agreement: Agreement | None,
        *,
        placed_by_us: bool = False,
        update: bool = True,
        age: float = 0.0,
        known: bool = True,
        peer: str = "",
        ring: bool = False,
        name: str = "",
        at: FakeAsterisk | None = None,
        edge: str = "",
    ) -> Channel:
        """A call that is answered now, or `age` seconds ago; `known`: the edge has its record."""
        asterisk = at or self.asterisk
        channel = Channel(
            name or f"PJSIP/carrier-{len(asterisk.channels):08x}", f"1.{call_id}", call_id, state=4
        )
        channel.peer_allows_update = update
        channel.placed = placed_by_us
        placed = Side.LOCAL if placed_by_us else Side.REMOTE
        header = InternalHeader(agreement, update, edge or self.edge.name, peer, placed).encode(KEY, call_id)
        (channel.response_headers if placed_by_us else channel.headers)["X-Session-Timer"] = header
        if known:
            self.edge.write(key(channel), agreement, update=update, age=age, peer=peer)
        asterisk.add(channel)
        if not ring:
            asterisk.answer(channel)
        return channel

    async def until(self, condition: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait until it holds; fails after so many seconds of the loop's clock.

        It looks every 0.1 s, and where it may wait for long every 3,600th part of that.
        """
        pause = max(0.1, seconds / 3600)
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(pause)

    async def until_after(self, moment: float) -> None:
        """Wait until the loop's clock has passed that moment."""
        await self.until(lambda: self.now > moment, max(0.0, moment - self.now) + 60)

    def confirmed(self, channel: Channel) -> int:
        """How many refreshes of this call the companion knows to have taken place."""
        tracked = self.tracker.by_key.get(key(channel))
        return tracked.refreshes if tracked is not None else 0

    def refreshes(self, channel: Channel) -> list[Sent]:
        return [sent for sent in self.sent if sent.call_id == channel.call_id]

    def alive(self, channel: Channel) -> bool:
        return channel.name in self.asterisk.channels

    def on_refresh(self, channel: Channel, refresh: Refresh) -> int:
        """A refresh leaves Asterisk, passes the edge, and the peer may answer."""
        self.sent.append(Sent(channel.call_id, refresh, self.now))
        if self.memory_full:
            self.edge.refuse(key(channel))
            return 500
        record = self.edge.records.get(key(channel))
        code = self.peer(self, channel, refresh)
        if record is None and self.writes_anew and self.passes and code != SWALLOWED:
            record = self.edge.begin_anew(key(channel))
        if record is None or not self.passes or code == SWALLOWED:
            return 0 if code in (None, SWALLOWED) else code
        cseq = self.edge.asked(key(channel), refresh.method)
        if code is None:
            interval = record.dialog.agreement.interval if record.dialog.agreement else 12
            wait = self.tracked(channel).policy.answer_time(interval) if self.is_tracked(channel) else 2.0
            if not self.no_routes:
                asyncio.get_running_loop().call_later(wait, self.edge.time_out, key(channel), cseq)
            return 0
        if 200 <= code < 300:
            if record.is_without_2xx:
                self.edge.write(key(channel), Agreement(12, Side.LOCAL))
            else:
                self.edge.refresh(key(channel))
        elif code >= 300:
            self.edge.fail(key(channel), code)
        return code


def key(channel: Channel) -> str:
    return record.key(channel.call_id, channel.local_tag, channel.remote_tag)


@asynccontextmanager
async def world(path: Path, *, start: bool = True, **settings: object) -> AsyncIterator[World]:
    """A world with a companion that has started; `settings` are attributes of `World`."""
    async with FakeAsterisk() as asterisk, FakeEdge() as edge:
        it = World(asterisk, edge, path)
        for name, value in settings.items():
            setattr(it, name, value)
        asterisk.on_refresh = it.on_refresh
        try:
            if start:
                await it.start()
            yield it
        finally:
            await it.stop()


__all__ = [
    "TIMER_F",
    "Agreement",
    "Side",
    "World",
    "answers",
    "into_nothing",
    "key",
    "silence",
    "swallowed_updates",
    "takes_turns",
    "world",
]
