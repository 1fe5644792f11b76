"""A refresh that Asterisk sent late is given time to be answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, world


def after_a_moment(it: World, channel: Channel, _refresh: Refresh) -> int | None:
    """A live peer on the other side of the world."""
    asyncio.get_running_loop().call_later(0.3, it.edge.refresh, key(channel))
    return None


@pytest.mark.parametrize("side", [Side.LOCAL, Side.REMOTE])
@in_virtual_time
async def test_a_refresh_that_left_a_moment_ago_is_no_evidence_of_silence(tmp_path: Path, side: Side) -> None:
    async with world(tmp_path, peer=after_a_moment) as it:
        call = it.call("call-1", Agreement(12, side), update=False)
        await it.until(lambda: it.is_tracked(call))
        deadline = it.tracked(call).current_session().deadline
        assert deadline is not None
        first = it.tracked(call).current_session().wake
        assert first is not None
        await it.until_after(first - 0.3)
        it.asterisk.stop_reading()  # what is asked and told now is carried out just before the deadline
        await it.until_after(deadline - 0.2)
        it.asterisk.read_again()
        await it.until_after(it.now + 5)
        assert it.alive(call)
        assert it.confirmed(call) >= 1
