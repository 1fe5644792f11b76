"""A peer that is silent, and a session that has no evidence (RFC 4028 section 10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    Side,
    session,
)
from session_timer.session import (
    MOST_ATTEMPTS,
    SELF_ENDING,
    SOON,
    Ask,
    Expire,
    Method,
    Reason,
    Send,
)
from session_timer.session.transitions import State

from tests.library.session.sessions import (
    ANSWER,
    BY_UPDATE,
    DEADLINE,
    INVITE,
    OURS,
    THEIRS,
    UPDATE,
    begun,
    refreshing,
    refused,
    woken,
)


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
    assert session.alive(ours, 10.0) == session.untraced(ours, 10.0) == (ours, None)


def timed_out_to_the_end(
    held: session.Session, now: float
) -> tuple[list[tuple[float, Send]], session.Action, float]:
    """Every refresh from now on times out: when each left, and what came at last, when."""
    sent: list[tuple[float, Send]] = []
    while True:
        now += held.policy.answer_time(held.interval)
        held, action = session.timed_out(held, now)
        if action is None:
            assert held.state is State.WAITING
            held, action, now = woken(held)
        if not isinstance(action, Send):
            assert action is not None
            return sent, action, now
        sent.append((now, action))


@pytest.mark.requirement("UAC-7.2-15", "REF-10-05", "D-02")
def test_a_peer_that_is_away_for_a_while_has_until_the_deadline_to_come_back() -> None:
    sent, action, now = timed_out_to_the_end(refreshing(BY_UPDATE), 900.0)
    assert sent == [(912.0, INVITE), (DEADLINE - 24, INVITE), (DEADLINE - 12, INVITE)]
    assert action == Expire(Reason.UNANSWERED, hang_up=True)
    assert now == DEADLINE


@pytest.mark.requirement("UAC-7.2-15", "D-02")
def test_a_2xx_in_the_last_round_saves_the_call() -> None:
    held, _ = session.timed_out(refreshing(OURS), 912.0)
    held, action, now = woken(held)
    assert (action, now) == (INVITE, DEADLINE - 24)
    assert session.refreshed(held, OURS, now + 1).state is State.OURS


@pytest.mark.requirement("REF-10-04", "D-02")
@pytest.mark.parametrize("interval", [90, 120, 180, 600, 1800, 86400])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("update", [True, False])
def test_two_forms_time_out_before_a_session_ends_and_it_ends_before_its_interval(
    interval: int, side: Side, update: bool
) -> None:
    """A path may swallow UPDATE: from 90 seconds up there is time for the re-INVITE too."""
    policy = Policy()
    held, action, now = woken(
        begun(DialogTimer(Agreement(interval, side), peer_allows_update=update), policy)
    )
    if side is Side.REMOTE:
        held, action = session.silent(held, now)
    first = action
    assert first == (UPDATE if update else INVITE)
    assert now + policy.answer_time(interval) + policy.ringing_time(interval) < interval
    sent, action, now = timed_out_to_the_end(held, now)
    assert sent[0][1] == INVITE
    assert isinstance(action, Expire)
    assert interval - policy.guard(interval) <= now < interval


@pytest.mark.requirement("REF-10-04")
def test_a_refresh_under_way_is_waited_for_as_long_as_the_edge_waits() -> None:
    held, action, now = woken(refreshing(BY_UPDATE))
    assert (action, held.state, now) == (Ask(), State.ASKING, 900 + ANSWER)
    held, action = session.under_way(held, now)
    assert (action, held.wake) == (None, 931.0)
    # An edge without memory runs no route when its timer fires: another refresh shows more.
    attempts = 1
    while held.attempts < MOST_ATTEMPTS:
        held, action, now = woken(held)
        held, action = session.under_way(held, now)
        if isinstance(action, Send):
            attempts += 1
            assert (action, held.state, held.sent) == (INVITE, State.REFRESHING, now)
    assert attempts == MOST_ATTEMPTS
    held, action, now = woken(held)
    held, action = session.under_way(held, now)
    held, action, now = woken(held)
    held, action = session.under_way(held, now)
    assert held.sent is not None
    assert (action, held.wake) == (None, held.sent + SELF_ENDING)
    held, action, now = woken(held)
    held, action = session.under_way(held, now)
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


@pytest.mark.requirement("D-01", "REF-10-06")
@pytest.mark.parametrize(("dialog", "state"), [(BY_UPDATE, State.OURS), (THEIRS, State.THEIRS)])
def test_a_refresh_that_left_no_trace_in_a_full_table_is_sent_again_and_not_without_end(
    dialog: DialogTimer, state: State
) -> None:
    held, action, now = woken(begun(dialog))
    if isinstance(action, Ask):
        held, action = session.unknown(held, now)
    sent = 1
    while isinstance(action, Send):
        held, action, now = woken(held)
        assert action == Ask()
        held, action = session.untraced(held, now)
        sent += isinstance(action, Send)
        if isinstance(action, Send):
            assert (action, held.state, held.sent) == (INVITE, State.REFRESHING, now)
    assert (action, sent, held.state) == (None, MOST_ATTEMPTS, state)
    assert held.wake is not None
    assert now < held.wake <= now + SOON, "the call is kept, and asked again soon"


@pytest.mark.requirement("D-01")
def test_a_full_table_is_nothing_to_a_session_that_does_not_ask() -> None:
    asking, _, now = woken(begun(THEIRS))
    for held in (begun(OURS), refreshing(), asking):
        assert session.untraced(held, now) == (held, None)


def test_a_driver_that_never_answers_is_asked_again() -> None:
    held, _, now = woken(begun(THEIRS))
    for _ in range(5):
        held, action, later = woken(held)
        assert (action, held.state, later - now) == (Ask(), State.ASKING, 32.0)
        now = later


@pytest.mark.requirement("REF-10-07", "D-02")
@pytest.mark.parametrize("dialog", [OURS, THEIRS])
def test_a_peer_that_was_heard_since_gets_every_form_and_is_then_tried_again_within_a_minute(
    dialog: DialogTimer,
) -> None:
    held, action, now = woken(begun(dialog))
    if isinstance(action, Ask):
        held, action = session.silent(held, now)
    sent = 0
    while held.state not in (State.OURS, State.THEIRS):
        if isinstance(action, Send):
            sent += 1
            now += ANSWER
            verdict = session.timed_out(replace(held, heard=False), now)[1]
            held, action = (session.alive if sent == 1 else session.timed_out)(held, now)
            assert action == verdict or isinstance(verdict, Expire)
        else:
            held, action, now = woken(held)
    assert isinstance(verdict, Expire), "so that the peer's request is what has kept it"
    assert sent >= 2
    assert (action, held.state) == (None, State.OURS if dialog is OURS else State.THEIRS)
    assert held.wake is not None
    assert now < held.wake <= now + session.SOON
