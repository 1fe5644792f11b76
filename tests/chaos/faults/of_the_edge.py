"""The edge dies, loses its table, or does not reply to the companion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, done_to, filtered
from tests.chaos.world import World
from tests.lab.parts.killed_parts import kill, start


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


FAULTS = (
    Fault(
        "edge killed",
        "kill -9, nobody stands in, and started again after 10 seconds with an empty table",
        done_to("edge"),
        _killed,
        lasts=10,
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
)
