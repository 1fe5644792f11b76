"""What the accounts of the peers and the tables of the stack say about one round. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.chaos.inside.account import Account

SLACK = 3.0
"""Seconds by which what is seen here may lag behind what happened: two processors are shared by all."""

UNCONFIRMED = 96.0
WITHOUT_2XX = "at=-1000000000.000;"
"""docs/reference/edge.md: a record that a request of ours began anew, and how long it is kept."""

EXPIRED = "cause=102"
"""In the Reason of a BYE: Q.850, recovery on timer expiry, with which the companion ends a call."""


@dataclass(frozen=True, slots=True)
class Held:
    """How long a fault may have held back the end of a dead call."""

    began: float
    ended: float
    recovery: float
    """Seconds after its end for which the page says that ends may still be late."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began + self.recovery


@dataclass(frozen=True, slots=True)
class Tables:
    """What the parts of the stack have, as Call-IDs."""

    channels: frozenset[str]
    sessions: frozenset[str]
    records: frozenset[str]
    faults: float = 0.0
    """Exceptions that companion and edge have counted."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What stands in the records, for whoever has to find out why one is left."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong; empty where nothing is. Each entry is a sentence."""

    lost: tuple[str, ...]
    """Live calls that our side ended."""
    standing: tuple[str, ...]
    """Dead calls that stood too long."""
    left: tuple[str, ...]
    """What stayed behind, or is missing, in a table."""

    @property
    def good(self) -> bool:
        return not (self.lost or self.standing or self.left)


def lost(accounts: Iterable[Account], held: Held, *, may_end: bool) -> tuple[str, ...]:
    """Live calls that our side ended, or lost. Where the fault ends calls, only our own hang-up counts.

    A call that was being set up while the fault lasted may have failed half way.
    """
    return tuple(
        f"{each.call_id} ({each.kind}) ended by {each.by} {each.code or ''} {each.reason}".rstrip()
        + _since_refresh(each)
        for each in accounts
        if each.answered is not None
        and not _dead(each)
        and not _set_up_within(each, held)
        and (_hung_up_by_us(each) if may_end else each.by == "bye" or _unknown(each))
    )


def ended_by_fault(accounts: Iterable[Account]) -> int:
    """Live calls that Asterisk ended on its way down, or does not know any more."""
    return sum(not _dead(each) and (each.by == "bye" or _unknown(each)) for each in accounts)


def unserved(accounts: Iterable[Account], since: float) -> tuple[str, ...]:
    """Calls that began after this moment and were refused: the stack says that it is whole again."""
    return tuple(
        f"{each.call_id} began {each.begun - since:.1f} s after the stack was whole and got {each.code}"
        for each in accounts
        if each.begun >= since and each.by == "failed"
    )


def standing(accounts: Iterable[Account], held: Held, now: float) -> tuple[str, ...]:
    """Dead calls that stood longer than their interval and what the fault held back."""
    found = []
    for each in accounts:
        over = overdue(each, now)
        if _dead(each) and over > held.seconds + SLACK:
            end = "stood" if each.ended is not None else "still stands after"
            found.append(f"{each.call_id} ({each.kind}) {end} {each.interval + over:.1f} s")
    return tuple(found)


def overdue(account: Account, now: float) -> float:
    """Seconds that a dead call stood past its interval, from its last refresh on; 0 for a live one."""
    if not _dead(account) or account.refreshed is None:
        return 0.0
    return max(0.0, (account.ended or now) - account.refreshed - account.interval)


def left(accounts: Sequence[Account], tables: Tables) -> tuple[str, ...]:
    """Entries of calls that are over, and live calls that a table lacks.

    The record of a call whose BYE had no response is kept for an hour, as the edge's page says: it counts
    only where the peer's BYE was answered, or the peer answered ours.
    """
    ours = {each.call_id: each for each in accounts if each.kind != "churn"}
    up = {name for name, each in ours.items() if each.answered is not None and each.ended is None}
    over = {each.call_id for each in accounts if each.ended is not None}
    clean = {
        each.call_id: f"by {each.by} {each.code or ''}".rstrip()
        for each in accounts
        if each.by == "bye" or (each.by == "peer" and each.code)
    }
    wrong = [f"{name} is over and has a channel" for name in sorted(over & tables.channels)]
    wrong += [f"{name} is over and tracked" for name in sorted(over & tables.sessions)]
    wrong += [
        f"{name} is over ({clean[name]}) and has a record {tables.texts.get(name, '')}".rstrip()
        for name in sorted(clean.keys() & tables.records)
    ]
    wrong += [f"{name} lives and has no channel" for name in sorted(up - tables.channels)]
    wrong += [f"{name} lives and is not tracked" for name in sorted(up - tables.sessions)]
    wrong += [f"{name} lives and has no record" for name in sorted(up - tables.records)]
    if tables.faults:
        wrong.append(f"{tables.faults:g} exceptions were counted")
    return tuple(wrong)


def goes_by_itself(accounts: Sequence[Account], tables: Tables) -> bool:
    """Whether nothing is left but records without 2xx, which the edge keeps for `UNCONFIRMED` seconds."""
    over = {each.call_id for each in accounts if each.ended is not None}
    going = frozenset(name for name in over if WITHOUT_2XX in tables.texts.get(name, ""))
    return not left(accounts, replace(tables, records=tables.records - going))


def judged(accounts: Sequence[Account], tables: Tables, held: Held, now: float, *, may_end: bool) -> Verdict:
    """The verdict on one round, once the stack had time to be whole again."""
    return Verdict(
        lost=lost(accounts, held, may_end=may_end),
        standing=standing(accounts, held, now),
        left=(*left(accounts, tables), *unserved(accounts, held.ended + held.recovery)),
    )


def kept_for_an_hour(accounts: Iterable[Account], tables: Tables) -> int:
    """Records of calls whose BYE nobody answered: the edge keeps them until their lifetime is over."""
    return len({each.call_id for each in accounts if each.ended is not None} & tables.records)


def without_refresh(accounts: Iterable[Account]) -> int:
    """Live calls without a refresh for longer than their interval: their peers had to be patient."""
    return sum(not _dead(each) and each.longest > each.interval for each in accounts)


def _set_up_within(account: Account, held: Held) -> bool:
    return account.answered is not None and account.answered >= held.began and account.begun <= held.ended


def _since_refresh(account: Account) -> str:
    """How many forms of a refresh there was time for."""
    if account.ended is None or account.refreshed is None:
        return ""
    return f", {account.ended - account.refreshed:.1f} s after its last refresh"


def _dead(account: Account) -> bool:
    return account.silent is not None


def _hung_up_by_us(account: Account) -> bool:
    return account.by == "bye" and EXPIRED in account.reason


def _unknown(account: Account) -> bool:
    """Asterisk, or the edge for it, had no such call when the peer asked."""
    return account.by == "gone" or (account.by == "peer" and account.code in (404, 408, 481))
