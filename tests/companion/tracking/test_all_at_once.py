"""Everything goes wrong at once, again and again: no live call ends, and no dead one stays."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, world

CALLS = 120
INTERVAL = 30
TROUBLES = 6


async def live(it: World, theirs: list[Channel], dead: set[str]) -> None:
    """The peers that are refreshers, and alive, keep their word."""
    while True:
        await asyncio.sleep(INTERVAL / 2)
        for call in theirs:
            if call.call_id not in dead and it.alive(call):
                it.edge.refresh(key(call))


async def trouble(it: World, chance: random.Random) -> None:
    """AMI cut, door cut, the companion killed: one of them, or all."""
    what = chance.sample(["ami", "door", "companion"], k=chance.randint(1, 3))
    if "ami" in what:
        await it.asterisk.stop()
    if "door" in what:
        it.edge.silent = True
    if "companion" in what:
        await it.stop()
    await it.until_after(it.now + chance.uniform(1, INTERVAL / 2))
    if "ami" in what:
        await it.asterisk.start()
    if "door" in what:
        it.edge.silent = False
    if "companion" in what:
        await it.start()


@pytest.mark.requirement("REF-10-04", "REF-10-07")
@pytest.mark.parametrize("seed", [1, 2])
@in_virtual_time
async def test_no_live_call_ends_and_no_dead_one_stays(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same troubles each time
    dead: set[str] = set()

    def peer(_world: World, channel: Channel, _refresh: Refresh) -> int | None:
        return None if channel.call_id in dead else 200

    async with world(tmp_path, peer=peer, settings={"brake": {"hangups_a_minute": 0}}) as it:
        calls = [
            it.call(
                f"call-{n}",
                Agreement(INTERVAL, Side.REMOTE if n % 2 else Side.LOCAL),
                placed_by_us=n % 3 == 0,
            )
            for n in range(CALLS)
        ]
        theirs = [call for n, call in enumerate(calls) if n % 2]
        living = asyncio.create_task(live(it, theirs, dead))
        try:
            for _ in range(TROUBLES):
                dead.update(call.call_id for call in chance.sample(calls, k=3))
                await trouble(it, chance)
            await it.until(lambda: it.tracker.ready)
            calm = it.now
            await it.until(
                lambda: not any(it.alive(call) for call in calls if call.call_id in dead), 2 * INTERVAL
            )
            await it.until_after(calm + 2 * INTERVAL)
        finally:
            living.cancel()
        lost = [call.call_id for call in calls if call.call_id not in dead and not it.alive(call)]
        assert lost == []
