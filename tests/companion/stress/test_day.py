"""Hours of the whole companion under a random schedule; a whole day is ``make day``."""

from __future__ import annotations

import pytest

from tests.companion.stress.day import played


@pytest.mark.requirement("REF-10-07")
@pytest.mark.parametrize("seed", [4028, 3261])
def test_no_schedule_makes_us_end_a_live_call(seed: int) -> None:
    day = played(seed, hours=1.0)
    assert day.ended_by_us == []
    assert (day.faults, day.errors) == (0, [])
    # The schedule did what it is for.
    assert day.calls > 20
    assert {"200", "491", "lost", "swallowed"} <= set(day.answers)
    assert len(day.happened) >= 2
