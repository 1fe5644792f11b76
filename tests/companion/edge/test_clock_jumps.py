"""Nothing of a session depends on a wall clock: one that jumps changes no refresh and ends no call."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, world

OURS = Agreement(12, Side.LOCAL)
HOUR = 3600.0


@in_virtual_time
async def test_a_wall_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        right = time.time
        jumps = itertools.cycle((HOUR, -HOUR, 24 * HOUR, 0.0))
        asked: list[float] = []

        def wrong() -> float:
            asked.append(right() + next(jumps))
            return asked[-1]

        monkeypatch.setattr(time, "time", wrong)
        assert abs(time.time() - time.time()) > HOUR / 2
        began = it.now
        await it.until(lambda: it.now > began + 60)
        assert it.alive(call)
        times = [began, *(sent.at for sent in it.refreshes(call))]
        assert len(times) >= 10
        assert all(later - sooner < 6.5 for sooner, later in itertools.pairwise(times))
