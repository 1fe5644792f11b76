"""What a record proves about a call, and what follows from it.

The whole theory of a hang-up. Asterisk is made to send a refresh, and only the edge sees what becomes of it.
A call is hung up at the end of a chain in which each link was seen (`session_timer.evidence`): the edge is on
the dialog's path, our request passed it, and that very request timed out there, or the far side answered it
408 or 481. Nothing is inferred from absence: a record without news, an edge that does not reply, a copy that
a stand-in keeps, a request that never passed. Each of these has a next step of its own, and none is a
hang-up. Even then `expiry` looks a last time at the record, at the channel, and at the peer's media.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from session_timer import Agreement, Asked, RefreshResponse, Side, session
from session_timer.evidence import Seen, Shows, shows
from session_timer.session import Action, Expire, Method, Send, Session
from session_timer.session.responses import MAY_BE_OVER
from session_timer.session.transitions import State

from session_timer_companion.api import RefreshOutcome
from session_timer_companion.edge.pool import Copy
from session_timer_companion.edge.replies import Found, Missing, OnlyAsked, RecordReply, Shown
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers.refresh import LearnedPeers
from session_timer_companion.timers.tracked_call import (
    UNHINDERED,
    Attempt,
    Refreshed,
    TrackedCall,
    news,
    sent_at,
    shared,
)

NOT_ARMED = 3
"""Refreshes that never passed an edge which no request of any call has passed: its routes are suspicious."""

_RESTING = (State.OURS, State.THEIRS, State.OFF)


class Evidence:
    """Tells sessions what records show, and returns what follows."""

    def __init__(
        self,
        *,
        learned: LearnedPeers,
        metrics: Metrics,
        log: CallLog,
        chance: Callable[[], float],
        moved: Callable[[TrackedCall], None],
    ) -> None:
        """`chance` is uniform in [0, 1); `moved` gets each call that a refresh has moved on."""
        self._learned = learned
        self._metrics = metrics
        self._log = log
        self._chance = chance
        self._moved = moved
        self._now = asyncio.get_running_loop().time
        self._passed: set[str] = set()
        """Edges that a request of ours has passed, by their name."""
        self._never_passed: dict[str, int] = {}

    def news(self, tracked: TrackedCall, found: Found) -> Refreshed | None:
        """The refresh that a record shows beyond what is known of the call."""
        return news(tracked, found, self._now())

    def is_evidence(self, reply: RecordReply) -> bool:
        """Whether this reply may be a link of a hang-up: the edge's own record, by a clock that is known."""
        if not isinstance(reply, Shown) or isinstance(reply, Copy):
            return False
        return reply.clocks.ours(reply.record.clock, reply.record.at) is not None

    def seen(self, tracked: TrackedCall, reply: RecordReply) -> Seen | None:
        """What a record shows of our refresh; None where none is under way, or nobody can say."""
        sent = sent_at(tracked)
        if sent is None or not isinstance(reply, Shown) or not self.is_evidence(reply):
            return None
        return shows(reply.record, sent, reply.clocks.ours)

    def apply_refresh(self, tracked: TrackedCall, found: Found) -> None:
        """Take the refresh that this record shows, if any; a refusal is left to whoever has sent."""
        fresh = self.news(tracked, found)
        if fresh is not None:
            self._take(tracked, found, fresh.since)

    def apply_record(self, tracked: TrackedCall, reply: RecordReply) -> Action | None:
        """Take what a record shows; returns what follows from it."""
        if not isinstance(reply, Shown):
            return None
        tracked.note_peer(reply.record)
        if tracked.edge is not None and reply.record.ours is not None:
            self._passed.add(tracked.edge.name)
        fresh = self.news(tracked, reply) if isinstance(reply, Found) else None
        if fresh is not None and isinstance(reply, Found):
            self._take(tracked, reply, fresh.since)
            return None
        seen = self.seen(tracked, reply)
        request = None if seen is None else seen.request
        if seen is None or request is None or request.ended == tracked.dealt:
            return None
        match seen.what:
            case Shows.REFUSED | Shows.GONE | Shows.CHALLENGED:
                return self._refused(tracked, reply, request, challenged=seen.what is Shows.CHALLENGED)
            case Shows.TIMED_OUT | Shows.ALIVE if _may_be_open_in_asterisk(tracked, request):
                return None
            case Shows.TIMED_OUT | Shows.ALIVE:
                return self._timed_out(tracked, request, alive=seen.what is Shows.ALIVE)
        return None

    def decide(self, tracked: TrackedCall, reply: RecordReply, log: Callable[..., object]) -> Action | None:
        """The verdict that a session asked for; `log` is called with why there is none."""
        action = self.apply_record(tracked, reply)
        asking, attempt = tracked.current_session(), tracked.attempt
        if action is not None or asking.state is not State.ASKING:
            return action
        now = self._now()
        seen = self.seen(tracked, reply)
        if asking.sent is None and isinstance(reply, Found) and self.is_evidence(reply):
            after, action = session.silent(asking, now)
        elif seen is not None and seen.what is Shows.UNDER_WAY:
            after, action = session.under_way(asking, now)
        elif seen is not None and seen.what in (Shows.NEVER_PASSED, Shows.UNROUTABLE):
            self._did_not_pass(tracked, attempt, seen)
            after, action = session.never_passed(asking, now)
        elif isinstance(reply, Missing) and self._left_no_trace(tracked, now):
            log("record_was_refused", call=tracked, edge=tracked.edge.name if tracked.edge else None)
            after, action = session.untraced(asking, now)
        else:
            if tracked.edge is not None:
                log("no_evidence", call=tracked, reason=why_not(reply, seen))
            after, action = session.unknown(asking, now, left=attempt.surely_left_at if attempt else None)
        if after.state in _RESTING and not isinstance(action, Expire):
            self._go_on(tracked, after)
            return action
        if isinstance(action, Send):
            self.close_attempt(tracked, RefreshOutcome.UNKNOWN, "nobody could say what came of it")
        tracked.active = after
        return action

    @staticmethod
    def _left_no_trace(tracked: TrackedCall, now: float) -> bool:
        """Whether our refresh surely left when the edge's table was full, and has room again."""
        attempt, edge = tracked.attempt, tracked.edge
        left = attempt is not None and attempt.surely_left_at is not None
        return left and edge is not None and edge.keeps_again(tracked.since, now)

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

    def _refused(
        self, tracked: TrackedCall, reply: Shown, request: Asked, *, challenged: bool
    ) -> Action | None:
        """A final response other than 2xx came from the far side to this request of ours."""
        response = RefreshResponse(
            code=request.code, min_se=reply.record.dialog.min_se, retry_after=request.retry_after
        )
        standing = tracked.current_session()
        after, action = session.responded(standing, self._now(), response, self._chance())
        if after is standing and standing.sent is not None:
            return None  # a challenge, which Asterisk answers by itself
        reason = f"the response was {request.code}"
        if self.close_attempt(tracked, RefreshOutcome.REFUSED, reason) is not None:
            self._log.warning("refresh_refused", call=tracked, code=request.code, peer=tracked.peer or None)
            if challenged:
                self._log.warning("challenge_unanswered", call=tracked, code=request.code)
            if request.code in MAY_BE_OVER:
                self._log.warning("peer_may_have_ended", call=tracked, code=request.code)
        tracked.active = after
        if not isinstance(action, Expire):
            tracked.dealt = request.ended
        return action

    def _timed_out(self, tracked: TrackedCall, request: Asked, *, alive: bool) -> Action | None:
        """This request of ours came to nothing at the edge; `alive`: the peer was heard since."""
        standing = tracked.current_session()
        if standing.sent is None:
            self.close_attempt(tracked, RefreshOutcome.UNANSWERED, "it timed out at the edge")
            tracked.dealt = request.ended
            return None
        step = session.alive if alive else session.timed_out
        after, action = step(standing, self._now())
        if isinstance(action, Expire):
            tracked.active = after
            return action
        self.close_attempt(tracked, RefreshOutcome.UNANSWERED, "it timed out at the edge")
        tracked.dealt = request.ended
        self._log.warning("refresh_timed_out", call=tracked, method=request.method)
        if after.state in _RESTING:
            self._log.warning("peer_alive", call=tracked)
        self._rest(tracked, after)
        return action

    def _did_not_pass(self, tracked: TrackedCall, attempt: Attempt | None, seen: Seen) -> None:
        """Say why no request of ours is on its way: that is none of the peer's doing."""
        if attempt is None or tracked.edge is None:
            return
        if seen.what is Shows.UNROUTABLE:
            code = seen.request.code if seen.request else 0
            self.close_attempt(tracked, RefreshOutcome.UNKNOWN, f"the edge could not send it on ({code})")
            self._log.warning("refresh_unroutable", call=tracked, code=code)
            return
        self._metrics.swallowed.labels(tracked.peer or GENERAL, attempt.method.name).inc()
        self.close_attempt(tracked, RefreshOutcome.UNKNOWN, "it never passed the edge")
        name = tracked.edge.name
        self._never_passed[name] = self._never_passed.get(name, 0) + 1
        if name not in self._passed and self._never_passed[name] >= NOT_ARMED:
            self._log.error("route_not_armed", call=tracked, edge=name)
        else:
            self._log.warning("refresh_swallowed", call=tracked, method=attempt.method.name)

    def _go_on(self, tracked: TrackedCall, after: Session) -> None:
        """Nobody could say what came of our refresh, and the call is kept."""
        left = tracked.attempt.surely_left_at if tracked.attempt else None
        self._rest(tracked, after)
        if left is None:
            self.close_attempt(tracked, RefreshOutcome.UNKNOWN, "nobody could say what came of it")
            return
        # Asterisk would have ended it, had the peer not answered.
        outlived = self._now() >= left + session.SELF_ENDING
        self.close_attempt(tracked, RefreshOutcome.OUTLIVED if outlived else RefreshOutcome.UNKNOWN)
        self._log.info("refresh_outlived" if outlived else "refresh_unknown", call=tracked)

    def _take(self, tracked: TrackedCall, found: Found, since: float) -> None:
        """A refresh took place: the deadline moves, and whatever else the 2xx said holds."""
        record, old = found.record, tracked.current_session()
        tracked.refreshes = record.refreshes
        tracked.hindrance = UNHINDERED
        tracked.dealt = None
        tracked.note_peer(record)
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
            if old.dialog.agreement is not None and old.dialog.agreement.refresher is Side.REMOTE:
                metrics.saved.labels(peer).inc()
            self._learn(tracked, old, attempt)
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

    def _learn(self, tracked: TrackedCall, old: Session, attempt: Attempt) -> None:
        """UPDATE timed out at the edge and re-INVITE was answered: this peer gets re-INVITE for a day."""
        timed_out = Method.UPDATE in old.failed and not old.refused
        if attempt.method is Method.INVITE and timed_out and self._learned.learn(tracked.far):
            self._log.warning("update_swallowed", call=tracked, far=tracked.far)

    def learn_unasked(self, tracked: TrackedCall) -> None:
        """It sends media and answers no refresh: where it has agreed to none, it gets none for a day."""
        if tracked.unasked and self._learned.learn_unasked(tracked.far):
            self._log.warning("unasked_ignored", call=tracked, far=tracked.far)

    @staticmethod
    def _rest(tracked: TrackedCall, fresh: Session) -> None:
        if fresh.state in _RESTING:
            tracked.rest(fresh)
        else:
            tracked.active = fresh


def _may_be_open_in_asterisk(tracked: TrackedCall, request: Asked) -> bool:
    """Whether a re-INVITE has only just timed out at the edge: then it is looked at once more, soon.

    What Asterisk is told while it has not read the edge's 504 it queues and then drops, with Success.
    """
    attempt = tracked.attempt
    asking = tracked.current_session().state is State.ASKING
    if attempt is None or attempt.settled or asking or request.method != Method.INVITE.name:
        return False
    attempt.settled, attempt.polls = True, 1
    return True


def why_not(reply: RecordReply, seen: Seen | None = None) -> str:
    """Why a reply of the edge is no evidence."""
    match reply:
        case Copy():
            return "the edge does not reply, and a stand-in has only a copy of the record"
        case Shown() if seen is not None and seen.what is Shows.OFF_PATH:
            return "the edge is not on the path of this call"
        case Shown() if seen is not None:
            return f"the record shows: {seen.what}"
        case Found():
            return "the record's time is by a clock that is not known yet"
        case OnlyAsked():
            return "the edge has lost its record of this call"
        case Missing():
            return "the edge has no record of this call"
        case _:
            return reply.reason


def _written(agreement: Agreement | None) -> str:
    return f"{agreement.interval};refresher={agreement.refresher}" if agreement else "off"
