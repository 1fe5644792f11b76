"""A refresh that an operator asks for: sent at once, followed until the edge's record tells the outcome."""

from __future__ import annotations

import asyncio
from typing import Literal, TypedDict

from session_timer_companion.ami import AmiError
from session_timer_companion.edge import Found
from session_timer_companion.keeper import Keeper
from session_timer_companion.refreshing import CannotRefresh
from session_timer_companion.watch import Watch

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
    before = await watch.edge.record(watch.key) if watch.edge is not None else None
    try:
        await keeper.turns.send(watch, method)
    except (AmiError, CannotRefresh) as error:
        return report("not sent", str(error))
    if watch.edge is None:
        return report("sent", "no edge keeps a record that could tell more")
    if not isinstance(before, Found):
        return report("sent", "the edge has no record of this call that could tell more")
    while now() < began + patience:
        await asyncio.sleep(POLL)
        answer = await watch.edge.record(watch.key)
        if not isinstance(answer, Found):
            continue
        record = answer.record
        if record.refreshes > before.record.refreshes:
            keeper.changed(watch.key, record)
            return report("confirmed")
        if record.failure is not None and record.failure != before.record.failure:
            return report("refused", f"the answer was {record.failure.code}")
    return report(
        "no answer",
        "the record shows neither a 2xx nor an error: the peer is silent, or Asterisk sent nothing "
        "(`session-timer doctor` looks at the endpoint's options)",
    )
