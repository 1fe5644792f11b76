"""A stand-in's copy of a record, where the call's own edge is silent: news, but no evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door
from session_timer_companion.edge.pool import Copy, EdgePool
from session_timer_companion.edge.replies import Found, Unreachable

from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.fake_edge import KEY, FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, answers, key, silence, world

THEIRS = Agreement(12, Side.REMOTE)
OURS = Agreement(12, Side.LOCAL)


@asynccontextmanager
async def cut_off(path: Path, agreement: Agreement) -> AsyncIterator[tuple[World, Channel, FakeEdge]]:
    """A call whose edge answers no question any more, and a stand-in that has its record as it was."""
    async with world(path, start=False) as it, FakeEdge("other") as other:
        it.edges = [
            {"name": "edge", "door": it.edge.address, "stand_ins": ["other"]},
            {"name": "other", "door": other.address},
        ]
        call = it.call("call-1", agreement)
        other.records = dict(it.edge.records)
        await it.start()
        await it.until(lambda: it.is_tracked(call))
        it.edge.silent = True
        yield it, call, other


@pytest.mark.requirement("REF-10-07", "D-01")
@pytest.mark.parametrize("agreement", [OURS, THEIRS], ids=["ours", "theirs"])
@in_virtual_time
async def test_an_old_copy_shows_no_silence_of_a_peer_that_answers(
    tmp_path: Path, agreement: Agreement
) -> None:
    """The call's own edge writes down each 2xx, but the copies no longer arrive."""
    async with cut_off(tmp_path, agreement) as (it, call, _):
        it.peer = answers(200)
        began = it.now
        await it.until_after(began + 200)
        assert it.alive(call)
        assert it.refreshes(call)
        assert not it.asterisk.seen("Hangup")
        it.edge.silent = False
        await it.until(lambda: it.confirmed(call) == it.edge.records[key(call)].refreshes)


@pytest.mark.requirement("REF-10-04", "D-01")
@in_virtual_time
async def test_a_peer_that_is_silent_is_hung_up_once_its_own_edge_tells(tmp_path: Path) -> None:
    async with cut_off(tmp_path, THEIRS) as (it, call, _):
        it.peer = silence()
        began = it.now
        await it.until_after(began + 60)
        assert it.alive(call)
        it.edge.silent = False
        await it.until(lambda: not it.alive(call), 90)


@pytest.mark.requirement("D-01")
@in_virtual_time
async def test_a_timeout_in_a_copy_ends_nothing(tmp_path: Path) -> None:
    async with cut_off(tmp_path, OURS) as (it, call, other):
        it.peer = silence()
        await it.until(lambda: bool(it.refreshes(call)))
        other.asked(key(call))
        other.time_out(key(call))
        began = it.now
        await it.until_after(began + 100)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_an_edge_speaks_for_its_own_calls_only(tmp_path: Path) -> None:
    """One that is no stand-in lists a change of another edge's call: it is passed over."""
    async with world(tmp_path, start=False) as it, FakeEdge("other") as other:
        it.edges = [{"name": "edge", "door": it.edge.address}, {"name": "other", "door": other.address}]
        call = it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.start()
        await it.until(lambda: it.is_tracked(call))
        other.write(key(call), Agreement(1800, Side.REMOTE))
        other.refresh(key(call), None)
        began = it.now
        await it.until_after(began + 10)
        assert it.confirmed(call) == 0
        assert str(it.tracked(call).current_session().state) == "theirs"


def client(fake: FakeEdge, *stand_ins: str) -> EdgeClient:
    return EdgeClient(fake.name, Door(fake.address, KEY, 1.0), stand_ins)


@in_virtual_time
async def test_only_declared_stand_ins_are_asked() -> None:
    async with FakeEdge("one") as one, FakeEdge("two") as two, FakeEdge("three") as three:
        for fake in (two, three):
            fake.write("call;a;b", OURS)
        one.silent = True
        edges = EdgePool([client(one, "two"), client(two), client(three)])
        (reply,) = await edges.records(edges.named("one"), ["call;a;b"])
        assert isinstance(reply, Copy)
        assert reply.clocks.ours("edge-host", two.now) is not None
        assert not three.asked_for
        (alone,) = await edges.records(edges.named("three"), ["call;a;b"])
        assert type(alone) is Found
        assert [type(reply) for reply in await edges.records(None, ["x"])] == [Unreachable]
        await edges.close()


@in_virtual_time
async def test_stand_ins_that_are_known_to_be_away_are_not_waited_for_one_after_the_other() -> None:
    names = [f"away-{n}" for n in range(8)]
    fakes = [FakeEdge(name, silent=True) for name in names]
    holder = FakeEdge("holder")
    holder.write("call;a;b", OURS)
    await asyncio.gather(*[fake.start() for fake in (*fakes, holder)])
    edges = EdgePool([client(fakes[0], *names[1:], "holder"), *map(client, fakes[1:]), client(holder)])
    await asyncio.gather(*[edge.changes() for edge in edges.all()])
    now = asyncio.get_running_loop().time
    began = now()
    assert [type(reply) for reply in await edges.records(edges.named("away-0"), ["call;a;b"])] == [Copy]
    assert now() - began < 3
    await edges.close()
    await asyncio.gather(*[fake.stop() for fake in (*fakes, holder)])
