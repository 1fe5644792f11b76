"""Asterisk and edge as the companion sees them, for any number of calls: a process of its own.

    python -m bench.companion_world --calls 10000 --interval 90 --spare 15

Speaks AMI and is an edge's door on free ports of 127.0.0.1, which its first line names. Each refresh that
leaves is answered by the peer at once: the record moves. A line on standard input asks for the figures
since the last one; they come as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from session_timer import Agreement, DialogTimer, InternalHeader, Policy, Record, Side, record, session
from session_timer_companion.timers.tracked_call import place

from tests.companion.fakes.fake_asterisk import FakeAsterisk
from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.fake_edge import KEY, FakeEdge

CLOCK_NAME = "bench"

EXTENSIONS = 500
"""Numbers that are called; each caller has one of its own."""


@dataclass(slots=True)
class Told:
    """What the edge knows of one call. Times are the machine's monotonic clock, in seconds."""

    at: float
    spread: float
    """Where in the last tenth of half the interval the companion refreshes this call."""
    refreshes: int = 0
    read: int = 0
    """The count of refreshes that was last read."""


@dataclass
class World:
    """All calls, and what was seen of them since the last question."""

    interval: int
    spare: float
    """Seconds after which the first refresh is due, once records are read."""
    calls: dict[str, Told] = field(default_factory=dict)
    """By the record's key."""
    late: list[float] = field(default_factory=list)
    confirmed: int = 0
    asked: float = 0.0
    """When the last question came."""

    def __post_init__(self) -> None:
        self.policy = Policy()
        self.dialog = DialogTimer(
            Agreement(self.interval, Side.LOCAL), peer_supports=True, peer_allows_update=True
        )

    def channel(self, number: int, header: InternalHeader) -> Channel:
        """A call that came in. Identifiers are as long as those of real calls."""
        channel = Channel(
            name=f"PJSIP/edge-{number:08x}",
            uniqueid=f"{number}.0",
            call_id=str(uuid.uuid4()),
            local_tag=str(uuid.uuid4()),
            remote_tag=uuid.uuid4().hex[:16],
            caller_number=f"+49301{number:07}",
            connected_number=f"+49891234{number % EXTENSIONS:03}",
        )
        channel.headers["X-Session-Timer"] = header.encode(KEY, channel.call_id)
        key = record.key(channel.call_id, channel.local_tag, channel.remote_tag)
        self.calls[key] = Told(at=-1.0, spread=place(key))
        return channel

    def due(self, call: Told) -> float:
        wake = session.begin(self.dialog, call.at, self.policy, spread=call.spread).wake
        assert wake is not None
        return wake

    def refreshed(self, channel: Channel, _refresh: Refresh) -> int:
        """A refresh has left Asterisk."""
        now = time.monotonic()
        call = self.calls[record.key(channel.call_id, channel.local_tag, channel.remote_tag)]
        due = self.due(call)
        # What was due before belongs to the start, not to this measurement.
        if due > self.asked:
            self.late.append(now - due)
        call.at = now
        call.refreshes += 1
        return 200

    def told(self, call: Told) -> Record:
        if call.at < 0:
            # Calls are of every age, so that their refreshes come evenly.
            call.at = 0.0
            wait = self.due(call)
            left = self.spare + (wait - self.spare) * random.random()  # noqa: S311  # not a secret
            call.at = time.monotonic() - max(0.0, wait - left)
        if call.read != call.refreshes:
            call.read = call.refreshes
            self.confirmed += 1
        return Record(
            "asterisk",
            self.dialog,
            clock=CLOCK_NAME,
            at=call.at,
            last="local:2",
            refreshes=call.refreshes,
            on_path=True,
            far="192.0.2.7",
        )

    def figures(self) -> dict[str, Any]:
        found = {"confirmed": self.confirmed, "late": self.late}
        self.late, self.confirmed, self.asked = [], 0, time.monotonic()
        return found


@dataclass(eq=False)
class _Door(FakeEdge):
    """The edge of this world: its records are made when they are asked for."""

    world: World = field(default_factory=lambda: World(90, 0.0))

    def text(self, key: str) -> str | None:
        call = self.world.calls.get(key)
        return None if call is None else self.world.told(call).encode()


async def _main(calls: int, interval: int, spare: float) -> None:
    loop = asyncio.get_running_loop()
    world = World(interval, spare)
    header = InternalHeader(world.dialog.agreement, peer_allows_update=True, edge="edge")
    door = _Door(clock=CLOCK_NAME, ahead=0.0, world=world, record=False)
    async with FakeAsterisk(record=False, on_refresh=world.refreshed) as asterisk, door:
        for number in range(calls):
            asterisk.add(world.channel(number, header))
        print(json.dumps({"ami": asterisk.port, "door": door.address}), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(world.figures()), flush=True)


if __name__ == "__main__":
    reader = argparse.ArgumentParser()
    reader.add_argument("--calls", type=int, required=True)
    reader.add_argument("--interval", type=int, required=True)
    reader.add_argument("--spare", type=float, required=True)
    given = reader.parse_args()
    asyncio.run(_main(given.calls, given.interval, given.spare))
