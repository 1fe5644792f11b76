"""Asterisk dies or stands still, and the connection to its manager fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, done_to, filtered, frozen
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
def _frozen(world: World) -> Iterator[None]:
    with frozen(world.stack.container("asterisk")):
        yield


@contextmanager
def _cut(world: World) -> Iterator[None]:
    reset = "-p tcp --dport 5038 -s {} -j REJECT --reject-with tcp-reset"
    with filtered(world.stack, "asterisk", "INPUT " + reset.format(world.stack.address(30))):
        yield


@contextmanager
def _half_open(world: World) -> Iterator[None]:
    own = world.stack.address(30)
    rules = (f"INPUT -p tcp --dport 5038 -s {own} -j DROP", f"OUTPUT -p tcp --sport 5038 -d {own} -j DROP")
    with filtered(world.stack, "asterisk", *rules):
        yield


FAULTS = (
    Fault(
        "AMI cut",
        "the connection is reset, and refused for 10 seconds",
        done_to("ami"),
        _cut,
        lasts=10,
        recovery=15,
        why="the pauses between two attempts to connect grow to 10 seconds",
    ),
    Fault(
        "AMI half-open",
        "every packet between companion and manager is lost for 20 seconds",
        done_to("ami"),
        _half_open,
        lasts=20,
        recovery=20,
        why="a Ping without answer ends the connection (`ping_interval`, `ping_timeout`); it is made anew",
    ),
    Fault(
        "Asterisk killed",
        "kill -9, and started again after 5 seconds",
        done_to("asterisk", "ami"),
        _killed,
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
