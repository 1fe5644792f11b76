"""A peer that answers no refresh of ours, and sends a request itself meanwhile: it is there, and is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

from session_timer import Side
from structlog.testing import capture_logs

from tests.companion.evidence.test_links import BOTH, stands
from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, World, key, world


def once_crossing(it: World, channel: Channel, refresh: Refresh) -> None:
    """The same, but only while our first refresh is open."""
    if len(it.refreshes(channel)) == 1:
        crossing(it, channel, refresh)


def crossing(it: World, channel: Channel, _refresh: Refresh) -> None:
    """A peer that never answers, and asks something itself each time, which is refused."""

    def heard() -> None:
        it.edge.asked(key(channel), "INVITE", Side.REMOTE)
        it.edge.fail(key(channel), 491, side=Side.REMOTE)

    asyncio.get_running_loop().call_later(0.5, heard)


@BOTH
@in_virtual_time
async def test_with_a_request_of_the_peer_since(tmp_path: Path, agreement: Agreement) -> None:
    """It is alive, whatever became of ours: the other form follows, and the line comes with its end."""
    with capture_logs() as logged:
        async with world(tmp_path, peer=crossing) as it:
            call = it.call("call-1", agreement)
            await it.until(lambda: "peer_alive" in {line["event"] for line in logged}, 20)
            first, second = (sent.refresh.method for sent in it.refreshes(call)[:2])
            assert (first, second) == ("UPDATE", "INVITE")
            await stands(it, call, 60)


@BOTH
@in_virtual_time
async def test_one_request_in_a_round_keeps_it_and_the_next_round_ends_what_is_dead(
    tmp_path: Path, agreement: Agreement
) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, peer=once_crossing) as it:
            call = it.call("call-1", agreement)
            began = it.now
            await it.until(lambda: not it.alive(call), 60)
            assert it.now - began > 2 * 6
    assert [line["event"] for line in logged if line["event"] in ("peer_alive", "hung_up")] == [
        "peer_alive",
        "hung_up",
    ]


@in_virtual_time
async def test_a_peer_that_was_heard_is_refreshed_again_in_time_at_half_an_hour(tmp_path: Path) -> None:
    """Its first refresh timed out and it was heard since. Another form goes out at once."""
    left = [crossing]

    def once(it: World, channel: Channel, refresh: Refresh) -> int | None:
        return left.pop()(it, channel, refresh) if left else 200

    async with world(tmp_path, peer=once) as it:
        call = it.call("call-1", Agreement(1800, Side.LOCAL))
        answered = it.now
        await it.until(lambda: it.confirmed(call) == 1, 1800)
        assert it.now - answered < 900 + 60
