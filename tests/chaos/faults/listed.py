"""Every fault there is."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.faults import of_asterisk, of_the_companion, of_the_edge, of_the_manager, of_the_network
from tests.chaos.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *of_the_manager.FAULTS,
    *of_asterisk.FAULTS,
    *of_the_edge.FAULTS,
    *of_the_companion.FAULTS,
    *of_the_network.FAULTS,
)


def named(names: Sequence[str]) -> tuple[Fault, ...]:
    """The faults of these names; ValueError says which one there is not, and which there are."""
    known = {fault.name: fault for fault in FAULTS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no fault is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return tuple(known[name] for name in names)
