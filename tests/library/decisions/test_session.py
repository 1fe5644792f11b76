"""One dialog's timer in time: RFC 4028 sections 7.2 and 10."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    ExpiryAction,
    Policy,
    RefreshResponse,
    Side,
    answers,
    session,
)
from session_timer.session import (
    MOST_ATTEMPTS,
    SELF_ENDING,
    Ask,
    Expire,
    Method,
    Reason,
    Send,
    Session,
)
from session_timer.transitions import TRANSITIONS, Event, State, TransitionError, after

POLICY = Policy()
OURS = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True)
THEIRS = DialogTimer(Agreement(1800, Side.REMOTE), peer_supports=True)
BY_UPDATE = DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)
DEADLINE = 1768.0
ANSWER = 13.0
"""Seconds that one form has at 1800: the edge's own timer and a second for its record."""
INVITE, UPDATE, UPDATE_SDP = Send(Method.INVITE), Send(Method.UPDATE), Send(Method.UPDATE_SDP)


def begun(dialog: DialogTimer, policy: Policy = POLICY, *, owns: bool = False) -> Session:
    return session.begin(dialog, 0.0, policy, owns_call_id=owns)


def refreshing(dialog: DialogTimer = OURS, policy: Policy = POLICY, *, owns: bool = False) -> Session:
    held, action = session.due(begun(dialog, policy, owns=owns), 900.0)
    assert isinstance(action, Send)
    return held


def refused(
    held: Session,
    code: int,
    now: float,
    *,
    retry_after: int | None = None,
    min_se: int | None = None,
    chance: float = 0.5,
) -> session.Step:
    return session.answered(held, now, RefreshResponse(code, min_se=min_se, retry_after=retry_after), chance)


def woken(held: Session) -> tuple[Session, session.Action | None, float]:
    assert held.wake is not None
    next_one, action = session.due(held, held.wake)
    return next_one, action, held.wake


# What only a 2xx does


@pytest.mark.requirement(
    "DEF-2-01", "DEF-2-03", "REF-10-02", "UAC-7.2-11", "UAC-7.2-14", "PRX-8.2-07", "PRX-8.2-08", "UAS-9-18"
)
@pytest.mark.parametrize("start", [OURS, THEIRS, DialogTimer()])
@pytest.mark.parametrize(("refresher", "state"), [(Side.LOCAL, State.OURS), (Side.REMOTE, State.THEIRS)])
def test_a_2xx_moves_the_deadline_and_the_role(start: DialogTimer, refresher: Side, state: State) -> None:
    held = session.refreshed(begun(start), DialogTimer(Agreement(600, refresher)), 700.0)
    assert (held.state, held.since, held.deadline) == (state, 700.0, 700.0 + 568)


@pytest.mark.requirement("UAC-7.2-10", "UAS-9-19")
def test_a_2xx_without_session_expires_stops_everything() -> None:
    held = session.refreshed(refreshing(), DialogTimer(peer_supports=True), 901.0)
    assert (held.state, held.wake, held.deadline) == (State.OFF, None, None)


@pytest.mark.requirement("DEF-2-03")
@pytest.mark.parametrize("state", [state for state in State if state is not State.OVER])
def test_a_2xx_is_taken_in_every_state(state: State) -> None:
    for event, becomes in (
        (Event.AGREED_OURS, State.OURS),
        (Event.AGREED_THEIRS, State.THEIRS),
        (Event.SWITCHED_OFF, State.OFF),
    ):
        assert after(state, event) is becomes


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("code", [401, 404, 422, 480, 486, 488, 491, 500, 502, 503, 600])
def test_no_refusal_moves_the_deadline(code: int) -> None:
    held, _ = refused(refreshing(BY_UPDATE), code, 901.0)
    assert held.deadline == DEADLINE
    assert held.since == 0.0


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("code", [100, 180, 183, 200, 202])
def test_what_is_no_refusal_is_not_taken_for_one(code: int) -> None:
    held = refreshing()
    assert refused(held, code, 901.0) == (held, None)


@pytest.mark.requirement("G-08")
def test_news_older_than_what_is_known_moves_no_deadline() -> None:
    held = session.refreshed(begun(OURS), OURS, 700.0)
    late = session.refreshed(held, DialogTimer(OURS.agreement, min_se=300), 650.0)
    assert (late.since, late.wake, late.dialog.min_se) == (700.0, 1600.0, 300)


def test_a_change_of_role_counts_even_if_it_is_older_than_our_own_guess() -> None:
    held = session.refreshed(begun(OURS), OURS, 700.0)
    assert session.refreshed(held, THEIRS, 650.0).state is State.THEIRS


def test_over_is_over() -> None:
    over, _ = refused(refreshing(), 481, 901.0)
    assert session.refreshed(over, OURS, 902.0) == over
    for step in (
        session.due(over, 10**6),
        session.silent(over, 10**6),
        session.unknown(over, 10**6),
        session.timed_out(over, 10**6),
        session.under_way(over, 10**6),
        session.never_passed(over, 10**6),
        refused(over, 491, 10**6),
    ):
        assert step == (over, None)


# Refreshing


@pytest.mark.requirement("UAC-7.4-16", "UAC-7.4-17", "UPD-4-03", "UPD-5.1-02", "UAC-7.4-18")
@pytest.mark.parametrize(
    ("allowed", "wanted", "sent"),
    [(True, True, UPDATE), (False, True, INVITE), (True, False, INVITE), (False, False, INVITE)],
)
def test_update_where_the_peer_is_known_to_allow_it(allowed: bool, wanted: bool, sent: Send) -> None:
    dialog = DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=allowed)
    _, action = session.due(begun(dialog, Policy(use_update=wanted)), 900.0)
    assert action == sent


@pytest.mark.requirement("UAC-7.2-15", "UAS-9-21")
def test_a_refresh_every_half_interval_for_ever() -> None:
    held, now = begun(OURS), 0.0
    for _ in range(50):
        held, action, now = woken(held)
        assert isinstance(action, Send)
        assert now == held.since + 900
        held = session.refreshed(held, OURS, now + 0.2)
    assert held.deadline == pytest.approx(50 * 900.2 + 1768)


@pytest.mark.requirement("UAC-7.2-17")
def test_a_refresh_for_another_reason_restarts_the_half() -> None:
    assert session.refreshed(begun(OURS), OURS, 600.0).wake == 1500.0


@pytest.mark.requirement("UAC-7.2-15")
def test_a_driver_that_was_away_refreshes_at_once_and_waits_for_the_answer() -> None:
    held, action = session.due(begun(OURS), 5000.0)
    assert action == INVITE
    assert held.wake == 5000.0 + ANSWER


# The answers of RFC 4028 section 10


@pytest.mark.requirement(
    "REF-10-04", "S61-12.2.1.2-01", "UPD-5.3-02", "S61-8.1.3-01", "EX-13-08", "S61-15.1.1-01"
)
@pytest.mark.parametrize("code", [answers.TIMEOUT, 481])
@pytest.mark.parametrize("dialog", [OURS, BY_UPDATE])
def test_the_dialog_is_gone(code: int, dialog: DialogTimer) -> None:
    over, action = refused(refreshing(dialog), code, 932.0)
    reason = Reason.UNANSWERED if code == answers.TIMEOUT else Reason.GONE
    assert action == Expire(reason, hang_up=True)
    assert (over.state, over.wake) == (State.OVER, None)


@pytest.mark.requirement("REF-10-04")
def test_the_policy_may_only_report() -> None:
    _, action = refused(refreshing(policy=Policy(expiry=ExpiryAction.REPORT)), 481, 932.0)
    assert action == Expire(Reason.GONE, hang_up=False)


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize("code", [404, 410, 416, 480, 482, 484, 485, 502, 604])
def test_what_an_intermediary_may_say_in_a_bad_minute_ends_no_call(code: int) -> None:
    """RFC 5057 takes the dialog for gone on these; RFC 4028 section 10 names 408 and 481 only."""
    held, action = refused(refreshing(BY_UPDATE), code, 901.0)
    while held.state is not State.REFUSED:
        assert not isinstance(action, Expire)
        if held.state is State.WAITING:
            held, action, _ = woken(held)
        held, action = refused(held, code, 901.0)
    held, _, now = woken(held)
    held, action = session.silent(held, now)
    assert (action, held.state) == (None, State.OURS)


@pytest.mark.requirement("S61-22-01", "REF-10-05")
@pytest.mark.parametrize("code", [401, 407, 494])
def test_a_challenge_is_a_wait_for_asterisk_answers_it_by_itself(code: int) -> None:
    held = refreshing(BY_UPDATE)
    assert refused(held, code, 901.0) == (held, None)
    assert session.refreshed(held, BY_UPDATE, 901.2).state is State.OURS


@pytest.mark.requirement("S61-22-01", "REF-10-06")
def test_a_challenge_that_stays_the_last_word_is_not_met_again() -> None:
    held, action = refused(refreshing(BY_UPDATE), 401, 900.0 + ANSWER)
    assert (action, held.state, held.wake) == (None, State.REFUSED, DEADLINE)


@pytest.mark.requirement("REF-10-05", "REF-10-06")
@pytest.mark.parametrize("code", [420, 421, 483])
def test_once_more_at_once_and_not_twice(code: int) -> None:
    held, action = refused(refreshing(), code, 901.0)
    assert (action, held.state, held.sent) == (INVITE, State.REFRESHING, 901.0)
    held, action = refused(held, code, 902.0)
    assert (action, held.state, held.wake) == (None, State.REFUSED, DEADLINE)


@pytest.mark.requirement("REF-10-03", "REF-10-05", "UAC-7.4-04", "UAC-7.4-02")
def test_422s_that_grow_are_each_met_before_the_old_deadline() -> None:
    held = refreshing(DialogTimer(Agreement(180, Side.LOCAL)))
    assert held.deadline == 148.0
    for min_se in (3600, 4000):
        held, action = refused(held, 422, 91.0, min_se=min_se)
        assert action == INVITE
        assert held.dialog.min_se == min_se
        assert held.deadline == 148.0
    held, action = refused(held, 422, 92.0, min_se=4000)
    assert (action, held.state) == (None, State.REFUSED)


@pytest.mark.requirement("REF-10-06")
def test_422_loops_end() -> None:
    held = refreshing()
    sent = 1
    for min_se in range(2000, 3000, 100):
        held, action = refused(held, 422, 901.0, min_se=min_se)
        sent += action is not None
    assert sent == MOST_ATTEMPTS
    assert held.state is State.REFUSED


@pytest.mark.requirement("REF-10-06")
def test_a_422_that_asks_for_no_more_than_it_got_is_not_met() -> None:
    held, action = refused(refreshing(), 422, 901.0, min_se=1800)
    assert action == INVITE
    for min_se in (1800, 90):
        assert refused(held, 422, 902.0, min_se=min_se)[1] is None


def test_a_422_of_unknown_min_se_is_met_once() -> None:
    held, action = refused(refreshing(), 422, 901.0)
    assert action == INVITE
    assert refused(held, 422, 902.0)[1] is None


@pytest.mark.requirement("S61-14.1-04", "UPD-5.3-03", "UPD-5.3-04", "REF-10-05")
@pytest.mark.parametrize(
    ("owns", "chance", "delay"),
    [(True, 0.0, 2.1), (True, 0.9999, 4.0), (False, 0.0, 0.0), (False, 0.9999, 2.0)],
)
@pytest.mark.parametrize("dialog", [OURS, BY_UPDATE])
def test_glare_backs_off_by_who_owns_the_call_id(
    owns: bool, chance: float, delay: float, dialog: DialogTimer
) -> None:
    held, action = refused(refreshing(dialog, owns=owns), 491, 901.0, chance=chance)
    assert (action, held.state) == (None, State.WAITING)
    assert held.wake == pytest.approx(901.0 + delay)
    held, action, _ = woken(held)
    assert (action, held.state) == (Send(refreshing(dialog).method), State.REFRESHING)


@pytest.mark.requirement("UPD-5.3-04")
def test_a_peers_refresh_meanwhile_makes_the_retry_needless() -> None:
    held, _ = refused(refreshing(), 491, 901.0)
    held = session.refreshed(held, THEIRS, 902.0)
    assert (held.state, session.due(held, 905.0)) == (State.THEIRS, (held, None))


@pytest.mark.requirement("REF-10-06")
def test_glare_without_end_is_given_up() -> None:
    held, sent = refreshing(), 1
    while held.state is not State.REFUSED:
        held, _ = refused(held, 491, held.sent or 0.0)
        if held.state is State.WAITING:
            held, action, _ = woken(held)
            sent += isinstance(action, Send)
    assert sent == MOST_ATTEMPTS


@pytest.mark.requirement("REF-10-05", "REF-10-06", "S61-8.1.3-01")
@pytest.mark.parametrize("code", [500, 503, 504, 513, 580, 599])
@pytest.mark.parametrize(("retry_after", "at"), [(None, 911.0), (0, 901.0), (120, 1021.0)])
def test_a_5xx_waits_as_told_and_is_tried_once(code: int, retry_after: int | None, at: float) -> None:
    held, action = refused(refreshing(), code, 901.0, retry_after=retry_after)
    assert (action, held.state, held.wake) == (None, State.WAITING, at)
    held, action, _ = woken(held)
    assert action == INVITE
    held, action = refused(held, code, at + 1)
    assert (action, held.state) == (None, State.REFUSED)


@pytest.mark.requirement("REF-10-03", "REF-10-05")
@pytest.mark.parametrize("retry_after", [867, 10**9])
def test_a_wait_beyond_the_deadline_is_not_waited_for(retry_after: int) -> None:
    held, action = refused(refreshing(), 503, 901.0, retry_after=retry_after)
    assert (action, held.state, held.wake) == (None, State.REFUSED, DEADLINE)


@pytest.mark.requirement("REF-10-05", "UPD-4-03")
@pytest.mark.parametrize("code", [405, 501])
def test_a_peer_without_update_gets_a_re_invite_from_now_on(code: int) -> None:
    held, action = refused(refreshing(BY_UPDATE), code, 901.0)
    assert action == INVITE
    held = session.refreshed(held, BY_UPDATE, 902.0)
    assert woken(held)[1] == INVITE
    held, action = refused(held, code, 903.0)
    assert action is None


@pytest.mark.requirement("REF-10-05", "D-05")
def test_a_peer_without_re_invite_is_kept_like_any_that_refuses() -> None:
    held, action = refused(refreshing(), 405, 901.0)
    assert (action, held.state) == (None, State.REFUSED)


@pytest.mark.requirement("REF-10-05", "REF-10-06")
@pytest.mark.parametrize("code", [400, 403, 415, 486, 488, 493, 600, 603, 302, 499])
def test_other_refusals_are_met_with_the_next_form_and_no_loop(code: int) -> None:
    held = refreshing(BY_UPDATE)
    sent = [UPDATE]
    while held.state is State.REFRESHING:
        held, action = refused(held, code, 901.0)
        if isinstance(action, Send):
            sent.append(action)
    assert sent == [UPDATE, UPDATE_SDP, INVITE]
    assert (held.state, held.wake) == (State.REFUSED, DEADLINE)


@pytest.mark.requirement("REF-10-06")
@pytest.mark.parametrize("codes", list(product((420, 480, 405, 422, 488, 491, 503, 603), repeat=3)))
def test_whatever_mix_of_refusals_the_refreshes_end(codes: tuple[int, ...]) -> None:
    held, sent, now = refreshing(BY_UPDATE), 1, 900.0
    for code in codes * 3:
        held, action = refused(held, code, now, chance=0.0)
        if held.state is State.WAITING:
            held, action, now = woken(held)
        sent += isinstance(action, Send)
    assert sent <= MOST_ATTEMPTS + 1
    assert held.state in (State.REFUSED, State.ASKING)


@pytest.mark.requirement("G-10", "REF-10-05")
def test_a_peer_that_answers_but_refuses_is_kept_by_default() -> None:
    held, _ = refused(refreshing(), 403, 901.0)
    held, action, now = woken(held)
    assert (action, now) == (Ask(), DEADLINE)
    held, action = session.silent(held, now)
    assert (action, held.state, held.wake) == (None, State.OURS, DEADLINE + 900)


@pytest.mark.requirement("G-10", "REF-10-07")
@pytest.mark.parametrize("answer", [session.silent, session.unknown])
def test_the_policy_may_hang_it_up_at_the_deadline(answer: Callable[[Session, float], session.Step]) -> None:
    held, _ = refused(refreshing(policy=Policy(hang_up_refused=True)), 403, 901.0)
    held, _, now = woken(held)
    over, action = answer(held, now)
    assert action == Expire(Reason.REFUSED, hang_up=True)
    assert over.state is State.OVER


# Silence, and the lack of evidence


@pytest.mark.requirement("REF-10-07", "D-06")
def test_a_probe_that_is_answered_saves_the_call() -> None:
    held, action, now = woken(begun(THEIRS))
    assert (action, now) == (Ask(), DEADLINE - 24)
    held, action = session.silent(held, now)
    assert (action, held.state) == (INVITE, State.PROBING)
    assert session.refreshed(held, THEIRS, now + 1).state is State.THEIRS


@pytest.mark.requirement("REF-10-07", "REF-10-08", "EX-13-07", "D-06")
@pytest.mark.parametrize("dialog", [THEIRS, DialogTimer(THEIRS.agreement, peer_allows_update=True)])
def test_a_probe_that_times_out_in_its_last_form_ends_it_before_the_interval_is_over(
    dialog: DialogTimer,
) -> None:
    held, _, now = woken(begun(dialog))
    held, action = session.silent(held, now)
    sent = 0
    while isinstance(action, Send):
        sent += 1
        now += 12.0
        held, action = session.timed_out(held, now)
    assert action == Expire(Reason.SILENT, hang_up=True)
    assert held.state is State.OVER
    assert sent >= 2
    assert now <= 1800


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize(("code", "reason"), [(408, Reason.UNANSWERED), (481, Reason.GONE)])
def test_a_probe_that_finds_the_call_gone_ends_it(code: int, reason: Reason) -> None:
    held, _, now = woken(begun(THEIRS))
    held, _ = session.silent(held, now)
    assert refused(held, code, now + 1)[1] == Expire(reason, hang_up=True)


@pytest.mark.requirement("D-06")
def test_without_a_probe_there_is_no_evidence_and_the_call_is_only_reported() -> None:
    held, _, now = woken(begun(THEIRS, Policy(probe=False)))
    early, action = session.silent(held, now - 5)
    assert (action, early.wake) == (None, DEADLINE)
    over, action = session.silent(held, now)
    assert (over.state, action) == (State.OVER, Expire(Reason.SILENT, hang_up=False))


def test_news_that_nobody_asked_for_is_no_verdict() -> None:
    held = refreshing()
    assert session.silent(held, 999.0) == session.unknown(held, 999.0) == (held, None)
    assert session.never_passed(held, 999.0) == (held, None)
    ours = begun(OURS)
    assert refused(ours, 503, 10.0) == (ours, None)
    assert session.timed_out(ours, 10.0) == session.under_way(ours, 10.0) == (ours, None)


@pytest.mark.requirement("UAC-7.2-15", "REF-10-05", "D-02")
def test_a_refresh_that_timed_out_at_the_edge_is_tried_in_another_form() -> None:
    held, now, sent = refreshing(BY_UPDATE), 900.0, [UPDATE]
    while held.state is State.REFRESHING:
        now += 12.0
        held, action = session.timed_out(held, now)
        if isinstance(action, Send):
            sent.append(action)
    assert sent == [UPDATE, UPDATE_SDP, INVITE, INVITE]
    assert held.failed == (Method.UPDATE, Method.UPDATE_SDP, Method.INVITE)
    assert action == Expire(Reason.UNANSWERED, hang_up=True)
    assert now == 900 + MOST_ATTEMPTS * 12


@pytest.mark.requirement("REF-10-04", "D-02")
@pytest.mark.parametrize("interval", [90, 120, 180, 600, 1800, 86400])
def test_a_peer_that_a_path_keeps_update_from_has_time_for_a_re_invite(interval: int) -> None:
    """From 90 seconds up every form has its turn before the deadline of RFC 4028 section 10 ends the call."""
    policy = Policy()
    dialog = DialogTimer(Agreement(interval, Side.LOCAL), peer_allows_update=True)
    held, action, now = woken(begun(dialog, policy))
    for method in (Method.UPDATE, Method.UPDATE_SDP, Method.INVITE):
        assert action == Send(method)
        now += policy.answer_time(interval)
        held, action = session.timed_out(held, now)
    assert held.expires is not None
    assert now < held.expires
    assert 2 * policy.answer_time(interval) <= interval - policy.guard(interval) - interval / 2
    assert now - policy.answer_time(interval) + policy.ringing_time(interval) < held.expires


@pytest.mark.requirement("REF-10-04")
def test_a_refresh_under_way_is_waited_for_as_long_as_the_edge_waits() -> None:
    held, action, now = woken(refreshing(BY_UPDATE))
    assert (action, held.state, now) == (Ask(), State.ASKING, 900 + ANSWER)
    held, action = session.under_way(held, now)
    assert (action, held.wake) == (None, 931.0)
    held, action, now = woken(held)
    held, action = session.under_way(held, now)
    assert not isinstance(action, Expire)
    held, action, now = woken(held)
    held, action = session.under_way(held, 2000.0)
    assert (action, held.state) == (None, State.OURS)


@pytest.mark.requirement("D-01", "D-02")
@pytest.mark.parametrize("dialog", [OURS, THEIRS, BY_UPDATE])
def test_a_refresh_that_never_passed_the_edge_is_nothing_against_the_peer(dialog: DialogTimer) -> None:
    held, now, sent = begun(dialog), 0.0, 0
    for _ in range(500):
        held, action, now = woken(held)
        if isinstance(action, Ask) and held.sent is None:
            held, action = session.silent(held, now)
        while isinstance(action, Ask):
            held, action = session.never_passed(held, now)
        assert not isinstance(action, Expire)
        sent += isinstance(action, Send)
    assert sent > 50


def test_a_call_that_was_kept_without_a_refresh_is_looked_at_again_within_a_minute() -> None:
    held, _, now = woken(refreshing(OURS))
    for _ in range(MOST_ATTEMPTS - 1):
        held, action = session.never_passed(held, now)
        assert isinstance(action, Send)
        held, _, now = woken(held)
    held, action = session.never_passed(held, now)
    assert (action, held.state, held.attempts) == (None, State.OURS, 0)
    assert held.wake == pytest.approx(now + 60)


def test_a_refresh_can_be_held_back_until_two_forms_just_fit() -> None:
    held = begun(OURS)
    assert held.latest == 1800 - 30 - 12 - 2
    assert begun(DialogTimer()).latest is None
    _, action = session.due(held, held.latest)
    assert action == INVITE


@pytest.mark.requirement("REF-10-05")
def test_a_late_retry_still_gets_time_to_be_answered() -> None:
    """The peer was alive a moment ago; the deadline leaves half a second."""
    held, _ = refused(refreshing(), 503, 901.0, retry_after=866)
    held, action, now = woken(held)
    assert (action, now) == (INVITE, 1767.0)
    assert held.wake == 1767.0 + ANSWER


@pytest.mark.requirement("REF-10-07")
def test_silence_after_a_refusal_ends_the_session_only_when_it_was_seen() -> None:
    held, _ = refused(refreshing(DialogTimer(Agreement(90, Side.LOCAL))), 491, 50.0)
    held, _, now = woken(held)
    action: session.Action | None = None
    while held.state is State.REFRESHING:
        now += 6.75
        held, action = session.timed_out(held, now)
    assert action == Expire(Reason.UNANSWERED, hang_up=True)
    assert now <= 90


@pytest.mark.requirement("D-01")
@pytest.mark.parametrize("dialog", [OURS, THEIRS, BY_UPDATE])
@pytest.mark.parametrize("left", [True, False])
def test_without_evidence_no_call_is_ever_hung_up(dialog: DialogTimer, left: bool) -> None:
    held, now, sent = begun(dialog), 0.0, 0
    for _ in range(500):
        held, action, now = woken(held)
        while isinstance(action, Ask):
            held, action = session.unknown(held, now, left=held.sent if left else None)
        assert not isinstance(action, Expire)
        sent += isinstance(action, Send)
    assert sent > 50


@pytest.mark.requirement("D-01")
def test_a_peer_that_outlived_its_own_end_after_our_refresh_is_alive() -> None:
    held, _, now = woken(refreshing())
    held, action = session.unknown(held, now, left=900.0)
    assert (action, held.wake) == (None, 900 + SELF_ENDING)
    held, action, now = woken(held)
    assert action == Ask()
    held, action = session.unknown(held, now, left=900.0)
    assert (action, held.state, held.since) == (None, State.OURS, 900.0)


def test_a_user_agent_has_ended_the_call_when_its_bye_was_not_answered_either() -> None:
    assert SELF_ENDING > 2 * 32


@pytest.mark.requirement("D-01", "UAC-7.2-16")
def test_what_nobody_can_say_of_one_refresh_does_not_put_off_the_next_one() -> None:
    """The peer may have answered, and counts from its answer."""
    sent, _, _ = woken(begun(DialogTimer(Agreement(90, Side.LOCAL))))
    held, _, now = woken(sent)
    held, action = session.unknown(held, now, left=45.0)
    assert (action, held.wake) == (None, 90.0)
    held, _, now = woken(held)
    held, _ = session.unknown(held, now, left=45.0)
    held, action, now = woken(held)
    assert (action, now) == (INVITE, 90.0)


@pytest.mark.requirement("D-01")
def test_a_refresh_that_may_never_have_left_is_followed_by_reinvite() -> None:
    held, _, now = woken(refreshing(BY_UPDATE))
    held, action = session.unknown(held, now)
    assert (action, held.state, held.sent) == (INVITE, State.REFRESHING, now)
    left = now
    held, _, now = woken(held)
    held, action = session.unknown(held, now, left=left)
    assert (action, held.wake) == (None, left + SELF_ENDING)
    held, _, now = woken(held)
    held, _ = session.unknown(held, now, left=left)
    # That nobody could say anything is nothing against a form.
    assert (held.state, held.method) == (State.OURS, Method.UPDATE)


def test_a_driver_that_never_answers_is_asked_again() -> None:
    held, _, now = woken(begun(THEIRS))
    for _ in range(5):
        held, action, later = woken(held)
        assert (action, held.state, later - now) == (Ask(), State.ASKING, 32.0)
        now = later


def test_the_transitions_name_no_way_out_of_over_and_reach_every_state() -> None:
    assert all(state is not State.OVER for state, _ in TRANSITIONS)
    assert set(TRANSITIONS.values()) == set(State)
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize(
    ("state", "event"), [(State.OVER, Event.DUE), (State.OFF, Event.GONE), (State.OURS, Event.KEPT_OURS)]
)
def test_a_move_that_is_not_in_the_table_is_a_fault_and_says_so(state: State, event: Event) -> None:
    with pytest.raises(
        TransitionError, match=f"a session that is {state} cannot take the event {event.name}"
    ):
        after(state, event)


@pytest.mark.requirement("REF-10-04")
def test_a_refresh_that_left_late_has_as_much_time_to_be_answered() -> None:
    held, _ = session.due(begun(OURS), DEADLINE - 16)
    held = session.left_at(held, DEADLINE - 0.2)
    assert (held.sent, held.wake) == (DEADLINE - 0.2, DEADLINE - 0.2 + ANSWER)
