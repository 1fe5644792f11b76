"""The report of a call as data for JSON."""

from __future__ import annotations

from typing import Any

from session_timer_companion.explain.judging.verdict import Explained, Party, Verdict
from session_timer_companion.explain.telling import report, sentences


def call(explained: Explained, *, timed: bool = True) -> dict[str, Any]:
    """One call; every time is in seconds, ``begin`` of the capture's clock and the others from there."""
    begin, end = explained.begin, explained.ending
    return {
        "call_id": explained.call_id,
        "begin": begin,
        "caller": explained.caller,
        "callee": explained.callee,
        "whole": explained.whole,
        "one_way": explained.one_way,
        "clock_jumped": explained.jumped,
        "partners": list(explained.partners),
        "dialogs": [
            {
                "ends": [_party(party) for party in dialog.ends],
                "agreed": [
                    {
                        "at": one.at - begin,
                        "message": one.message,
                        "interval": one.interval,
                        "refresher": one.refresher.address if one.refresher else None,
                        "deadline": one.deadline - begin if one.deadline is not None else None,
                    }
                    for one in dialog.agreed
                ],
                "refreshes": [
                    {
                        "at": one.at - begin,
                        "method": one.method,
                        "by": one.by.address,
                        "answer": one.answer,
                        "after": one.after,
                    }
                    for one in dialog.refreshes
                ],
            }
            for dialog in explained.dialogs
        ],
        "ended": {
            "at": end.at - begin,
            "how": end.how,
            "by": end.by.address if end.by else None,
            "reason": end.reason,
            "lasted": end.lasted,
            "suspect": end.suspect,
        },
        "broken": explained.broken,
        "verdicts": [verdict(explained, one, timed=timed) for one in explained.verdicts],
        "conclusion": report.conclusion(explained),
    }


def verdict(explained: Explained, one: Verdict, *, timed: bool = True) -> dict[str, Any]:
    """One verdict, with its words."""
    when = report.moment(one.at, timed=timed)
    return {
        "rule": one.rule.value,
        "level": one.level.value,
        "requirements": list(one.rule.requirements),
        "section": one.rule.section,
        "by": _party(one.by),
        "at": one.at - explained.begin,
        "message": one.message,
        "stood": one.stood,
        "due": one.due,
        "what": sentences.what(one),
        "change": [
            {"who": who, "line": line} for who, line in sentences.changes(one, explained.call_id, when)
        ],
    }


def _party(party: Party) -> dict[str, Any]:
    return {"address": party.address, "software": party.software, "ours": party.ours}
