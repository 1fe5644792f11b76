"""The network loses, doubles and reorders packets; the whole machine stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.faults.fault import Fault, beside, done_to, filtered, frozen
from tests.chaos.world import World

LOSS = 0.2
FLOOD = 500
"""Messages a second."""


@contextmanager
def _lossy(world: World) -> Iterator[None]:
    lost = f"-p udp -m statistic --mode random --probability {LOSS} -j DROP"
    with filtered(world.stack, "carrier", f"INPUT {lost}", f"OUTPUT {lost}"):
        yield


@contextmanager
def _disordered(world: World) -> Iterator[None]:
    world.crowd.disorder(0.3, 1.5)
    try:
        yield
    finally:
        world.crowd.disorder(0.0, 0.0)


@contextmanager
def _machine_paused(world: World) -> Iterator[None]:
    services = ("crowd", "companion", "asterisk", "edge", "carrier")
    with frozen(*(world.stack.container(each) for each in services)):
        yield


@contextmanager
def _flooded(world: World) -> Iterator[None]:
    stack = world.stack
    arguments = (stack.address(40), stack.edge, str(FLOOD), "20")
    with beside(stack, "tests.chaos.inside.sip_flood", *arguments) as flood:
        yield
        flood.told(within=20)


FAULTS = (
    Fault(
        "packet loss",
        "a fifth of all SIP packets between peers and edge is lost, each way, for 40 seconds",
        done_to("network"),
        _lossy,
        lasts=40,
    ),
    Fault(
        "reordering and duplicates",
        "three in ten SIP packets come twice, as many up to 1.5 seconds late, each way, for 40 seconds",
        done_to("order"),
        _disordered,
        lasts=40,
    ),
    Fault(
        "SIP flood",
        f"a stranger sends the edge {FLOOD} messages a second for 20 seconds: requests within dialogs that "
        "nobody has, calls to numbers that do not exist, noise",
        done_to("stranger"),
        _flooded,
        lasts=20,
    ),
    Fault(
        "machine paused",
        "every process stands still for 20 seconds",
        done_to("network", "order", "stranger", "companion", "asterisk", "ami", "edge"),
        _machine_paused,
        lasts=20,
    ),
)
