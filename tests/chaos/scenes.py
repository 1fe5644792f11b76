"""Where a round is played: the stack as it is, or two edges that stand in for one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.crowd import Crowd, Load
from tests.chaos.world import EdgePair, World
from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.killed_parts import without
from tests.lab.parts.replicated_edges import Edges, take
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.stack import ROOT, Stack

SHARED = 15
"""The last number of the address that both edges serve."""
COMPANION = 34


@contextmanager
def one_edge(stack: Stack, load: Load, folder: Path) -> Iterator[World]:
    """The stack as docker/up starts it."""
    world = World(stack, Crowd(stack, load, stack.edge), load, Companion(stack), folder)
    try:
        yield world
    finally:
        world.close()


@contextmanager
def two_edges(stack: Stack, load: Load, folder: Path) -> Iterator[World]:
    """Two edges with the lines of docs/how-to/failover.md, an address that the first of them has at first.

    The companion has one door, at that address. The clocks of the two differ by hours.
    """
    shared = stack.address(SHARED)
    lab = (ROOT / "docker" / "config" / "session-timer.yaml").read_text(encoding="utf-8")
    settings = lab.replace("@LAB_NET@.10", shared).replace("@LAB_NET@", stack.network)
    (folder / "session-timer.yaml").write_text(settings, encoding="utf-8")
    with ExitStack() as kept:
        sockets = LabSockets(stack)
        kept.callback(sockets.close)
        edges = Edges(stack, sockets, folder, "kemi", shared=SHARED)
        kept.callback(edges.close)
        first, second = edges.start("a"), edges.start("b")
        take(stack, first, SHARED)
        kept.enter_context(without(stack, "companion"))
        companion = kept.enter_context(companion_once(stack, folder, COMPANION, "companion-shared"))
        world = World(stack, Crowd(stack, load, shared), load, companion, folder)
        world.pair = EdgePair(first, second)
        kept.callback(world.close)
        yield world
