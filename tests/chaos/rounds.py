"""One round: calls stand, some die, faults come and go, and what is left of it is judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.chaos import judge
from tests.chaos.faults.fault import Fault
from tests.chaos.inside.account import Account
from tests.chaos.judge import Held, Tables, Verdict
from tests.chaos.world import World
from tests.lab.stack import LabError
from tests.lab.waiting import NotInTimeError, wait_until

SETTLE = 10.0
"""Seconds past an interval in which, after the last dead call has ended, every table must be right.

A call that was set up half while a fault lasted is a dead one: it goes within its interval.
"""
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
    interval: int
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

    def told(self) -> dict[str, Any]:
        """What the page shows of it."""
        names = (
            "faults",
            "lasted",
            "whole",
            "live",
            "dead",
            "interval",
            "overdue",
            "allowed",
            "unrefreshed",
            "ended",
            "kept",
        )
        verdict = self.verdict
        counted = {"lost": len(verdict.lost), "standing": len(verdict.standing), "left": len(verdict.left)}
        return {name: getattr(self, name) for name in names} | counted | {"faults": list(self.faults)}

    def __str__(self) -> str:
        whole = "never whole again" if self.whole is None else f"whole after {self.whole:.1f} s"
        return (
            f"{' + '.join(self.faults)}: {self.lasted:.0f} s; {whole}; {self.live} live, "
            f"{len(self.verdict.lost)} lost, {self.ended} ended by the fault, {self.unrefreshed} longer than "
            f"the interval without a refresh; {self.dead} dead, {len(self.verdict.standing)} standing, the "
            f"longest {self.overdue:.1f} s past its interval ({self.allowed:.0f} allowed); "
            f"{self.kept} records kept"
        )


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
    crowd.die(world.load.dead)
    began = time.monotonic()
    with ExitStack() as under_way:
        for fault in sorted(faults, key=lambda each: not each.begins_first):
            under_way.enter_context(fault.made(world))
        world.wait(max(fault.lasts for fault in faults))
    ended = time.monotonic()
    if may_end:
        # Live peers notice by what Asterisk says to their BYE; dead ones never will.
        crowd.hang_up()
        crowd.abandon()
    held = Held(began, ended, sum(fault.recovery for fault in faults))
    whole = _whole(world, ended, held.recovery + interval + 30)
    _until(lambda: _dead_are_over(world), held.seconds + interval + 5)
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
        interval=interval,
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

    _until(agree, world.load.interval + SETTLE)
    if judge.left(seen[1], seen[0]) and judge.goes_by_itself(seen[1], seen[0]):
        world.note("records without 2xx were left, and waited for")
        _until(agree, judge.UNCONFIRMED)
    return seen[0], world.crowd.accounts()


def _dead_are_over(world: World) -> bool:
    """Whether every dead call has ended; of some Asterisk's BYE never comes to the peer."""
    up = {each.call_id for each in world.crowd.accounts() if each.silent is not None and each.ended is None}
    if not up:
        return True
    try:
        world.crowd.over(up - world.channels())
    except LabError:
        return False
    return False


def _until(look: Callable[[], bool], patience: float) -> bool:
    try:
        wait_until(look, patience, "this", pause=0.5)
    except NotInTimeError:
        return False
    return True
