"""What a record means for a call: a refresh that took place, a refusal, silence, or that nobody can say.

Only the edge's record says that a refresh took place, or that none did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from session_timer import Agreement, Record, Side, session
from session_timer.session import Expire, Session, State

from session_timer_companion.edge.client import Found, Missing, RecordReply
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import Copy
from session_timer_companion.metrics import Metrics, RefreshOutcome
from session_timer_companion.timers import forms
from session_timer_companion.timers.shared_dialogs import SharedDialogs
from session_timer_companion.timers.tracked_call import Refreshed, Refused, TrackedCall, news


class Evidence:
    """Tells sessions what records say, and what follows."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        *,
        clocks: Clocks,
        dialogs: SharedDialogs,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float],
        moved: Callable[[TrackedCall], None],
    ) -> None:
        """`chance` is uniform in [0, 1); `moved` is told of each call that a refresh has moved on."""
        self._clocks = clocks
        self._dialogs = dialogs
        self._metrics = metrics
        self._log = log
        self._chance = chance
        self._moved = moved
        self._now = asyncio.get_running_loop().time

    def news(self, tracked: TrackedCall, record: Record) -> Refreshed | Refused | None:
        """What a record tells beyond what the companion knows."""
        return news(tracked, record, self._clocks, self._now())

    def is_evidence(self, answer: RecordReply) -> bool:
        """Whether a refresh that this answer does not tell of did not take place."""
        if not isinstance(answer, Found) or isinstance(answer, Copy):
            return False
        return self._clocks.ours(answer.record.clock, answer.record.at) is not None

    def apply_refresh(self, tracked: TrackedCall, record: Record) -> None:
        """Take the refresh that this record tells of, if any; a refusal is for whoever has sent."""
        told = self.news(tracked, record)
        if isinstance(told, Refreshed):
            self._take(tracked, record, told.since)

    def apply_record(self, tracked: TrackedCall, answer: RecordReply) -> session.Action | None:
        """Take what a record tells; what follows from it."""
        if not isinstance(answer, Found):
            return None
        record = answer.record
        told = self.news(tracked, record)
        if isinstance(told, Refreshed):
            self._take(tracked, record, told.since)
        elif isinstance(told, Refused):
            tracked.failure_at = record.failure.at if record.failure else None
            attempt, tracked.attempt = tracked.attempt, None
            if attempt is not None:
                self._metrics.ended(attempt.method, RefreshOutcome.REFUSED)
            tracked.active, action = session.answered(
                tracked.session, self._now(), told.answer, self._chance()
            )
            self._log.warning("refresh refused", call_id=tracked.call_id, code=told.answer.code)
            return action
        return None

    def decide(
        self, tracked: TrackedCall, answer: RecordReply, tell: Callable[..., object]
    ) -> session.Action | None:
        """The verdict that a session asked for; `tell` logs why there is none."""
        action = self.apply_record(tracked, answer)
        asking, attempt = tracked.session, tracked.attempt
        if action is not None or asking.state is not State.ASKING:
            return action
        left = forms.left(attempt)
        if self.is_evidence(answer):
            other_form = attempt.other_form if attempt else None
            after, action = session.silent(asking, self._now(), other_form=other_form)
            if not isinstance(action, Expire) or asking.sent is None or left is not None:
                tracked.active = after
                return action
            tell("no sign that any refresh left Asterisk", call_id=tracked.call_id)
        elif tracked.edge is not None:
            tell("the edge cannot say", call_id=tracked.call_id, reason=why_not(answer))
        after, action = session.unknown(asking, self._now(), left=left)
        if after.state in (State.OURS, State.THEIRS):
            self._go_on(tracked, after)
        else:
            tracked.active = after
        return action

    def _go_on(self, tracked: TrackedCall, after: Session) -> None:
        """Nobody could say what came of our refresh, and the call still stands."""
        attempt, tracked.attempt = tracked.attempt, None
        self._rest(tracked, after)
        left = forms.left(attempt)
        if attempt is None or left is None:
            return
        outlived = self._now() >= left + session.SELF_ENDING
        self._metrics.ended(attempt.method, RefreshOutcome.OUTLIVED if outlived else RefreshOutcome.UNKNOWN)
        # Asterisk would have ended it, had the peer not answered.
        told = "call has outlived its refresh" if outlived else "nobody could say what came of the refresh"
        self._log.info(told, call_id=tracked.call_id)

    def _take(self, tracked: TrackedCall, record: Record, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        old = tracked.session
        attempt, tracked.attempt = tracked.attempt, None
        tracked.refreshes = record.refreshes
        tracked.failure_at = None
        fresh = session.refreshed(old, self._dialogs.one(record.dialog), since)
        self._rest(tracked, fresh)
        self._moved(tracked)
        metrics = self._metrics
        metrics.seen.inc()
        if old.deadline is not None:
            metrics.margin.observe(max(0.0, old.deadline - since))
        if attempt is not None:
            if attempt.other_form is not None:
                metrics.suppressed.labels(str(attempt.method)).inc()
            metrics.ended(attempt.method, RefreshOutcome.CONFIRMED)
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                metrics.saved.inc()
        if old.dialog.agreement != fresh.dialog.agreement:
            now = _told(fresh.dialog.agreement)
            self._log.info(
                "agreement changed", call_id=tracked.call_id, was=_told(old.dialog.agreement), now=now
            )
        self._log.info(
            "refresh confirmed" if attempt else "refreshed",
            call_id=tracked.call_id,
            method=str(attempt.method) if attempt else None,
            refreshes=record.refreshes,
            due_in=None if fresh.wake is None else round(fresh.wake - self._now(), 1),
        )

    @staticmethod
    def _rest(tracked: TrackedCall, fresh: Session) -> None:
        if fresh.state in (State.OURS, State.THEIRS, State.OFF):
            tracked.rest(fresh)
        else:
            tracked.active = fresh


def why_not(answer: RecordReply) -> str:
    """Why an answer of the edge is no evidence."""
    match answer:
        case Copy():
            return "it does not answer, and another edge has only a copy of the record"
        case Found():
            return "the record's time is by a clock that is not known yet"
        case Missing():
            return "it has no record of this call"
        case _:
            return answer.reason


def _told(agreement: Agreement | None) -> str:
    return f"{agreement.interval};refresher={agreement.refresher}" if agreement else "off"
