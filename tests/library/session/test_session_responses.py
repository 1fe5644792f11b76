"""What a session does with each response to its refresh (RFC 4028 section 10)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    ExpiryAction,
    Policy,
    Side,
    session,
)
from session_timer.session import (
    MOST_ATTEMPTS,
    Ask,
    Expire,
    Reason,
    Send,
    Session,
    responses,
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
    UPDATE_SDP,
    refreshing,
    refused,
    woken,
)


@pytest.mark.requirement("REF-10-04", "S61-12.2.1.2-01", "UPD-5.3-02", "S61-8.1.3-01", "EX-13-08")
@pytest.mark.parametrize("code", [responses.TIMEOUT, 481])
@pytest.mark.parametrize("dialog", [OURS, BY_UPDATE])
def test_the_dialog_is_gone(code: int, dialog: DialogTimer) -> None:
    over, action = refused(refreshing(dialog), code, 932.0)
    reason = Reason.UNANSWERED if code == responses.TIMEOUT else Reason.GONE
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
