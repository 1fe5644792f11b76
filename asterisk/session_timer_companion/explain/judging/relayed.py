"""A hang-up that came from behind: who passes it on has not judged the session timer.

A B2BUA ends its one leg because its other one was ended. Both were answered at the same moment, so the one
ends at a deadline of the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from session_timer_companion.explain.gathering.hops import Hop
from session_timer_companion.explain.judging.findings import Findings
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.judging.verdict import Explained, Verdict

SOON = 2.0
"""Seconds in which a B2BUA passes a BYE on."""
_BY_THE_HANG_UP = frozenset({Rule.REFRESH_IGNORED, Rule.GAVE_UP_EARLY})
"""Verdicts that follow from nothing but who hung up, and when."""


def drop(findings: Findings, hops: Iterable[Hop]) -> None:
    """Takes back what the BYE of another dialog of the same Call-ID explains."""
    byes = [
        (each.request.time, hop.ends[each.side], hop.ends[1 - each.side])
        for hop in hops
        for each in hop.transactions
        if each.method == "BYE"
    ]
    findings.found = {
        key: verdict for key, verdict in findings.found.items() if not _explained(verdict, byes)
    }


def without(call: Explained, legs: Iterable[Explained]) -> Explained:
    """The same leg, less what the BYE on another leg of the call explains."""
    byes = [
        (leg.ending.at, leg.ending.by.address, call_end)
        for leg in legs
        if leg is not call and leg.ending.how == "BYE" and leg.ending.by is not None
        for call_end in leg.reached()
    ]
    kept = tuple(verdict for verdict in call.verdicts if not _explained(verdict, byes))
    return call if kept == call.verdicts else replace(call, verdicts=kept)


def _explained(verdict: Verdict, byes: Iterable[tuple[float, str, str]]) -> bool:
    return verdict.rule in _BY_THE_HANG_UP and any(
        0 <= verdict.at - at <= SOON and by != verdict.by.address and to == verdict.by.address
        for at, by, to in byes
    )
