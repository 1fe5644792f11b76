"""What a record proves about a call: a refresh that took place, a refusal, silence, or nothing.

Only the edge's record shows that a refresh took place, or that none did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from session_timer import Agreement, Record, Side, session
from session_timer.session import Expire, Session, State

from session_timer_companion.api import RefreshOutcome
from session_timer_companion.edge.client import Found, Missing, RecordReply
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import Copy
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers.tracked_call import (
    Attempt,
    Refreshed,
    Refused,
    TrackedCall,
    news,
    shared,
)


class Evidence:
    """Tells sessions what records show, and returns what follows."""

    def __init__(
        self,
        *,
        clocks: Clocks,
        metrics: Metrics,
        log: CallLog,
        chance: Callable[[], float],
        moved: Callable[[TrackedCall], None],
    ) -> None:
        """`chance` is uniform in [0, 1); `moved` gets each call that a refresh has moved on."""
        self._clocks = clocks
        self._metrics = metrics
        self._log = log
        self._chance = chance
        self._moved = moved
        self._now = asyncio.get_running_loop().time

    def news(self, tracked: TrackedCall, record: Record) -> Refreshed | Refused | None:
        """What a record shows beyond what is known of the call."""
        return news(tracked, record, self._clocks, self._now())

    def is_evidence(self, reply: RecordReply) -> bool:
        """True if this reply is proof: where it shows no refresh, there was none.

        A copy from another edge, or a record whose clock is unknown, is not proof.
        """
        if not isinstance(reply, Found) or isinstance(reply, Copy):
            return False
        return self._clocks.ours(reply.record.clock, reply.record.at) is not None

    def apply_refresh(self, tracked: TrackedCall, record: Record) -> None:
        """Take the refresh that this record shows, if any; a refusal is left to whoever has sent."""
        found = self.news(tracked, record)
        if isinstance(found, Refreshed):
            self._take(tracked, record, found.since)

    def apply_record(self, tracked: TrackedCall, reply: RecordReply) -> session.Action | None:
        """Take what a record shows; returns what follows from it."""
        if not isinstance(reply, Found):
            return None
        record = reply.record
        found = self.news(tracked, record)
        if isinstance(found, Refreshed):
            self._take(tracked, record, found.since)
        elif isinstance(found, Refused):
            tracked.failure_at = record.failure.at if record.failure else None
            code = found.response.code
            self.close_attempt(tracked, RefreshOutcome.REFUSED, f"the response was {code}")
            tracked.active, action = session.answered(
                tracked.current_session(), self._now(), found.response, self._chance()
            )
            self._log.warning("refresh_refused", call=tracked, code=code, peer=tracked.peer or None)
            return action
        return None

    def decide(
        self, tracked: TrackedCall, reply: RecordReply, log: Callable[..., object]
    ) -> session.Action | None:
        """The verdict that a session asked for; `log` is called with why there is none."""
        action = self.apply_record(tracked, reply)
        asking, attempt = tracked.current_session(), tracked.attempt
        if action is not None or asking.state is not State.ASKING:
            return action
        left = attempt.surely_left_at if attempt else None
        if self.is_evidence(reply):
            other_form = attempt.other_form if attempt else None
            after, action = session.silent(asking, self._now(), other_form=other_form)
            if not isinstance(action, Expire) or asking.sent is None or left is not None:
                tracked.active = after
                return action
            log("no_evidence", call=tracked, reason="no sign that any refresh left Asterisk")
        elif tracked.edge is not None:
            log("no_evidence", call=tracked, reason=why_not(reply))
        after, action = session.unknown(asking, self._now(), left=left)
        if after.state in (State.OURS, State.THEIRS):
            self._go_on(tracked, after)
        else:
            tracked.active = after
        return action

    def close_attempt(
        self, tracked: TrackedCall, outcome: RefreshOutcome, reason: str = ""
    ) -> Attempt | None:
        """The refresh under way is over: count it, and tell the operator who asked for it, if one did."""
        attempt, tracked.attempt = tracked.attempt, None
        if attempt is not None:
            self._metrics.ended(tracked.peer, attempt.method, outcome)
            if attempt.reported is not None and not attempt.reported.done():
                attempt.reported.set_result((outcome, reason))
        return attempt

    def _go_on(self, tracked: TrackedCall, after: Session) -> None:
        """Nobody could say what came of our refresh, and the call still stands."""
        left = tracked.attempt.surely_left_at if tracked.attempt else None
        self._rest(tracked, after)
        if left is None:
            tracked.attempt = None
            return
        # Asterisk would have ended it, had the peer not answered.
        outlived = self._now() >= left + session.SELF_ENDING
        self.close_attempt(tracked, RefreshOutcome.OUTLIVED if outlived else RefreshOutcome.UNKNOWN)
        self._log.info("refresh_outlived" if outlived else "refresh_unknown", call=tracked)

    def _take(self, tracked: TrackedCall, record: Record, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        old = tracked.current_session()
        tracked.refreshes = record.refreshes
        tracked.failure_at = None
        fresh = session.refreshed(old, shared(record.dialog), since)
        self._rest(tracked, fresh)
        attempt = self.close_attempt(tracked, RefreshOutcome.CONFIRMED)
        self._moved(tracked)
        metrics, peer = self._metrics, tracked.peer or GENERAL
        metrics.seen.labels(peer).inc()
        if old.deadline is not None:
            metrics.margin.observe(max(0.0, old.deadline - since))
        if attempt is not None:
            metrics.response.labels(peer).observe(max(0.0, since - attempt.sent))
            if attempt.other_form is not None:
                metrics.swallowed.labels(peer, attempt.method.name).inc()
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                metrics.saved.labels(peer).inc()
        if old.dialog.agreement != fresh.dialog.agreement:
            self._log.info(
                "agreement_changed",
                call=tracked,
                was=_written(old.dialog.agreement),
                now=_written(fresh.dialog.agreement),
            )
        self._log.info(
            "refresh_confirmed" if attempt else "refresh_seen",
            call=tracked,
            method=attempt.method.name if attempt else None,
            refreshes=record.refreshes,
            due_in=None if fresh.wake is None else round(fresh.wake - self._now(), 1),
        )

    @staticmethod
    def _rest(tracked: TrackedCall, fresh: Session) -> None:
        if fresh.state in (State.OURS, State.THEIRS, State.OFF):
            tracked.rest(fresh)
        else:
            tracked.active = fresh


def why_not(reply: RecordReply) -> str:
    """Why a reply of the edge is no evidence."""
    match reply:
        case Copy():
            return "the edge does not reply, and another edge has only a copy of the record"
        case Found():
            return "the record's time is by a clock that is not known yet"
        case Missing():
            return "the edge has no record of this call"
        case _:
            return reply.reason


def _written(agreement: Agreement | None) -> str:
    return f"{agreement.interval};refresher={agreement.refresher}" if agreement else "off"
