"""One dialog's timer in time: when to refresh, what to do with the answer, when to give up.

Theory of operation. A session is data; every function takes one, and `now`, and returns the next one
with at most one action for its driver. There is no clock here: the driver calls `due` when `wake` has
come. Where the driver cannot see refreshes itself (it asks the edge's record), an `Ask` comes before
every verdict, and it answers with `refreshed`, `answered`, `silent` or `unknown`. Two rules:
everything about transitions is in `TRANSITIONS`, and nothing here knows who called whom.

Times are seconds on the driver's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .answers import TIMEOUT, Reaction, glare_delay, reaction, wait
from .dialog import DialogTimer, Side
from .message import RefreshResponse
from .policy import ExpiryAction, Policy


class State(StrEnum):
    """Where a session stands."""

    OFF = "off"
    """No expiration: nothing to refresh, nothing to wait for."""
    OURS = "ours"
    """We are the refresher; the next refresh is not due yet."""
    THEIRS = "theirs"
    """The peer is the refresher; its silence is not suspicious yet."""
    REFRESHING = "refreshing"
    """Our refresh is on its way."""
    WAITING = "waiting"
    """Our refresh was refused for now and is tried again later."""
    REFUSED = "refused"
    """The peer answers, but refuses to be refreshed."""
    ASKING = "asking"
    """The driver is asked for news before a verdict on our refresh or on the peer."""
    PROBING = "probing"
    """The peer missed its refresh; a refresh of ours shows whether it is alive."""
    OVER = "over"


class Event(StrEnum):
    """What moves a session."""

    AGREED_OURS = "2xx: we refresh"
    AGREED_THEIRS = "2xx: the peer refreshes"
    SWITCHED_OFF = "2xx without Session-Expires"
    DUE = "due"
    LATE = "no answer in time"
    DEADLINE = "deadline"
    AGAIN = "answer: once more"
    LATER = "answer: later"
    NEVER = "answer: not so"
    GONE = "answer: no such dialog"
    SILENT = "no news"


_ANY = tuple(state for state in State if state is not State.OVER)
_OPEN = (State.REFRESHING, State.ASKING, State.PROBING)
"""Where a refresh of ours may still be without an answer."""

TRANSITIONS: dict[tuple[State, Event], State] = {
    # Only a 2xx moves the deadline, and it does so from everywhere (RFC 4028 sections 2 and 10).
    **{(state, Event.AGREED_OURS): State.OURS for state in _ANY},
    **{(state, Event.AGREED_THEIRS): State.THEIRS for state in _ANY},
    **{(state, Event.SWITCHED_OFF): State.OFF for state in _ANY},
    (State.OURS, Event.DUE): State.REFRESHING,
    (State.WAITING, Event.DUE): State.REFRESHING,
    (State.THEIRS, Event.DUE): State.ASKING,
    **{(state, Event.AGAIN): State.REFRESHING for state in _OPEN},
    **{(state, Event.LATER): State.WAITING for state in _OPEN},
    **{(state, Event.NEVER): State.REFUSED for state in _OPEN},
    **{(state, Event.GONE): State.OVER for state in _OPEN},
    (State.REFRESHING, Event.LATE): State.ASKING,
    (State.PROBING, Event.LATE): State.ASKING,
    (State.WAITING, Event.DEADLINE): State.ASKING,
    (State.REFUSED, Event.DEADLINE): State.ASKING,
    # The verdicts. Silence that was probed, or that follows our own refresh, ends the session;
    # silence without a probe, and the lack of evidence, never do.
    (State.ASKING, Event.DUE): State.PROBING,
    (State.ASKING, Event.SILENT): State.OVER,
    (State.ASKING, Event.LATE): State.ASKING,
}
"""Every move there is; a pair that is not here leaves the session as it is."""


class Method(StrEnum):
    """The forms of a refresh, in the order of RFC 4028 7.4's preference."""

    UPDATE = "UPDATE"
    """UPDATE without an offer."""
    UPDATE_SDP = "UPDATE with SDP"
    INVITE = "INVITE"
    """re-INVITE with the unchanged offer."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a refresh now."""

    method: Method


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out whether a refresh took place; answer with `refreshed`, `answered`, `silent` or `unknown`."""


class Reason(StrEnum):
    """Why a session has expired."""

    UNANSWERED = "our refresh was not answered"
    GONE = "the peer no longer knows the call"
    SILENT = "the peer sent no refresh"
    REFUSED = "the peer refused every refresh"


@dataclass(frozen=True, slots=True)
class Expire:
    """The session is over: hang up, or only report it where the policy says so."""

    reason: Reason
    hang_up: bool


Action = Send | Ask | Expire
Step = tuple["Session", Action | None]

ANSWER_TIME = 32.0
"""Seconds an answer may take: 64 times T1, Timers B and F (RFC 3261 17.1)."""

SELF_ENDING = 2 * ANSWER_TIME + 4
"""Seconds after a refresh by which a user agent that got 408, 481 or no answer has ended the call itself.

Its BYE may take as long as the refresh did before nobody has answered it.
"""

MOST_ATTEMPTS = 4
"""Refreshes per interval; a peer is not asked the same thing over and over (RFC 4028 section 10)."""

PROBE_TIME = 16.0
"""Seconds a probe has at most before the deadline: six retransmissions (RFC 3261 17.1.2.1)."""

SHORTEST_HALF = 1.0
"""Seconds between two refreshes at least, whatever interval a rogue 2xx names (RFC 4028 11.1)."""

EARLY = 0.1
"""A refresh leaves up to this share of the half interval early, so that calls that began together part."""


@dataclass(frozen=True, slots=True)
class Session:
    """One dialog's timer."""

    dialog: DialogTimer
    policy: Policy
    state: State
    since: float
    """When the last 2xx was received or sent: the zero of the interval."""
    wake: float | None
    """When `due` must be called; None: never."""
    failed: tuple[Method, ...] = ()
    """The forms of refresh that this peer would not take, or that brought no answer."""
    sent: float | None = None
    """When the refresh of ours left that has no answer yet; None: none is open."""
    attempts: int = 0
    refused: tuple[int, ...] = ()
    """The codes that refused this round's refreshes."""
    owns_call_id: bool = False
    spread: float = 0.0
    """In [0, 1), constant for a session: its place in the spread of `EARLY`."""

    @property
    def interval(self) -> float:
        """Seconds; 0 where nothing expires."""
        return _interval(self.dialog)

    @property
    def method(self) -> Method:
        """The best form of refresh that has not failed; the last resort if all have."""
        known = forms(self.policy, self.dialog)
        return next((form for form in known if form not in self.failed), known[-1])

    @property
    def deadline(self) -> float | None:
        """When a session without refresh is given up (RFC 4028 section 10); None: never.

        A 2xx may name less than 90 seconds. We refresh in time for that, but give nobody up for it.
        """
        return _deadline(self.dialog, self.policy, self.since)


def begin(
    dialog: DialogTimer,
    since: float,
    policy: Policy,
    *,
    owns_call_id: bool = False,
    spread: float = 0.0,
) -> Session:
    """A session whose last 2xx passed at `since`; `owns_call_id` says whether our side placed the call."""
    start = Session(dialog, policy, State.OFF, since, None, owns_call_id=owns_call_id, spread=spread)
    return refreshed(start, dialog, since)


def refreshed(session: Session, dialog: DialogTimer, since: float) -> Session:
    """A 2xx to a refresh, from either side, passed at `since` (RFC 4028 7.2, 8.2, 9)."""
    if session.state is State.OVER:
        return session
    if since < session.since and dialog.agreement == session.dialog.agreement:
        return replace(session, dialog=dialog)  # older than what is known: it moves no deadline
    agreed = dialog.agreement
    event = Event.SWITCHED_OFF
    if agreed is not None:
        event = Event.AGREED_OURS if agreed.refresher is Side.LOCAL else Event.AGREED_THEIRS
    return Session(
        dialog,
        session.policy,
        TRANSITIONS[session.state, event],
        since,
        _first_wake(dialog, session.policy, since, session.spread),
        session.failed,
        owns_call_id=session.owns_call_id,
        spread=session.spread,
    )


def forms(policy: Policy, dialog: DialogTimer) -> tuple[Method, ...]:
    """The forms of refresh to try, best first (RFC 4028 7.4): UPDATE only where the peer's Allow lists it."""
    if policy.use_update and dialog.peer_allows_update:
        return (Method.UPDATE, Method.UPDATE_SDP, Method.INVITE)
    return (Method.INVITE,)


def due(session: Session, now: float) -> Step:
    """The time `wake` has come (or gone by: a driver may be late)."""
    if session.wake is None or now < session.wake or session.deadline is None:
        return session, None
    match session.state:
        case State.OURS:
            return _send(session, Event.DUE, now)
        case State.WAITING if now < session.deadline:
            return _send(session, Event.DUE, now)
        case State.WAITING | State.REFUSED:
            return _ask(session, Event.DEADLINE, now)
        case State.THEIRS:
            return _ask(session, Event.DUE, now)
        case _:
            return _ask(session, Event.LATE, now)


def answered(session: Session, now: float, answer: RefreshResponse, chance: float) -> Step:
    """Our refresh got a final answer other than 2xx, for instance `TIMEOUT`.

    `chance`, uniform in [0, 1), spreads the wait after a 491. Only a 2xx extends the session, so every
    retry must fit before the old deadline. A 1xx changes nothing, and a 2xx is for `refreshed`.
    """
    if answer.code < 300:
        return session, None
    if session.sent is None or session.state is State.OVER:
        # An error that a driver reports again, or that was not for us, is no news.
        return silent(session, now)
    worth = _is_news(session, answer) and session.attempts < MOST_ATTEMPTS
    known = session.dialog.with_min_se(answer.min_se)
    session = replace(session, dialog=known, refused=(*session.refused, answer.code), sent=None)
    match reaction(answer.code):
        case Reaction.END:
            gone = Reason.UNANSWERED if answer.code == TIMEOUT else Reason.GONE
            return _expire(session, Event.GONE, gone)
        case Reaction.RETRY if worth:
            return _send(session, Event.AGAIN, now)
        case Reaction.BACK_OFF if session.attempts < MOST_ATTEMPTS:
            return _later(session, now + glare_delay(chance, owns_call_id=session.owns_call_id), now)
        case Reaction.WAIT if worth:
            return _later(session, now + wait(answer), now)
        case Reaction.OTHER_METHOD if session.method is not Method.INVITE:
            return _send(_without(session, Method.UPDATE, Method.UPDATE_SDP), Event.AGAIN, now)
        case Reaction.ADAPT if session.method is not Method.INVITE and session.attempts < MOST_ATTEMPTS:
            return _send(_without(session, session.method), Event.AGAIN, now)
    return _never(session, now)


def left_at(session: Session, at: float) -> Session:
    """Our refresh left only at `at`, later than it was due: its answer has no less time for that."""
    return replace(session, sent=at, wake=_verdict(session, at))


def silent(session: Session, now: float, *, other_form: float | None = None) -> Step:
    """Answer to `Ask`: since the last 2xx that this session knows of there was none, and no error either.

    `other_form`: when the driver sent the refresh in another form too, which has half the time of the first.
    """
    if session.state is not State.ASKING or session.deadline is None:
        return session, None
    if session.sent is not None:
        verdict = _verdict(session, session.sent)
        if other_form is not None:
            verdict = max(verdict, other_form + (verdict - session.sent) / 2)
        if now < verdict:
            return replace(session, wake=verdict), None
        if now < session.deadline and session.attempts < MOST_ATTEMPTS:
            # Neither answer nor error: perhaps it never left. There is time to try another form.
            return _send(_without(session, session.method), Event.AGAIN, now)
        return _expire(session, Event.SILENT, _whose_silence(session))
    if session.refused:
        return _refused_to_the_end(session, now)
    if session.policy.probe:
        return _send(session, Event.DUE, now)
    if now < session.deadline:
        return replace(session, wake=session.deadline), None
    return _expire(session, Event.SILENT, Reason.SILENT)


def unknown(session: Session, now: float, *, left: float | None = None) -> Step:
    """Answer to `Ask`: nobody could say. Without evidence no call is hung up: a refresh of ours decides.

    A user agent whose refresh got 408, 481 or no answer ends the call by itself. One that still
    stands when that time is past has a live peer, whose answer we merely could not see. That holds from
    `left` on, when a refresh surely was sent; None: perhaps none was, and a re-INVITE follows.
    """
    if session.state is not State.ASKING:
        return session, None
    if session.sent is None:
        return _refused_to_the_end(session, now) if session.refused else _send(session, Event.DUE, now)
    if left is None:
        again, _ = _send(session, Event.AGAIN, now)
        return again, Send(Method.INVITE)
    alive = left + SELF_ENDING
    if _is_ours(session.dialog):
        # Perhaps the peer did answer, and it counts from then.
        alive = min(alive, session.sent + _half(session.dialog))
    if now < alive:
        return replace(session, wake=alive), None
    return refreshed(session, session.dialog, session.sent), None


def _interval(dialog: DialogTimer) -> float:
    return float(dialog.agreement.interval) if dialog.agreement else 0.0


def _deadline(dialog: DialogTimer, policy: Policy, since: float) -> float | None:
    if dialog.agreement is None:
        return None
    lasting = float(max(dialog.agreement.interval, policy.floor))
    return since + lasting - policy.guard(lasting)


def _first_wake(dialog: DialogTimer, policy: Policy, since: float, spread: float) -> float | None:
    deadline = _deadline(dialog, policy, since)
    if deadline is None:
        return None
    if _is_ours(dialog):
        return since + _half(dialog) * (1 - EARLY * spread)
    return deadline - _probe_time(dialog, since, deadline) if policy.probe else deadline


def _half(dialog: DialogTimer) -> float:
    return max(_interval(dialog) / 2, SHORTEST_HALF)


def _probe_time(dialog: DialogTimer, since: float, deadline: float) -> float:
    """Seconds that a probe has: it is over at the deadline, and comes when the peer's refresh is late."""
    return min(PROBE_TIME, (deadline - since - _half(dialog)) / 2)


def _is_ours(dialog: DialogTimer) -> bool:
    agreed = dialog.agreement
    return agreed is not None and agreed.refresher is Side.LOCAL


def _move(session: Session, event: Event, wake: float | None) -> Session:
    return replace(session, state=TRANSITIONS.get((session.state, event), session.state), wake=wake)


def _send(session: Session, event: Event, now: float) -> Step:
    state = TRANSITIONS.get((session.state, event), session.state)
    wake = _verdict(session, now)
    sent = replace(session, state=state, wake=wake, sent=now, attempts=session.attempts + 1)
    return sent, Send(session.method)


def _without(session: Session, *failed: Method) -> Session:
    return replace(session, failed=tuple(dict.fromkeys((*session.failed, *failed))))


def _verdict(session: Session, sent: float) -> float:
    """When a refresh that left at `sent` counts as unanswered.

    One that left shortly before the deadline of RFC 4028 section 10 has the time of a probe all the same.
    After the deadline, or where the peer refused another before, nothing else can follow: there is more
    time, but it ends before the expiration if the refresh left before the deadline.
    """
    deadline = sent if session.deadline is None else session.deadline
    if session.refused or sent >= deadline:
        least = min(PROBE_TIME, max(session.interval, session.policy.floor) / 3)
    else:
        least = _probe_time(session.dialog, session.since, deadline)
    return min(sent + ANSWER_TIME, max(deadline, sent + least))


def _is_news(session: Session, answer: RefreshResponse) -> bool:
    """Whether a retry may fare better: not the same error again, a 422 only with a larger Min-SE."""
    if answer.code == 422 and answer.min_se is not None:
        return answer.min_se > (session.dialog.min_se or 0)
    return answer.code not in session.refused


def _ask(session: Session, event: Event, now: float) -> Step:
    # Should the driver get no answer at all, it is asked again rather than forgotten.
    return _move(session, event, now + ANSWER_TIME), Ask()


def _later(session: Session, at: float, now: float) -> Step:
    if session.deadline is None or at >= session.deadline:
        return _never(session, now)
    return _move(session, Event.LATER, at), None


def _never(session: Session, now: float) -> Step:
    return _move(session, Event.NEVER, max(session.deadline or now, now)), None


def _whose_silence(session: Session) -> Reason:
    return Reason.UNANSWERED if _is_ours(session.dialog) else Reason.SILENT


def _refused_to_the_end(session: Session, now: float) -> Step:
    """The deadline has come, and the peer answers but refuses: it is alive, so by default it is kept."""
    if session.policy.hang_up_refused:
        return _expire(session, Event.SILENT, Reason.REFUSED)
    return refreshed(session, session.dialog, now), None


def _expire(session: Session, event: Event, reason: Reason) -> Step:
    over = _move(session, event, None)
    return over, Expire(reason, session.policy.expiry is ExpiryAction.HANG_UP)
