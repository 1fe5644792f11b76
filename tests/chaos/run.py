"""Faults on the real stack: one by one, then in random pairs, then everything at once: `make chaos`.

    python -m tests.chaos.run --seed 4028 --minutes 30 --calls 300
    python -m tests.chaos.run --only 'AMI cut,edge killed'
    python -m tests.chaos.run --only "Asterisk restarted,edge's memory full" --together

The last line counts faults, live calls lost and dead calls standing. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos import page, plan
from tests.chaos.crowd import Load
from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.faults.listed import FAULTS, named
from tests.chaos.rounds import Round, play
from tests.chaos.scenes import one_edge, two_edges
from tests.chaos.world import World
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import NotInTimeError

SCENES = {Scene.TWO_EDGES: two_edges, Scene.ONE_EDGE: one_edge}
MOST_TOLD = 12
"""Of what is wrong in one round."""
RESULTS = ROOT / "out" / "chaos.json"


def main(arguments: Sequence[str]) -> int:
    given = _given(arguments)
    load = Load(live=given.calls, dead=max(3, given.calls // 5), interval=given.interval)
    rounds: list[Round] = []
    not_made = 0
    try:
        faults = named(given.only.split(",")) if given.only else FAULTS
        if given.only and given.together:
            plan.must_go_together(faults)
        with _stack() as stack:
            for faults_at_once, world in _played(stack, load, faults, given):
                try:
                    rounds.append(_told(world, faults_at_once))
                except (LabError, NotInTimeError) as error:
                    not_made += 1
                    names = " + ".join(fault.name for fault in faults_at_once)
                    print(f"{names}: ERROR, it could not be played: {error}", flush=True)
                page.keep(RESULTS, rounds, given.seed)
    except (LabError, ValueError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    lost = sum(len(each.verdict.lost) for each in rounds)
    standing = sum(len(each.verdict.standing) for each in rounds)
    if not_made:
        print(f"chaos: {not_made} rounds could not be played, see above")
    count = sum(len(each.faults) for each in rounds)
    print(f"chaos: {count} faults, live lost {lost}, dead standing {standing}")
    return 0 if all(each.good for each in rounds) and not not_made else 1


def _played(
    stack: Stack, load: Load, faults: Sequence[Fault], given: argparse.Namespace
) -> Iterator[tuple[plan.Together, World]]:
    """What is to be played next, and where."""
    for scene, stage in SCENES.items():
        own = [fault for fault in faults if fault.scene is scene]
        if not own or (given.together and not given.only and scene is not Scene.ONE_EDGE):
            continue
        with TemporaryDirectory() as folder, stage(stack, load, Path(folder)) as world:
            if given.together and given.only:
                yield tuple(own), world
                continue
            for fault in () if given.together else own:
                yield (fault,), world
            if scene is not Scene.ONE_EDGE:
                continue
            if not given.only:
                until = time.monotonic() + 60 * given.minutes
                for pair in plan.pairs(faults, given.seed):
                    if time.monotonic() >= until:
                        break
                    yield pair, world
                yield plan.everything(faults, given.seed), world


def _told(world: World, faults: Sequence[Fault]) -> Round:
    began = time.monotonic()
    played = play(world, faults)
    print(f"{played}; took {time.monotonic() - began:.0f} s", flush=True)
    wrong = (*played.verdict.lost, *played.verdict.standing, *played.verdict.left)
    for what in wrong[:MOST_TOLD]:
        print(f"  WRONG {what}", flush=True)
    if len(wrong) > MOST_TOLD:
        print(f"  and {len(wrong) - MOST_TOLD} more", flush=True)
    for note in played.notes:
        print(f"  {note}", flush=True)
    return played


@contextmanager
def _stack() -> Iterator[Stack]:
    """A stack of its own, or the one that the variables name; one that was up is left up."""
    os.environ.setdefault("COMPOSE_PROJECT_NAME", "st-chaos")
    os.environ.setdefault("LAB_NET", "198.19.66")
    os.environ.setdefault("LAB_SIP_PORT", "0")
    stack = Stack.from_environment()
    was_up = stack.is_up()
    stack.up()
    try:
        yield stack
    finally:
        if not was_up:
            stack.down()


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    reader = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    reader.add_argument("--seed", type=int, default=4028, help="draws the pairs")
    reader.add_argument("--minutes", type=float, default=30, help="how long pairs are played")
    reader.add_argument(
        "--calls", type=int, default=300, help="live calls; a fifth as many die in each round"
    )
    reader.add_argument("--interval", type=int, default=30, help="session interval in seconds")
    reader.add_argument("--only", default="", help="names of faults, with commas between them: one by one")
    reader.add_argument(
        "--together",
        action="store_true",
        help="only pairs, and everything at once; with --only: these at once",
    )
    return reader.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
