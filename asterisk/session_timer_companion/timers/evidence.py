"""What a record means for a call: a refresh that took place, a refusal, silence, or that nobody can say.

Only the edge's record says that a refresh took place, or that none did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from session_timer import Agreement, Record, Side, session
from session_timer.session import Expire, Session, State

from session_timer_companion.edge.client import Answer, Found, Missing
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import Copy
from session_timer_companion.metrics import Measures, Outcome
from session_timer_companion.timers import forms
from session_timer_companion.timers.shared_dialogs import SharedDialogs
from session_timer_companion.timers.tracked_call import Refreshed, Refused, Watch, news


class Verdicts:
    """Tells sessions what records say, and what follows."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        *,
        clocks: Clocks,
        dialogs: SharedDialogs,
        measures: Measures,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float],
        moved: Callable[[Watch], None],
    ) -> None:
        """`chance` is uniform in [0, 1); `moved` is told of each call that a refresh has moved on."""
        self._clocks = clocks
        self._dialogs = dialogs
        self._measures = measures
        self._log = log
        self._chance = chance
        self._moved = moved
        self._now = asyncio.get_running_loop().time

    def news(self, watch: Watch, record: Record) -> Refreshed | Refused | None:
        """What a record tells beyond what the watch knows."""
        return news(watch, record, self._clocks, self._now())

    def is_evidence(self, answer: Answer) -> bool:
        """Whether a refresh that this answer does not tell of did not take place."""
        if not isinstance(answer, Found) or isinstance(answer, Copy):
            return False
        return self._clocks.ours(answer.record.clock, answer.record.at) is not None

    def take_news(self, watch: Watch, record: Record) -> None:
        """Take the refresh that this record tells of, if any; a refusal is for whoever has sent."""
        told = self.news(watch, record)
        if isinstance(told, Refreshed):
            self._take(watch, record, told.since)

    def hear(self, watch: Watch, answer: Answer) -> session.Action | None:
        """Take what a record tells; what follows from it."""
        if not isinstance(answer, Found):
            return None
        record = answer.record
        told = self.news(watch, record)
        if isinstance(told, Refreshed):
            self._take(watch, record, told.since)
        elif isinstance(told, Refused):
            watch.failure_at = record.failure.at if record.failure else None
            attempt, watch.attempt = watch.attempt, None
            if attempt is not None:
                self._measures.ended(attempt.method, Outcome.REFUSED)
            watch.active, action = session.answered(watch.session, self._now(), told.answer, self._chance())
            self._log.warning("refresh refused", call_id=watch.call_id, code=told.answer.code)
            return action
        return None

    def judge(self, watch: Watch, answer: Answer, tell: Callable[..., object]) -> session.Action | None:
        """The verdict that a session asked for; `tell` logs why there is none."""
        action = self.hear(watch, answer)
        asking, attempt = watch.session, watch.attempt
        if action is not None or asking.state is not State.ASKING:
            return action
        left = forms.left(attempt)
        if self.is_evidence(answer):
            other_form = attempt.other_form if attempt else None
            after, action = session.silent(asking, self._now(), other_form=other_form)
            if not isinstance(action, Expire) or asking.sent is None or left is not None:
                watch.active = after
                return action
            tell("no sign that any refresh left Asterisk", call_id=watch.call_id)
        elif watch.edge is not None:
            tell("the edge cannot say", call_id=watch.call_id, reason=why_not(answer))
        after, action = session.unknown(asking, self._now(), left=left)
        if after.state in (State.OURS, State.THEIRS):
            self._go_on(watch, after)
        else:
            watch.active = after
        return action

    def _go_on(self, watch: Watch, after: Session) -> None:
        """Nobody could say what came of our refresh, and the call still stands."""
        attempt, watch.attempt = watch.attempt, None
        self._rest(watch, after)
        left = forms.left(attempt)
        if attempt is None or left is None:
            return
        outlived = self._now() >= left + session.SELF_ENDING
        self._measures.ended(attempt.method, Outcome.OUTLIVED if outlived else Outcome.UNKNOWN)
        # Asterisk would have ended it, had the peer not answered.
        told = "call has outlived its refresh" if outlived else "nobody could say what came of the refresh"
        self._log.info(told, call_id=watch.call_id)

    def _take(self, watch: Watch, record: Record, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        old = watch.session
        attempt, watch.attempt = watch.attempt, None
        watch.refreshes = record.refreshes
        watch.failure_at = None
        fresh = session.refreshed(old, self._dialogs.one(record.dialog), since)
        self._rest(watch, fresh)
        self._moved(watch)
        measures = self._measures
        measures.seen.inc()
        if old.deadline is not None:
            measures.margin.observe(max(0.0, old.deadline - since))
        if attempt is not None:
            if attempt.other_form is not None:
                measures.suppressed.labels(str(attempt.method)).inc()
            measures.ended(attempt.method, Outcome.CONFIRMED)
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                measures.saved.inc()
        if old.dialog.agreement != fresh.dialog.agreement:
            now = _told(fresh.dialog.agreement)
            self._log.info(
                "agreement changed", call_id=watch.call_id, was=_told(old.dialog.agreement), now=now
            )
        self._log.info(
            "refresh confirmed" if attempt else "refreshed",
            call_id=watch.call_id,
            method=str(attempt.method) if attempt else None,
            refreshes=record.refreshes,
            due_in=None if fresh.wake is None else round(fresh.wake - self._now(), 1),
        )

    @staticmethod
    def _rest(watch: Watch, fresh: Session) -> None:
        if fresh.state in (State.OURS, State.THEIRS, State.OFF):
            watch.rest(fresh)
        else:
            watch.active = fresh


def why_not(answer: Answer) -> str:
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
