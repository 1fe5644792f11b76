"""The edge dies, loses its table, or does not reply to the companion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, Scene, beside, done_to, filtered
from tests.chaos.scenes import SHARED
from tests.chaos.world import EdgePair, World
from tests.lab.parts.killed_parts import kill, start
from tests.lab.parts.replicated_edges import leave, take
from tests.lab.stack import LabError


@contextmanager
def _killed(world: World) -> Iterator[None]:
    kill(world.stack, "edge")
    try:
        yield
    finally:
        start(world.stack, "edge")


@contextmanager
def _door_silent(world: World) -> Iterator[None]:
    with filtered(world.stack, "edge", "INPUT -p tcp --dport 5060 -j DROP"):
        yield


@contextmanager
def _memory_full(world: World) -> Iterator[None]:
    stack = world.stack
    with beside(stack, "tests.chaos.inside.fill_memory", stack.edge) as filling:
        taken = filling.told(within=60)
    world.note(f"{int(taken) / 2**20:.0f} MiB were left to be filled")
    try:
        yield
    finally:
        stack.exec("edge", "kamcmd", "htable.flush", "session_timer_min_se")


def _pair(world: World) -> EdgePair:
    if world.pair is None:
        raise LabError("this fault needs two edges")
    return world.pair


@contextmanager
def _stood_in_for(world: World) -> Iterator[None]:
    pair, dead = _pair(world), _pair(world).holder.edge.service
    kill(world.stack, dead)
    take(world.stack, pair.other, SHARED)
    pair.swap()
    try:
        yield
    finally:
        start(world.stack, dead)


@contextmanager
def _moved(world: World) -> Iterator[None]:
    pair = _pair(world)
    leave(world.stack, pair.holder, SHARED)
    take(world.stack, pair.other, SHARED)
    pair.swap()
    yield


FAULTS = (
    Fault(
        "edge killed",
        "kill -9, nobody stands in, and started again after 10 seconds with an empty table",
        done_to("edge"),
        _killed,
        lasts=10,
    ),
    Fault(
        "edge killed beside a stand-in",
        "kill -9 of the edge that has the address; another that replicates its records takes it at once, and "
        "10 seconds later the dead one is back",
        done_to("edge"),
        _stood_in_for,
        lasts=10,
        scene=Scene.TWO_EDGES,
    ),
    Fault(
        "edge's address moved",
        "the address goes to the other edge, and the one that had it lives on",
        done_to("edge"),
        _moved,
        lasts=0,
        scene=Scene.TWO_EDGES,
    ),
    Fault(
        "edge's table lost",
        "Kamailio restarts at once, and knows no call",
        done_to("edge"),
        _killed,
        lasts=0,
    ),
    Fault(
        "edge's door silent",
        "SIP passes, and what the companion asks gets no reply for 20 seconds",
        done_to("edge"),
        _door_silent,
        lasts=20,
    ),
    Fault(
        "edge's memory full",
        "Kamailio's shared memory is filled to the last bytes for 20 seconds",
        done_to("edge"),
        _memory_full,
        lasts=20,
        recovery=15,
        why="for 5 seconds the table is watched, then what left no trace in it is sent again",
    ),
)
