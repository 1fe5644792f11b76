"""A refresh that an operator asks for.

It is followed and counted as any other, and stands for the automatic one that becomes due meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from session_timer.session import Method, Session

from session_timer_companion.ami.client import AmiError
from session_timer_companion.api import RefreshOutcome, RefreshReport
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.edge.replies import Found
from session_timer_companion.timers.evidence import why_not
from session_timer_companion.timers.tracked_call import Attempt, TrackedCall

if TYPE_CHECKING:
    from session_timer_companion.timers.driver import TimerDriver
    from session_timer_companion.tracking.tracker import CallTracker

OPERATOR_WAITS = 8.0
"""Seconds that an operator is kept waiting for the outcome of a refresh."""

_HANDS_OFF = 0.05
"""Seconds between two looks whether a call that somebody has in hand is free."""

_Outcome = tuple[RefreshOutcome, str]
"""How it ended, and why."""


async def refresh(tracker: CallTracker, tracked: TrackedCall) -> RefreshReport:
    """Refresh one call now; returns when the outcome is known, or after some seconds that it is not."""
    now = asyncio.get_running_loop().time
    began = now()
    method, (outcome, reason) = await _refresh_now(tracker.driver, tracked)
    return {
        "asterisk": tracker.name,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "method": method.name,
        "outcome": str(outcome),
        "reason": reason,
        "seconds": round(now() - began, 3),
    }


async def _refresh_now(driver: TimerDriver, tracked: TrackedCall) -> tuple[Method, _Outcome]:
    while tracked.busy:
        await asyncio.sleep(_HANDS_OFF)
    standing = tracked.current_session()
    method = standing.method
    refusal = _why_not_now(driver, tracked, standing)
    if refusal:
        return method, (RefreshOutcome.NOT_SENT, refusal)
    loop = asyncio.get_running_loop()
    reported: asyncio.Future[_Outcome] = loop.create_future()
    tracked.busy = True
    try:
        (before,) = await driver.records([tracked])
        if isinstance(before, Found):
            driver.evidence.apply_refresh(tracked, before)
            tracked.dealt = before.record.ours.ended if before.record.ours else None
        method = await driver.sender.send(tracked, method)
        tracked.attempt = Attempt(method, loop.time(), reported=reported)
    except (AmiError, CannotRefresh) as error:
        driver.count_not_sent(tracked, method)
        return method, (RefreshOutcome.NOT_SENT, str(error))
    finally:
        tracked.busy = False
        driver.reschedule(tracked)
    driver.log.info("refresh_asked_for", call=tracked, method=method.name)
    if tracked.edge is None:
        driver.evidence.close_attempt(tracked, RefreshOutcome.UNKNOWN, "no edge keeps a record of it")
    return method, await _outcome(driver, tracked, reported)


def _why_not_now(driver: TimerDriver, tracked: TrackedCall, standing: Session) -> str:
    """Why an operator's refresh is not sent; empty if it is."""
    if tracked.gone:
        return "the call has ended"
    if held := driver.holds.why(tracked.key):
        return held
    if tracked.attempt is not None or standing.sent is not None:
        return "another refresh of this call is under way"
    if tracked.policy.observe:
        return "the profile says observe: nothing is sent"
    if not driver.leading:
        return "another companion leads: ask that one"
    if tracked.edge is not None and tracked.edge.up is False:
        return f"edge {tracked.edge.name} is down: Asterisk would end the call for it"
    return ""


async def _outcome(driver: TimerDriver, tracked: TrackedCall, reported: asyncio.Future[_Outcome]) -> _Outcome:
    """What came of it, as far as can be said while the operator waits."""
    await asyncio.wait({reported}, timeout=OPERATOR_WAITS)
    if reported.done():
        return reported.result()
    (reply,) = await driver.records([tracked])
    if reported.done():
        return reported.result()
    seen = driver.evidence.seen(tracked, reply)
    outcome, reason = RefreshOutcome.UNKNOWN, f"no response yet: {why_not(reply, seen)}"
    attempt = tracked.attempt
    if attempt is not None and attempt.reported is reported:
        if tracked.current_session().sent is None:
            driver.evidence.close_attempt(tracked, outcome, reason)
        else:
            attempt.reported = None  # the session follows it to its end
    return outcome, reason
