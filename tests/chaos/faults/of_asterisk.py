"""Asterisk dies, restarts or stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, done_to, frozen
from tests.chaos.world import World
from tests.lab.parts.killed_parts import kill, start


@contextmanager
def _killed(world: World) -> Iterator[None]:
    kill(world.stack, "asterisk")
    try:
        yield
    finally:
        start(world.stack, "asterisk")


@contextmanager
def _restarted(world: World) -> Iterator[None]:
    world.stack.exec("asterisk", "asterisk", "-rx", "core restart now")
    yield


@contextmanager
def _frozen(world: World) -> Iterator[None]:
    with frozen(world.stack.container("asterisk")):
        yield


FAULTS = (
    Fault(
        "Asterisk killed",
        "kill -9, and started again after 5 seconds",
        done_to("asterisk", "ami"),
        _killed,
        lasts=5,
        ends_calls=True,
    ),
    Fault(
        "Asterisk restarted",
        "`core restart now`: it hangs up every call on its way down",
        done_to("asterisk", "ami"),
        _restarted,
        lasts=5,
        ends_calls=True,
    ),
    Fault(
        "Asterisk frozen",
        "its process stands still for 20 seconds",
        done_to("asterisk", "ami"),
        _frozen,
        lasts=20,
        recovery=15,
        why="the connection was given up meanwhile, and is made anew",
    ),
)
