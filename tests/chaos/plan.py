"""Which faults are played, and in which order: drawn by a seed, so that a run can be played again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.chaos.faults.fault import Fault, Scene

Together = tuple[Fault, ...]


def go_together(faults: Sequence[Fault]) -> bool:
    """Whether these can be made at once: of one scene, and no part is touched twice."""
    parts = [part for fault in faults for part in fault.parts]
    return len(parts) == len(set(parts)) and len({fault.scene for fault in faults}) == 1


def must_go_together(faults: Sequence[Fault]) -> None:
    """Raises ValueError where these cannot be made at once, and says why."""
    if go_together(faults):
        return
    parts = [part for fault in faults for part in fault.parts]
    twice = sorted({part for part in parts if parts.count(part) > 1})
    why = f"more than one touches {', '.join(twice)}" if twice else "they need stacks of different kinds"
    raise ValueError(f"{' + '.join(fault.name for fault in faults)} cannot be played at once: {why}")


def pairs(faults: Sequence[Fault], seed: int) -> Iterator[Together]:
    """Random pairs without an end. Every fault of one edge comes before one comes again, if pairs allow."""
    draw = random.Random(seed)  # noqa: S311  # not a secret
    left: list[Fault] = []
    while True:
        if len(left) < 2:
            left = [fault for fault in faults if fault.scene is Scene.ONE_EDGE]
            draw.shuffle(left)
        first = left.pop()
        others = [fault for fault in left if go_together((first, fault))]
        if others:
            left.remove(others[0])
            yield first, others[0]


def everything(faults: Sequence[Fault], seed: int) -> Together:
    """As many as go together, drawn by the seed; none that ends the calls, or nothing else would show."""
    draw = random.Random(seed)  # noqa: S311  # not a secret
    left = [fault for fault in faults if fault.scene is Scene.ONE_EDGE and not fault.ends_calls]
    # What touches few parts leaves room for others.
    left.sort(key=lambda fault: (len(fault.parts), draw.random()))
    chosen: list[Fault] = []
    for fault in left:
        if go_together((*chosen, fault)):
            chosen.append(fault)
    return tuple(chosen)
