"""A short part of `make chaos`: fewer calls, a short interval, and faults that need no root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.chaos.crowd import Load
from tests.chaos.faults.listed import named
from tests.chaos.rounds import play
from tests.chaos.scenes import one_edge
from tests.chaos.world import World
from tests.lab.together import Stage

LOAD = Load(live=30, dead=9, churn=1.0, interval=12, hold=4.0)
QUICK = {"edge's table lost": 0.0, "companion killed": 6.0, "Asterisk killed": 2.0}
"""How long each lasts, in seconds."""
FAULTS = {fault.name: replace(fault, lasts=QUICK[fault.name]) for fault in named(list(QUICK))}
ROUNDS = (("edge's table lost", "companion killed"), ("Asterisk killed",))
"""What comes at once: two faults that leave the calls up, then the one that ends them."""


@pytest.fixture(scope="module")
def world(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_edge(stage.stack, LOAD, tmp_path_factory.mktemp("chaos")) as found:
        yield found
        found.crowd.hang_up()
    # The edge was restarted, and what watched it with it.
    stage.wire.begin()
    stage.companion.ready()


@pytest.mark.requirement("REF-10-02", "REF-10-07", "UAC-7.2-15")
@pytest.mark.parametrize("names", ROUNDS, ids=lambda names: "-and-".join(names).replace(" ", "-"))
def test_no_live_call_is_lost_no_dead_one_stands_and_nothing_is_left(
    world: World, names: tuple[str, ...]
) -> None:
    seen = play(world, [FAULTS[name] for name in names])
    print(seen)
    assert seen.live == LOAD.live
    assert seen.dead == LOAD.dead
    assert seen.verdict.lost == ()
    assert seen.verdict.standing == ()
    assert seen.verdict.left == ()
    assert seen.whole is not None, "it was never whole again"
