"""One round: calls stand, some die, faults come and go, and what is left of it is judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.chaos import judge
from tests.chaos.faults.fault import Fault
from tests.chaos.inside.account import Account
from tests.chaos.judge import Held, Tables, Verdict
from tests.chaos.world import World
from tests.lab.stack import LabError
from tests.lab.waiting import NotInTimeError, wait_until

SETTLE = 15.0
"""Seconds in which, after the last dead call has ended, every table must be right."""
NOWHERE = Tables(frozenset(), frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed. Times are seconds."""

    faults: tuple[str, ...]
    lasted: float
    whole: float | None
    """From the end of the faults until every live call was in every table and refreshed; None: never."""
    verdict: Verdict
    live: int
    dead: int
    overdue: float
    """The longest time that a dead call stood past its interval."""
    allowed: float
    """How long it might have."""
    unrefreshed: int
    """Live calls that went longer than their interval without a refresh."""
    ended: int
    """Live calls that the fault itself ended."""
    kept: int
    """Records of calls whose BYE had no response."""
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.whole is not None and self.verdict.good


def play(world: World, faults: Sequence[Fault]) -> Round:
    """Play these faults at once."""
    crowd, interval = world.crowd, world.load.interval
    world.notes.clear()
    world.gather()
    crowd.churn(world.load.churn)
    may_end = any(fault.ends_calls for fault in faults)
    live = len(world.standing(crowd.accounts())) - world.load.dead
    # Those that die now have their end in the fault, those that die with it have it afterwards.
    crowd.die(world.load.dead // 2)
    world.wait(interval / 3)
    began = time.monotonic()
    with ExitStack() as under_way:
        for fault in faults:
            under_way.enter_context(fault.made(world))
        crowd.die(world.load.dead)
        world.wait(max(0.0, began + max(fault.lasts for fault in faults) - time.monotonic()))
    ended = time.monotonic()
    if may_end:
        # Live peers notice by what Asterisk says to their BYE; dead ones never will.
        crowd.hang_up()
        crowd.abandon()
    held = Held(began, ended, max(fault.recovery for fault in faults))
    whole = _whole(world, ended, held.recovery + interval + 30)
    _until(lambda: not _dead_up(crowd.accounts()), held.seconds + interval + 5)
    crowd.churn(0)
    tables, accounts = _settled(world)
    verdict = judge.judged(accounts, tables, held, time.monotonic(), may_end=may_end)
    crowd.forget()
    return Round(
        faults=tuple(fault.name for fault in faults),
        lasted=ended - began,
        whole=whole,
        verdict=verdict,
        live=live,
        dead=world.load.dead,
        overdue=max((judge.overdue(each, time.monotonic()) for each in accounts), default=0.0),
        allowed=held.seconds,
        unrefreshed=judge.without_refresh(accounts),
        ended=judge.ended_by_fault(accounts) if may_end else 0,
        kept=judge.kept_for_an_hour(accounts, tables),
        notes=tuple(world.notes),
    )


def _whole(world: World, since: float, patience: float) -> float | None:
    if _until(lambda: world.is_whole(since), patience):
        return time.monotonic() - since
    return None


def _settled(world: World) -> tuple[Tables, list[Account]]:
    """Tables and accounts once they agree, or as they are after a while."""
    seen: tuple[Tables, list[Account]] = (NOWHERE, [])

    def agree() -> bool:
        nonlocal seen
        accounts = world.crowd.accounts()
        try:
            seen = (world.tables(), accounts)
        except (LabError, NotInTimeError, AssertionError, ValueError) as error:
            world.note(f"not to be asked: {error}")
            return False
        return not judge.left(accounts, seen[0]) and not any(
            each.kind == "churn" and each.ended is None for each in accounts
        )

    _until(agree, SETTLE)
    return seen[0], world.crowd.accounts()


def _dead_up(accounts: Sequence[Account]) -> list[Account]:
    return [each for each in accounts if each.silent is not None and each.ended is None]


def _until(look: Callable[[], bool], patience: float) -> bool:
    try:
        wait_until(look, patience, "this", pause=0.5)
    except NotInTimeError:
        return False
    return True
