"""A refresh that an operator asks for: sent at once, followed until the edge's record tells the outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal, TypedDict

from session_timer import Record

from session_timer_companion.ami.client import AmiError
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.edge.client import Found, RecordReply
from session_timer_companion.timers.evidence import why_not
from session_timer_companion.timers.tracked_call import Refreshed, Refused, TrackedCall
from session_timer_companion.tracking.tracker import CallTracker

PATIENCE = 6.0
"""Seconds that an answer of the peer is waited for; refused or slow peers need no longer to show."""

POLL = 0.1
"""Seconds between two readings of the record."""

RefreshOutcome = Literal["confirmed", "refused", "no answer", "sent", "not sent"]


class RefreshReport(TypedDict):
    """What came of one refresh."""

    asterisk: str
    call_id: str
    channel: str
    method: str
    outcome: RefreshOutcome
    reason: str
    seconds: float
    """From sending to knowing."""


async def refresh(tracker: CallTracker, tracked: TrackedCall, patience: float = PATIENCE) -> RefreshReport:
    """Refresh one call now. The session's own timer moves only if the record says that it took place."""
    now = asyncio.get_running_loop().time
    method = tracked.session.method
    driver = tracker.driver
    began = now()

    def report(outcome: RefreshOutcome, reason: str = "") -> RefreshReport:
        return {
            "asterisk": tracker.name,
            "call_id": tracked.call_id,
            "channel": tracked.channel,
            "method": str(method),
            "outcome": outcome,
            "reason": reason,
            "seconds": round(now() - began, 3),
        }

    if tracked.attempt is not None:
        return report("not sent", "another refresh of this call is under way")
    before = await driver.record(tracked)
    if isinstance(before, Found):
        driver.changed(tracked, before.record)
    sent = now()
    try:
        await driver.sender.send(tracked, method)
    except (AmiError, CannotRefresh) as error:
        return report("not sent", str(error))
    if tracked.edge is None:
        return report("sent", "no edge keeps a record that could tell more")
    if not isinstance(before, Found):
        return report("sent", "the edge has no record of this call that could tell more")
    expecting = _expecting(tracked, before.record, sent)
    answer: RecordReply = before
    while now() < began + patience:
        await asyncio.sleep(POLL)
        answer = await driver.record(tracked)
        told = driver.evidence.news(expecting, answer.record) if isinstance(answer, Found) else None
        if isinstance(answer, Found) and isinstance(told, Refreshed):
            driver.changed(tracked, answer.record)
            return report("confirmed")
        if isinstance(told, Refused):
            return report("refused", f"the answer was {told.answer.code}")
    if not driver.evidence.is_evidence(answer):
        return report("sent", f"the edge cannot say more: {why_not(answer)}")
    return report(
        "no answer",
        "the record shows neither a 2xx nor an error: the peer is silent, or Asterisk sent nothing "
        "(`session-timer doctor` looks at the endpoint's options)",
    )


def _expecting(tracked: TrackedCall, record: Record, sent: float) -> TrackedCall:
    """The call as its record shows it, with a refresh on its way; its own session knows nothing of that."""
    failed = None if record.failure is None else record.failure.at
    open_ = replace(tracked.session, sent=sent)
    return replace(tracked, refreshes=record.refreshes, failure_at=failed, active=open_)
