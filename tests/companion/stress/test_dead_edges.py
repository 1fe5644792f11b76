"""Nothing is sent through an edge that is known to be down, however long; a silent one is another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from session_timer_companion.channels.calls import Media
from session_timer_companion.edge.host import Host, Seen
from session_timer_companion.timers.refresh import OUTAGE

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.fake_edge import FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import TIMER_F, Agreement, Side, World, into_nothing, world

NOTICED = 5.0
"""Seconds within which a change is noticed: a round of questions, and what one of them takes."""

LATEST = 90 - 15 - 6.75 - 2
"""Seconds of an interval of 90 until which a refresh leaves in any case (`Session.latest`)."""


class Dead:
    """Whether SIP goes nowhere."""

    sip = False

    def peer(self, it: World, channel: Channel, _refresh: Refresh) -> int | None:
        return into_nothing(it, channel) if self.sip else 200


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("how", ["its process", "its host"])
@in_virtual_time
async def test_an_edge_that_is_dead_for_longer_than_a_session_costs_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: Side, how: str
) -> None:
    dead = Dead()

    async def look(_host: Host) -> Seen:
        return Seen.SILENT if dead.sip else Seen.THERE

    if how == "its host":
        monkeypatch.setattr(Host, "look", look)
    async with world(tmp_path, peer=dead.peer) as it:
        calls = [it.call(f"call-{n}", Agreement(12, side)) for n in range(8)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        await it.until_after(it.now + 2)
        if how == "its host":
            it.edge.silent = True
        else:
            await it.edge.stop()
        dead.sip = True
        sent = len(it.sent)
        await it.until_after(it.now + 44)
        assert len(it.sent) == sent
        assert it.tracker.driver.held == 8
        it.edge.silent = dead.sip = False
        await it.edge.stop()
        await it.edge.start()
        await it.until(lambda: all(it.confirmed(call) >= 1 for call in calls), 20)
        assert it.tracker.driver.held == 0
        await it.until_after(it.now + TIMER_F + 1)
        assert all(it.alive(call) for call in calls)


@in_virtual_time
async def test_a_call_whose_session_is_over_by_then_is_judged_after_two_forms(tmp_path: Path) -> None:
    """Its path swallows UPDATE: one form alone would end a live call for our being late."""
    async with world(tmp_path, peer=lambda _world, _channel, refresh: 200 if refresh.sdp else None) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        await it.edge.stop()
        await it.until_after(it.now + 120)
        assert not it.sent
        await it.edge.start()
        await it.until(lambda: it.confirmed(call) == 1)
        assert [sent.refresh.method for sent in it.refreshes(call)] == ["UPDATE", "INVITE"]
        assert it.alive(call)


@in_virtual_time
async def test_a_dead_edge_that_turns_silent_gets_what_was_held_within_seconds(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", Agreement(90, Side.LOCAL)) for n in range(5)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        await it.edge.stop()
        await it.until_after(it.now + 90)
        assert not it.sent
        it.edge.silent = True
        await it.edge.start()
        began = it.now
        await it.until(lambda: len(it.sent) == 5, 20)
        assert it.now - began < NOTICED
        assert it.tracker.driver.held == 0, "what has left is not held"


@in_virtual_time
async def test_what_is_held_leaves_after_the_longest_outage(tmp_path: Path) -> None:
    """We may be wrong about the edge, and then no call must go without its refresh for ever."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        await it.edge.stop()
        await it.until(lambda: bool(it.sent), 600)
        assert it.sent[0].at - answered == pytest.approx(LATEST + OUTAGE, abs=1.5)


@in_virtual_time
async def test_a_call_that_comes_through_a_dead_door_shows_that_sip_is_well(tmp_path: Path) -> None:
    """Its listener for TCP is gone, or a firewall refuses us: every peer would hang up without refresh."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        await it.edge.stop()
        await it.until_after(it.now + 80)
        assert not it.sent
        it.call("call-2", Agreement(90, Side.LOCAL))
        await it.until(lambda: bool(it.refreshes(call)), NOTICED)


@in_virtual_time
async def test_where_another_stands_in_a_refresh_leaves_in_time(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it, FakeEdge("other") as other:
        it.edges = [
            {"name": "edge", "door": it.edge.address, "stand_ins": ["other"]},
            {"name": "other", "door": other.address},
        ]
        await it.start()
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        await it.edge.stop()
        await it.until(lambda: bool(it.sent))
        assert it.sent[0].at - answered == pytest.approx(LATEST, abs=1.5)


@in_virtual_time
async def test_an_edge_that_dies_while_asterisk_is_slow_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be sent was found due two seconds ago, and by then the edge was there."""
    dead = Dead()
    async with world(tmp_path, peer=dead.peer) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL), update=False)
        await it.until(lambda: it.is_tracked(call))
        quick = it.tracker.channels.media

        async def slow(channel: str) -> Media:
            await it.edge.stop()
            dead.sip = True
            await asyncio.sleep(2)
            return await quick(channel)

        monkeypatch.setattr(it.tracker.channels, "media", slow)
        await it.until(lambda: it.tracker.driver.held == 1)
        assert not it.sent
