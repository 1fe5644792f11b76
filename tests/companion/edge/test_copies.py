"""Another edge's copy of a record, where the call's own edge is silent: news, but no evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from session_timer import InternalHeader
from session_timer_companion.edge.pool import Copy, EdgePool

from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.fake_edge import FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, answers, key, silence, world

THEIRS = Agreement(12, Side.REMOTE)
OURS = Agreement(12, Side.LOCAL)


@asynccontextmanager
async def cut_off(path: Path, agreement: Agreement) -> AsyncIterator[tuple[World, Channel, FakeEdge]]:
    """A call whose edge answers no question any more, and another edge that has its record as it was."""
    async with world(path, start=False) as it, FakeEdge() as other:
        call = it.call("call-1", agreement)
        elsewhere = it.call("call-2", None)
        header = InternalHeader(None, peer_allows_update=True, rpc=other.address).encode()
        elsewhere.headers["X-Session-Timer"] = header
        other.records = dict(it.edge.records)
        await it.start()
        await it.until(lambda: it.is_tracked(call) and it.is_tracked(elsewhere))
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
        assert len(it.refreshes(call)) > 5
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


@in_virtual_time
async def test_a_refusal_in_a_copy_is_heard(tmp_path: Path) -> None:
    """It names its time: it cannot be of an earlier refresh."""
    async with cut_off(tmp_path, Agreement(180, Side.LOCAL)) as (it, call, other):
        it.peer = silence()
        await it.until(lambda: len(it.refreshes(call)) == 1, 180)
        other.fail(key(call), 405)
        await it.until(lambda: len(it.refreshes(call)) == 2, 10)
        assert [sent.refresh.method for sent in it.refreshes(call)] == ["UPDATE", "INVITE"]


@in_virtual_time
async def test_many_edges_that_are_known_to_be_away_are_not_waited_for_one_after_the_other() -> None:
    async with AsyncExitStack() as stack:
        edges = EdgePool(timeout=1.0)
        asked = []
        for _ in range(9):
            fake = await stack.enter_async_context(FakeEdge())
            fake.silent = True
            asked.append(edges.at(fake.address))
        holder = await stack.enter_async_context(FakeEdge())
        holder.write("call;a;b", OURS)
        edges.at(holder.address)
        await asyncio.gather(*[edge.changes() for edge in edges.all()])
        now = asyncio.get_running_loop().time
        began = now()
        assert [type(answer) for answer in await edges.records(asked[0], ["call;a;b"])] == [Copy]
        assert now() - began < 3
        edges.close()
