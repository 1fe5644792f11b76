"""A refresh that an operator asks for, and the report of what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from session_timer.session import Method, Session

from session_timer_companion.ami.client import AmiError
from session_timer_companion.api import RefreshOutcome, RefreshReport
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.control.holds import Holds
from session_timer_companion.edge.client import Found, RecordReply
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.evidence import Evidence, why_not
from session_timer_companion.timers.refresh import RefreshSender
from session_timer_companion.timers.tracked_call import Attempt, TrackedCall

if TYPE_CHECKING:
    from session_timer_companion.tracking.tracker import CallTracker

WAITS = 8.0
"""Seconds that an operator is kept waiting for the outcome of a refresh."""

_HANDS_OFF = 0.05
"""Seconds between two looks whether a call that somebody has in hand is free."""


async def refresh(tracker: CallTracker, tracked: TrackedCall) -> RefreshReport:
    """Refresh one call now; returns when the outcome is known, or after some seconds that it is not."""
    now = asyncio.get_running_loop().time
    began = now()
    method, outcome, reason = await tracker.driver.by_hand.refresh(tracked)
    return {
        "asterisk": tracker.name,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "method": method.name,
        "outcome": str(outcome),
        "reason": reason,
        "seconds": round(now() - began, 3),
    }


class ManualRefresh:
    """Refreshes one call because an operator asks for it.

    Such a refresh is followed and counted as any other, and stands for the automatic one that becomes due
    meanwhile.
    """

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        sender: RefreshSender,
        evidence: Evidence,
        *,
        records: Callable[[list[TrackedCall]], Awaitable[list[RecordReply]]],
        moved: Callable[[TrackedCall], None],
        leading: Callable[[], bool],
        holds: Holds,
        metrics: Metrics,
        log: CallLog,
    ) -> None:
        """`moved` gets each call that has something else to wait for; `leading`: no other companion does."""
        self._sender = sender
        self._evidence = evidence
        self._records = records
        self._moved = moved
        self._leading = leading
        self._holds = holds
        self._metrics = metrics
        self._log = log
        self._loop = asyncio.get_running_loop()

    async def refresh(self, tracked: TrackedCall) -> tuple[Method, RefreshOutcome, str]:
        """Refresh one call now; the form, the outcome and its reason."""
        while tracked.busy:
            await asyncio.sleep(_HANDS_OFF)
        standing = tracked.current_session()
        method = standing.method
        refusal = self._refusal(tracked, standing)
        if refusal:
            return method, RefreshOutcome.NOT_SENT, refusal
        reported: asyncio.Future[tuple[RefreshOutcome, str]] = self._loop.create_future()
        tracked.busy = True
        try:
            (before,) = await self._records([tracked])
            if isinstance(before, Found):
                self._evidence.apply_refresh(tracked, before)
                tracked.dealt = before.record.ours.ended if before.record.ours else None
            method = await self._sender.send(tracked, method)
            tracked.attempt = Attempt(method, self._loop.time(), reported=reported)
        except (AmiError, CannotRefresh) as error:
            self._metrics.ended(tracked.peer, method, RefreshOutcome.NOT_SENT)
            return method, RefreshOutcome.NOT_SENT, str(error)
        finally:
            tracked.busy = False
            self._moved(tracked)
        self._log.info("refresh_asked_for", call=tracked, method=method.name)
        if tracked.edge is None:
            self._evidence.close_attempt(tracked, RefreshOutcome.UNKNOWN, "no edge keeps a record of it")
        return (method, *await self._outcome(tracked, reported))

    def _refusal(self, tracked: TrackedCall, standing: Session) -> str:
        """Why nothing is sent; empty if it is."""
        if tracked.gone:
            return "the call has ended"
        if held := self._holds.why(tracked.key):
            return held
        if tracked.attempt is not None or standing.sent is not None:
            return "another refresh of this call is under way"
        if tracked.policy.observe:
            return "the profile says observe: nothing is sent"
        if not self._leading():
            return "another companion leads: ask that one"
        if tracked.edge is not None and tracked.edge.up is False:
            return (
                f"edge {tracked.edge.name} is down ({tracked.edge.reason}), and Asterisk would end the call"
            )
        return ""

    async def _outcome(
        self, tracked: TrackedCall, reported: asyncio.Future[tuple[RefreshOutcome, str]]
    ) -> tuple[RefreshOutcome, str]:
        """What came of it, as far as can be said while the operator waits."""
        await asyncio.wait({reported}, timeout=WAITS)
        if reported.done():
            return reported.result()
        (reply,) = await self._records([tracked])
        if reported.done():
            return reported.result()
        seen = self._evidence.seen(tracked, reply)
        outcome, reason = RefreshOutcome.UNKNOWN, f"no response yet: {why_not(reply, seen)}"
        attempt = tracked.attempt
        if attempt is not None and attempt.reported is reported:
            if tracked.current_session().sent is None:
                self._evidence.close_attempt(tracked, outcome, reason)
            else:
                attempt.reported = None  # the session follows it to its end
        return outcome, reason
