"""Which of several companions leads for an Asterisk: an entry with a lifetime, renewed by who holds it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from .. import ksr
from .records import At

LEADS = "session_timer_leads"

MOST_SECONDS = 300


class Lead(NamedTuple):
    """Who leads, and for how long still."""

    by: str
    """What the companion calls itself."""
    left: float | None
    """Seconds; None where another edge wrote the entry: it holds for as long as it stands there."""


def claim(asterisk: str, by: str, seconds: float, at: At) -> Lead | None:
    """Take or renew the lead for `seconds`, unless another one has it; returns who has it then.

    0 seconds give it up; None: nobody leads.
    """
    ksr.table_lock(LEADS, asterisk)
    try:
        lead = _read(asterisk, at)
        if lead is not None and lead.by != by:
            return lead
        if seconds <= 0:
            ksr.table_remove(LEADS, asterisk)
            return None
        now, clock = at
        seconds = min(seconds, MOST_SECONDS)
        entry = f"{quote(by, safe='')} {clock} {now + seconds:.3f}"
        # An entry outlives its time by the second that htable rounds to; what counts is the time in it.
        taken = ksr.table_set(LEADS, asterisk, entry, int(seconds) + 1)
        return Lead(by, seconds) if taken else None
    finally:
        ksr.table_unlock(LEADS, asterisk)


def _read(asterisk: str, at: At) -> Lead | None:
    by, _, rest = ksr.table_get(LEADS, asterisk).partition(" ")
    if not by:
        return None
    clock, _, until = rest.partition(" ")
    now, own = at
    if clock != own:
        return Lead(unquote(by), None)
    left = float(until) - now
    return Lead(unquote(by), left) if left > 0 else None
