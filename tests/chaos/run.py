"""Faults on the real stack, one by one, in pairs, all at once: `make chaos`.

    python -m tests.chaos.run --seed 4028 --calls 300 --only 'AMI cut,edge killed'

The last line counts faults, live calls lost and dead calls standing. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.crowd import Load
from tests.chaos.faults.fault import Fault
from tests.chaos.faults.listed import FAULTS, named
from tests.chaos.rounds import Round, play
from tests.chaos.world import World
from tests.lab.stack import LabError, Stack


def main(arguments: Sequence[str]) -> int:
    given = _given(arguments)
    load = Load(live=given.calls, dead=max(3, given.calls // 5), interval=given.interval)
    rounds: list[Round] = []
    try:
        plan = [(fault,) for fault in (named(given.only.split(",")) if given.only else FAULTS)]
        with _world(load) as world:
            for faults in plan:
                rounds.append(_told(world, faults))
    except (LabError, ValueError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    lost = sum(len(each.verdict.lost) for each in rounds)
    standing = sum(len(each.verdict.standing) for each in rounds)
    good = all(each.good for each in rounds)
    print(f"chaos: {len(rounds)} faults, live lost {lost}, dead standing {standing}")
    return 0 if good else 1


def _told(world: World, faults: Sequence[Fault]) -> Round:
    began = time.monotonic()
    played = play(world, faults)
    whole = "never whole again" if played.whole is None else f"whole after {played.whole:.1f} s"
    print(
        f"{' + '.join(played.faults)}: {played.lasted:.0f} s; {whole}; {played.live} live, "
        f"{len(played.verdict.lost)} lost, {played.ended} ended by the fault, {played.unrefreshed} longer "
        f"than the interval without a refresh; {played.dead} dead, {len(played.verdict.standing)} standing, "
        f"the longest {played.overdue:.1f} s past its interval ({played.allowed:.0f} allowed); "
        f"{played.kept} records kept; took {time.monotonic() - began:.0f} s",
        flush=True,
    )
    wrong = (*played.verdict.lost, *played.verdict.standing, *played.verdict.left)
    for what in wrong[:12]:
        print(f"  WRONG {what}")
    if len(wrong) > 12:
        print(f"  and {len(wrong) - 12} more")
    for note in played.notes:
        print(f"  {note}")
    return played


@contextmanager
def _world(load: Load) -> Iterator[World]:
    """A stack of its own, or the one that the variables name; one that was up is left up."""
    os.environ.setdefault("COMPOSE_PROJECT_NAME", "st-chaos")
    os.environ.setdefault("LAB_NET", "198.19.66")
    os.environ.setdefault("LAB_SIP_PORT", "0")
    stack = Stack.from_environment()
    was_up = stack.is_up()
    stack.up()
    try:
        with tempfile.TemporaryDirectory() as folder:
            world = World.on(stack, load, Path(folder))
            try:
                yield world
            finally:
                world.close()
    finally:
        if not was_up:
            stack.down()


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    reader = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    reader.add_argument("--seed", type=int, default=4028)
    reader.add_argument(
        "--calls", type=int, default=300, help="live calls; a fifth as many die in each round"
    )
    reader.add_argument("--interval", type=int, default=30, help="session interval in seconds")
    reader.add_argument("--only", default="", help="names of faults, with commas between them")
    return reader.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
