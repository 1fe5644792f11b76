"""The companion dies or stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, done_to, frozen
from tests.chaos.world import World
from tests.lab.parts.killed_parts import kill, start


@contextmanager
def _killed(world: World) -> Iterator[None]:
    kill(world.stack, "companion")
    try:
        yield
    finally:
        start(world.stack, "companion")


@contextmanager
def _frozen(world: World) -> Iterator[None]:
    with frozen(world.stack.container("companion")):
        yield


FAULTS = (
    Fault(
        "companion killed",
        "kill -9, and started again after 10 seconds",
        done_to("companion"),
        _killed,
        lasts=10,
    ),
    Fault(
        "companion frozen",
        "its process stands still for 30 seconds",
        done_to("companion"),
        _frozen,
        lasts=30,
    ),
)
