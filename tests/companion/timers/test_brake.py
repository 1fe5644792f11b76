"""The brake on hang-ups: what one stranger's dead calls can do to the calls of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.brake import MINUTE, HangUpBrake
from structlog.testing import capture_logs

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, key, silence, world

STRANGER, CARRIER, ANOTHER = "203.0.113.7", "198.51.100.1", "198.51.100.2"
ALLOWED = 10


@pytest.fixture
def brake() -> HangUpBrake:
    return HangUpBrake(lambda: ALLOWED, Metrics(), structlog.get_logger())


def hung_up(brake: HangUpBrake, far: str, calls: int, now: float = 0.0) -> int:
    """How many of so many calls with a peer may be hung up."""
    return sum(not brake.stops(now, far) for _ in range(calls))


def test_most_with_one_peer_keep_the_calls_of_that_peer_alone(brake: HangUpBrake) -> None:
    with capture_logs() as logged:
        assert hung_up(brake, CARRIER, 2) == 2
        assert hung_up(brake, STRANGER, 50) == ALLOWED - 2
    assert brake.standing == f"on for {STRANGER}"
    assert [(line["event"], line["far"]) for line in logged] == [("brake_on", STRANGER)]
    assert hung_up(brake, CARRIER, 5) == 5
    assert hung_up(brake, STRANGER, 1, now=10 * MINUTE) == 0, "until a person has looked"


def test_many_with_many_peers_stop_all(brake: HangUpBrake) -> None:
    """A fault of ours meets everybody."""
    calls = [f"198.51.100.{n % 5}" for n in range(30)]
    assert sum(not brake.stops(0.0, far) for far in calls) == ALLOWED
    assert brake.standing == "on"


def test_a_second_peer_with_as_many_stops_all(brake: HangUpBrake) -> None:
    assert hung_up(brake, CARRIER, 50) == ALLOWED
    assert hung_up(brake, ANOTHER, 50) == ALLOWED
    assert brake.standing == "on"
    assert hung_up(brake, "198.51.100.3", 5) == 0


def test_where_nobody_knows_the_peers_all_are_stopped(brake: HangUpBrake) -> None:
    assert hung_up(brake, "", 50) == ALLOWED
    assert brake.standing == "on"


def test_a_person_releases_it(brake: HangUpBrake) -> None:
    hung_up(brake, STRANGER, 50)
    assert brake.release()
    assert brake.standing == "off"
    assert hung_up(brake, STRANGER, 3) == 3
    assert not brake.release()


@in_virtual_time
async def test_dead_calls_of_others_are_ended_while_those_of_a_stranger_are_kept(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence(), settings={"brake": {"least": 5}}) as it:
        assert it.companion is not None
        theirs = [it.call(f"stranger-{n}", Agreement(12, Side.LOCAL), known=False) for n in range(20)]
        for call in theirs:
            it.edge.write(key(call), Agreement(12, Side.LOCAL), far=STRANGER)
        await it.until(lambda: it.companion is not None and it.companion.brake.peer == STRANGER)
        assert it.companion.standing().endswith(f"; the brake is on for calls with {STRANGER}")
        names = [f"PJSIP/another-{n}" for n in range(3)]
        others = [it.call(name, Agreement(12, Side.LOCAL), name=name) for name in names]
        await it.until(lambda: not any(it.alive(call) for call in others), 60)
        assert sum(it.alive(call) for call in theirs) == 15
