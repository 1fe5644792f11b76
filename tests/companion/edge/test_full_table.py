"""An edge whose memory was full answers in the peers' stead, and keeps no record: nobody stands for that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, silence, world

FULL = 40.0
"""Seconds for which it is."""


async def full(it: World, seconds: float) -> None:
    """The table takes nothing for so long, of other calls neither."""
    it.memory_full, end = True, it.now + seconds
    while it.now < end:
        it.edge.refuse("of-another-call")
        await asyncio.sleep(2)
    it.memory_full = False


@pytest.mark.requirement("D-01", "REF-10-07")
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("interval", [30, 180])
@in_virtual_time
async def test_a_dead_peer_is_found_as_soon_as_records_are_kept_again(
    tmp_path: Path, side: Side, interval: int
) -> None:
    async with world(tmp_path, peer=silence(), writes_anew=True) as it:
        call = it.call("call-1", Agreement(interval, side))
        await it.until(lambda: it.is_tracked(call))
        it.memory_full = True
        await it.until(lambda: len(it.refreshes(call)) >= 1, interval)
        await full(it, FULL)
        again = it.now
        assert it.alive(call), "nothing was seen of the peer"
        await it.until(lambda: not it.alive(call), interval + 120)
        assert it.asterisk.seen("Hangup")
        # The table is watched for five seconds, and a refresh has up to 12 for its response.
        assert it.now - again < 25


@pytest.mark.requirement("D-01", "REF-10-07")
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("interval", [30, 180])
@in_virtual_time
async def test_a_dead_peer_is_found_though_no_route_ran_when_the_edges_timer_fired(
    tmp_path: Path, side: Side, interval: int
) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", Agreement(interval, side))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        it.no_routes = True
        await it.until(lambda: len(it.refreshes(call)) >= 1, interval)
        await it.until_after(it.now + interval / 10)
        it.no_routes = False
        await it.until(lambda: not it.alive(call), interval + 120)
        assert it.asterisk.seen("Hangup")
        # The edge's longest wait is over before that refresh is given up.
        assert it.now - answered < interval * 1.25


@pytest.mark.requirement("D-01", "UAC-7.2-16")
@pytest.mark.parametrize("side", list(Side))
@in_virtual_time
async def test_a_live_peer_is_refreshed_as_soon_as_records_are_kept_again(tmp_path: Path, side: Side) -> None:
    async with world(tmp_path, writes_anew=True) as it:
        call = it.call("call-1", Agreement(90, side))
        await it.until(lambda: it.is_tracked(call))
        it.memory_full = True
        await it.until(lambda: len(it.refreshes(call)) >= 1, 90)
        await full(it, FULL)
        again = it.now
        await it.until(lambda: it.confirmed(call) >= 1)
        assert it.now - again < 15
        assert it.alive(call)


@pytest.mark.requirement("REF-10-06")
@in_virtual_time
async def test_a_table_that_stays_full_is_not_asked_on_and_on(tmp_path: Path) -> None:
    """Other calls lose their records all the while, and what is sent would only burden the edge."""
    async with world(tmp_path, peer=silence(), writes_anew=True) as it:
        call = it.call("call-1", Agreement(180, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        await full(it, 1200)
        assert it.alive(call)
        assert len(it.refreshes(call)) <= 2 * 1200 / 85
        assert key(call) not in it.edge.records
