"""What an event makes of a session: each function takes one and `now`, and returns the next one.

RFC 4028 section 10 has the rules, section 7.4 the forms of a refresh, RFC 3261 14.1 the wait after a 491.
"""

from __future__ import annotations

from dataclasses import replace

from ..config.policy import ExpiryAction, Policy
from ..dialog import DialogTimer
from ..message import RefreshResponse
from .model import MARGIN, Ask, Expire, Method, Reason, Send, Session, Step, interval_of, is_ours, margin
from .responses import TIMEOUT, Reaction, glare_delay, reaction, wait
from .transitions import Event, State, after

ANSWER_TIME = 32.0
"""Seconds a final response may take: 64 times T1, Timers B and F (RFC 3261 17.1)."""

SELF_ENDING = 2 * ANSWER_TIME + 4
"""Seconds after a refresh: a user agent that got 408, 481 or no response has ended the call by then.

The refresh may wait 32 seconds for its response, and so may the BYE that follows.
"""

SURE_ATTEMPTS = 2
"""Refreshes that time out before a session ends, whether there is time or not: one may be lost by chance.

Both fit in any session whose first refresh left when it was due. Where our side held it back, the session
goes on for no longer than it was held back.
"""

FEWEST_REFRESHES = 3
"""As many of ours if there is time: where a fifth of the packets is lost, two fail for one call in 2,000.

Not of probes: a peer that should refresh has tried by itself for long, and a third probe would be over only
when the session interval is.
"""

MOST_ATTEMPTS = 4
"""Refreshes per interval; a peer is not asked the same thing over and over (RFC 4028 section 10)."""

SHORTEST_HALF = 15.0
"""Seconds between two refreshes at least, whatever interval a rogue 2xx names (RFC 4028 11.1)."""

EARLY = 0.1
"""A refresh leaves up to this share of the half interval early, so that calls that began together part."""

SOON = 60.0
"""Seconds until the next refresh of a call that was kept although it could not be refreshed."""


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
    event = Event.SWITCHED_OFF
    if dialog.agreement is not None:
        event = Event.AGREED_OURS if is_ours(dialog) else Event.AGREED_THEIRS
    return _anew(session, event, dialog, since)


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
        case State.OFF | State.OVER:
            return session, None
        case _:
            return _ask(session, Event.LATE, now)


def responded(session: Session, now: float, response: RefreshResponse, chance: float) -> Step:
    """Our refresh got a final response other than 2xx from the far side.

    `chance`, uniform in [0, 1), spreads the wait after a 491. Only a 2xx extends the session, so every
    retry must fit before the old deadline. A 1xx changes nothing, and a 2xx is for `refreshed`.
    """
    if response.code < 300 or session.sent is None or session.state is State.OVER:
        return session, None
    react = reaction(response.code)
    if react is Reaction.AWAIT and now < _verdict(session, session.sent):
        return session, None
    worth = _is_news(session, response) and session.attempts < MOST_ATTEMPTS
    known = session.dialog.with_min_se(response.min_se)
    session = replace(session, dialog=known, refused=(*session.refused, response.code), sent=None)
    match react:
        case Reaction.END:
            gone = Reason.UNANSWERED if response.code == TIMEOUT else Reason.GONE
            return _expire(session, Event.GONE, gone)
        case Reaction.RETRY if worth:
            return _send(session, Event.AGAIN, now)
        case Reaction.BACK_OFF if session.attempts < MOST_ATTEMPTS:
            return _later(session, now + glare_delay(chance, owns_call_id=session.owns_call_id), now)
        case Reaction.WAIT if worth:
            return _later(session, now + wait(response), now)
        case Reaction.OTHER_METHOD if session.method is not Method.INVITE:
            return _send(_without(session, Method.UPDATE, Method.UPDATE_SDP), Event.AGAIN, now)
        case Reaction.ADAPT if session.method is not Method.INVITE and session.attempts < MOST_ATTEMPTS:
            return _send(_without(session, session.method), Event.AGAIN, now)
    return _never(session, now)


def left_at(session: Session, at: float) -> Session:
    """Our refresh left only at `at`, later than it was due: its response has no less time for that."""
    return replace(session, sent=at, wake=_verdict(session, at))


def timed_out(session: Session, now: float) -> Step:
    """Our refresh passed the edge and timed out there.

    A path that swallows UPDATE swallows it with SDP too, and may carry INVITE: that form follows at once.
    Then a peer that is merely away for a while has until shortly before the deadline to come back. The last
    refresh that times out there ends the session: this is the evidence.
    """
    if session.sent is None or session.deadline is None or session.state is State.OVER:
        return session, None
    if session.attempts < SURE_ATTEMPTS or _has_time(session, now):
        if session.method is not Method.INVITE:
            return _send(_without(session, Method.UPDATE, Method.UPDATE_SDP), Event.AGAIN, now)
        last_round = session.deadline - 2 * session.policy.answer_time(session.interval)
        if now < last_round:
            return replace(session, state=after(session.state, Event.LATER), wake=last_round, sent=None), None
        fewest = FEWEST_REFRESHES if is_ours(session.dialog) else SURE_ATTEMPTS
        if now < session.deadline or session.attempts < fewest:
            return _send(session, Event.AGAIN, now)
    if session.heard:
        return _keep(session, now), None
    return _expire(session, Event.TIMED_OUT, Reason.UNANSWERED if is_ours(session.dialog) else Reason.SILENT)


def alive(session: Session, now: float) -> Step:
    """Our refresh came to nothing, yet the peer has sent a request since it left.

    The next form follows as after `timed_out`. After the last one the call is kept, and not judged before the
    next round has come to nothing, too.
    """
    if session.sent is None or session.deadline is None or session.state is State.OVER:
        return session, None
    return timed_out(replace(session, heard=True), now)


def under_way(session: Session, now: float) -> Step:
    """Our refresh passed the edge, and no final response has come yet: the edge's timer decides.

    An edge without memory runs no route when its timer fires, and then the record stays as it is.
    """
    if session.sent is None or session.state is State.OVER:
        return session, None
    over = session.sent + session.policy.ringing_time(session.interval) + margin(session)
    if now < over:
        return replace(session, wake=over), None
    if session.state is not State.ASKING:
        return session, None
    # The edge should have ended it. As it has not, another refresh shows more than to wait would.
    if session.attempts < MOST_ATTEMPTS:
        again, _ = _send(session, Event.AGAIN, now)
        return again, Send(Method.INVITE)
    return unknown(session, now, left=session.sent)


def never_passed(session: Session, now: float) -> Step:
    """No request of ours has passed the edge since: another form follows while there is time.

    After that the call is kept. Asterisk swallowed the refreshes, or a route of the edge is not armed:
    neither says anything of the peer.
    """
    if session.sent is None or session.state is not State.ASKING:
        return session, None
    if _has_time(session, now):
        return _send(_without(session, session.method), Event.AGAIN, now)
    return _keep(session, now), None


def silent(session: Session, now: float) -> Step:
    """Call after `Ask` when no refresh of ours is open and the record shows no 2xx since the last one.

    A refresh of ours then shows whether the peer is alive. A policy without `probe` yields no evidence, so
    its calls are reported and not hung up.
    """
    if session.state is not State.ASKING or session.sent is not None or session.deadline is None:
        return session, None
    if session.refused:
        return _refused_to_the_end(session, now)
    if session.policy.probe:
        return _send(session, Event.DUE, now)
    if now < session.deadline:
        return replace(session, wake=session.deadline), None
    return replace(session, state=after(session.state, Event.GIVEN_UP), wake=None), Expire(
        Reason.SILENT, hang_up=False
    )


def unknown(session: Session, now: float, *, left: float | None = None) -> Step:
    """Call after `Ask` when no record can be read. Without evidence no call is hung up: a refresh decides.

    A user agent whose refresh got 408, 481 or no response ends the call by itself. If the call still stands
    after that time, the peer has answered, and we could not see it. `left` is when a refresh surely was sent,
    in seconds; None says that perhaps none was, and a re-INVITE follows.
    """
    if session.state is not State.ASKING:
        return session, None
    if session.sent is None:
        return _refused_to_the_end(session, now) if session.refused else _send(session, Event.DUE, now)
    if left is None:
        again, _ = _send(session, Event.AGAIN, now)
        return again, Send(Method.INVITE)
    alive = left + SELF_ENDING
    if is_ours(session.dialog):
        # If the peer did answer, its own interval runs since then.
        alive = min(alive, session.sent + _half(session.dialog, session.policy))
    if now < alive:
        return replace(session, wake=alive), None
    event = Event.OUTLIVED_OURS if is_ours(session.dialog) else Event.OUTLIVED_THEIRS
    return _anew(session, event, session.dialog, session.sent), None


def untraced(session: Session, now: float) -> Step:
    """Call after `Ask` where the edge kept no record when our refresh passed, and keeps records again.

    To wait for the end that a user agent makes of a dead call is in vain: an edge without memory answers in
    the peer's stead, by a code that ends none. Another refresh leaves a trace, and that decides.
    """
    if session.sent is None or session.state is not State.ASKING:
        return session, None
    if session.attempts < MOST_ATTEMPTS:
        again, _ = _send(session, Event.AGAIN, now)
        return again, Send(Method.INVITE)
    return _keep(session, now), None


def _anew(session: Session, event: Event, dialog: DialogTimer, since: float) -> Session:
    return Session(
        dialog,
        session.policy,
        after(session.state, event),
        since,
        _first_wake(dialog, session.policy, since, session.spread),
        session.failed,
        owns_call_id=session.owns_call_id,
        spread=session.spread,
    )


def _first_wake(dialog: DialogTimer, policy: Policy, since: float, spread: float) -> float | None:
    if dialog.agreement is None:
        return None
    if is_ours(dialog):
        return since + _half(dialog, policy) * (1 - EARLY * spread)
    interval = interval_of(dialog)
    lasting = policy.lasting(interval)
    deadline = lasting - policy.guard(lasting)
    if not policy.probe:
        return since + deadline
    # Some peers refresh at two thirds of the interval. None that is in time is probed, and a probe in two
    # forms is over when the interval is, also where the driver is late by a margin.
    answer, ringing = policy.answer_time(interval), policy.ringing_time(interval)
    lawful = lasting * 2 / 3 + min(2.0, lasting / 30)
    one = min(MARGIN, lasting / 30)
    two_forms = answer + max(ringing, answer + one) + 2 * one
    return since + min(max(deadline - 2 * answer, lawful), lasting - two_forms)


def _half(dialog: DialogTimer, policy: Policy) -> float:
    return max(interval_of(dialog) / 2, min(SHORTEST_HALF, policy.floor / 3))


def _send(session: Session, event: Event, now: float) -> Step:
    state = after(session.state, event)
    wake = _verdict(session, now)
    sent = replace(session, state=state, wake=wake, sent=now, attempts=session.attempts + 1)
    return sent, Send(session.method)


def _without(session: Session, *failed: Method) -> Session:
    return replace(session, failed=tuple(dict.fromkeys((*session.failed, *failed))))


def _verdict(session: Session, sent: float) -> float:
    """When a refresh that left at `sent` should have a final response, or have timed out at the edge."""
    return sent + session.policy.answer_time(session.interval) + margin(session)


def _has_time(session: Session, now: float) -> bool:
    """Whether another form can still bring a response before the session interval is over."""
    if session.expires is None or session.attempts >= MOST_ATTEMPTS:
        return False
    return now + session.policy.answer_time(session.interval) + margin(session) <= session.expires


def _is_news(session: Session, response: RefreshResponse) -> bool:
    """Whether a retry may fare better: not the same error again, a 422 only with a larger Min-SE."""
    if response.code == 422 and response.min_se is not None:
        return response.min_se > (session.dialog.min_se or 0)
    return response.code not in session.refused


def _ask(session: Session, event: Event, now: float) -> Step:
    # Should the driver get no reply at all, it is asked again rather than forgotten.
    return replace(session, state=after(session.state, event), wake=now + ANSWER_TIME), Ask()


def _later(session: Session, at: float, now: float) -> Step:
    if session.deadline is None or at >= session.deadline:
        return _never(session, now)
    return replace(session, state=after(session.state, Event.LATER), wake=at), None


def _never(session: Session, now: float) -> Step:
    wake = max(session.deadline or now, now)
    return replace(session, state=after(session.state, Event.NEVER), wake=wake), None


def _keep(session: Session, now: float) -> Session:
    """The call is kept without a refresh; the next one is due in a minute, or sooner at a short interval."""
    event = Event.KEPT_OURS if is_ours(session.dialog) else Event.KEPT_THEIRS
    first = _first_wake(session.dialog, session.policy, now, 0.0)
    early = max(0.0, (first or now) - now - SOON)
    return _anew(session, event, session.dialog, now - early)


def _refused_to_the_end(session: Session, now: float) -> Step:
    """The deadline has come. The peer responds, so it is alive, but refuses: by default the call is kept."""
    if session.policy.hang_up_refused:
        return _expire(session, Event.GIVEN_UP, Reason.REFUSED)
    event = Event.KEPT_OURS if is_ours(session.dialog) else Event.KEPT_THEIRS
    return _anew(session, event, session.dialog, now), None


def _expire(session: Session, event: Event, reason: Reason) -> Step:
    over = replace(session, state=after(session.state, event), wake=None)
    return over, Expire(reason, session.policy.expiry is ExpiryAction.HANG_UP)
