"""A refresh that an operator asks for, and the report of what came of it."""

from __future__ import annotations

import asyncio

from session_timer_companion.api import RefreshReport
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.tracker import CallTracker


async def refresh(tracker: CallTracker, tracked: TrackedCall) -> RefreshReport:
    """Refresh one call now; returns when the outcome is known, or after some seconds that it is not."""
    now = asyncio.get_running_loop().time
    began = now()
    method, outcome, reason = await tracker.driver.refresh_now(tracked)
    return {
        "asterisk": tracker.name,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "method": method.name,
        "outcome": str(outcome),
        "reason": reason,
        "seconds": round(now() - began, 3),
    }
