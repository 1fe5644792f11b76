"""The brake on hang-ups: what one stranger's dead calls can do to the calls of others."""

from __future__ import annotations

from collections.abc import Collection
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
    return made(refreshed=0)


def made(refreshed: int) -> HangUpBrake:
    """A brake, where so many calls with others have been refreshed within the minute."""
    return HangUpBrake(lambda: ALLOWED, lambda _peers: refreshed, Metrics(), structlog.get_logger())


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


@pytest.mark.parametrize("at_once", [False, True])
def test_a_second_address_of_a_stranger_stops_nobody_else_while_others_answer(at_once: bool) -> None:
    brake = made(refreshed=ALLOWED)
    if at_once:
        assert sum(not brake.stops(0.0, (STRANGER, ANOTHER)[n % 2]) for n in range(50)) == ALLOWED
    else:
        assert hung_up(brake, STRANGER, 50) == ALLOWED
        assert hung_up(brake, ANOTHER, 50) == ALLOWED
    assert brake.standing == f"on for {STRANGER}, {ANOTHER}"
    assert hung_up(brake, CARRIER, ALLOWED - 1) == ALLOWED - 1
    assert brake.stops(0.0, STRANGER)
    assert brake.release()
    assert brake.standing == "off"


def test_a_third_address_stops_all() -> None:
    brake = made(refreshed=1000)
    for n in range(2):
        hung_up(brake, f"203.0.113.{n}", 50)
    assert hung_up(brake, "203.0.113.2", 50) == ALLOWED
    assert brake.standing == "on"


def test_many_with_many_peers_stop_all_although_others_answer() -> None:
    brake = made(refreshed=1000)
    assert sum(not brake.stops(0.0, f"198.51.100.{n % 5}") for n in range(30)) == ALLOWED
    assert brake.standing == "on"


def test_fewer_calls_that_answer_than_were_hung_up_show_nothing() -> None:
    brake = made(refreshed=ALLOWED - 1)
    hung_up(brake, STRANGER, 50)
    assert hung_up(brake, ANOTHER, 50) == ALLOWED
    assert brake.standing == "on"


def test_the_calls_of_those_that_are_kept_are_no_others() -> None:
    asked: list[tuple[str, ...]] = []

    def refreshed(apart_from: Collection[str]) -> int:
        asked.append(tuple(apart_from))
        return 0

    brake = HangUpBrake(lambda: ALLOWED, refreshed, Metrics(), structlog.get_logger())
    hung_up(brake, STRANGER, 50)
    hung_up(brake, ANOTHER, 50)
    assert set(asked) == {(STRANGER, ANOTHER)}


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
        await it.until(lambda: it.companion is not None and it.companion.brake.peers == (STRANGER,))
        assert it.companion.standing().endswith(f"; the brake is on for calls with {STRANGER}")
        names = [f"PJSIP/another-{n}" for n in range(3)]
        others = [it.call(name, Agreement(12, Side.LOCAL), name=name) for name in names]
        await it.until(lambda: not any(it.alive(call) for call in others), 60)
        assert sum(it.alive(call) for call in theirs) == 15


@in_virtual_time
async def test_a_stranger_with_two_addresses_keeps_nobody_elses_dead_calls_up(tmp_path: Path) -> None:
    async with world(tmp_path, settings={"brake": {"least": 6}}) as it:
        assert it.companion is not None
        strangers = [it.call(f"stranger-{n}", Agreement(12, Side.LOCAL), known=False) for n in range(30)]
        dead = {each.call_id for each in strangers}
        it.peer = lambda _world, channel, _refresh: None if channel.call_id in dead else 200
        for n, call in enumerate(strangers):
            it.edge.write(key(call), Agreement(12, Side.LOCAL), far=(STRANGER, ANOTHER)[n % 2])
        live = [it.call(f"live-{n}", Agreement(12, Side.LOCAL)) for n in range(8)]
        await it.until(lambda: it.companion is not None and len(it.companion.brake.peers) == 2)
        kept = sum(it.alive(call) for call in strangers)
        assert kept > 15
        other = it.call("another", Agreement(12, Side.LOCAL), name="PJSIP/another-1")
        dead.add(other.call_id)
        await it.until(lambda: not it.alive(other), 60)
        assert sum(it.alive(call) for call in strangers) == kept
        assert all(it.alive(call) for call in live)
