"""A refresh that an operator asks for: sent at once, followed until the edge's record tells the outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal, TypedDict

from session_timer import Record

from session_timer_companion.ami.client import AmiError
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.edge.client import Answer, Found
from session_timer_companion.timers.evidence import why_not
from session_timer_companion.timers.tracked_call import Refreshed, Refused, Watch
from session_timer_companion.tracking.tracker import Keeper

PATIENCE = 6.0
"""Seconds that an answer of the peer is waited for; refused or slow peers need no longer to show."""

POLL = 0.1
"""Seconds between two readings of the record."""

Outcome = Literal["confirmed", "refused", "no answer", "sent", "not sent"]


class RefreshReport(TypedDict):
    """What came of one refresh."""

    asterisk: str
    call_id: str
    channel: str
    method: str
    outcome: Outcome
    reason: str
    seconds: float
    """From sending to knowing."""


async def refresh(keeper: Keeper, watch: Watch, patience: float = PATIENCE) -> RefreshReport:
    """Refresh one call now. The session's own timer moves only if the record says that it took place."""
    now = asyncio.get_running_loop().time
    method = watch.session.method
    turns = keeper.turns
    began = now()

    def report(outcome: Outcome, reason: str = "") -> RefreshReport:
        return {
            "asterisk": keeper.name,
            "call_id": watch.call_id,
            "channel": watch.channel,
            "method": str(method),
            "outcome": outcome,
            "reason": reason,
            "seconds": round(now() - began, 3),
        }

    if watch.attempt is not None:
        return report("not sent", "another refresh of this call is under way")
    before = await turns.record(watch)
    if isinstance(before, Found):
        turns.changed(watch, before.record)
    sent = now()
    try:
        await turns.sending.send(watch, method)
    except (AmiError, CannotRefresh) as error:
        return report("not sent", str(error))
    if watch.edge is None:
        return report("sent", "no edge keeps a record that could tell more")
    if not isinstance(before, Found):
        return report("sent", "the edge has no record of this call that could tell more")
    expecting = _expecting(watch, before.record, sent)
    answer: Answer = before
    while now() < began + patience:
        await asyncio.sleep(POLL)
        answer = await turns.record(watch)
        told = turns.verdicts.news(expecting, answer.record) if isinstance(answer, Found) else None
        if isinstance(answer, Found) and isinstance(told, Refreshed):
            turns.changed(watch, answer.record)
            return report("confirmed")
        if isinstance(told, Refused):
            return report("refused", f"the answer was {told.answer.code}")
    if not turns.verdicts.is_evidence(answer):
        return report("sent", f"the edge cannot say more: {why_not(answer)}")
    return report(
        "no answer",
        "the record shows neither a 2xx nor an error: the peer is silent, or Asterisk sent nothing "
        "(`session-timer doctor` looks at the endpoint's options)",
    )


def _expecting(watch: Watch, record: Record, sent: float) -> Watch:
    """The call as its record shows it, with a refresh on its way; its own session knows nothing of that."""
    failed = None if record.failure is None else record.failure.at
    open_ = replace(watch.session, sent=sent)
    return replace(watch, refreshes=record.refreshes, failure_at=failed, active=open_)
