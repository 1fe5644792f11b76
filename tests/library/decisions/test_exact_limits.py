"""Decisions at their exact limits, where one second or one attempt more makes the difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    RefreshRequest,
    RefreshResponse,
    Role,
    SessionExpires,
    Side,
    minimum,
    proxy,
    session,
    uac,
)
from session_timer.session import MOST_ATTEMPTS, Ask, Method, Send, Session
from session_timer.session.transitions import State

POLICY = Policy()
UPDATES = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True, peer_allows_update=True)
THEIRS = UPDATES._replace(agreement=Agreement(1800, Side.REMOTE))
HALF, DEADLINE = 900.0, 1768.0


def refreshing(dialog: DialogTimer = UPDATES) -> Session:
    held, action = session.due(session.begin(dialog, 0.0, POLICY), HALF)
    assert isinstance(action, Send)
    return held


def answered(held: Session, code: int, now: float = HALF, retry_after: int | None = None) -> session.Step:
    return session.responded(held, now, RefreshResponse(code, retry_after=retry_after), 0.5)


def refused_and_asked() -> Session:
    """Refused for good; at the deadline the driver is asked for news."""
    refused, _ = answered(refreshing(UPDATES._replace(peer_allows_update=False)), 403)
    asking, action = session.due(refused, DEADLINE)
    assert (refused.state, asking.state, action) == (State.REFUSED, State.ASKING, Ask())
    return asking


@pytest.mark.requirement("UAC-7.2-08")
def test_one_sided_refreshes_keep_the_interval_that_was_asked_for_first() -> None:
    policy = Policy(default_expires=1800)
    first = uac.TimerHeaders(SessionExpires.of(600))
    alone = uac.accept(first, RefreshResponse(200), policy)
    assert alone.agreement == Agreement(600, Side.LOCAL, one_sided=True)
    assert uac.request(policy, alone).session_expires == SessionExpires.of(600, Role.UAC)


@pytest.mark.requirement("UAC-7.2-04", "UAC-7.2-05")
def test_unasked_session_expires_without_a_refresher_makes_us_refresh() -> None:
    read = uac.accept(uac.TimerHeaders(), RefreshResponse(200, SessionExpires.of(600)), POLICY)
    assert read.agreement == Agreement(600, Side.LOCAL)


@pytest.mark.requirement("UAC-7.4-02")
def test_only_a_422_teaches_a_min_se() -> None:
    assert uac.rejected(UPDATES, RefreshResponse(500, min_se=3600)) == UPDATES
    assert uac.rejected(UPDATES, RefreshResponse(422, min_se=3600)).min_se == 3600


def test_a_call_is_the_peers_unless_the_driver_says_otherwise() -> None:
    waiting, action = answered(session.due(session.begin(UPDATES, 0.0, POLICY), HALF)[0], 491)
    assert action is None
    assert waiting.wake is not None
    assert waiting.wake - HALF <= 2.0


def test_a_3xx_is_a_refusal_that_another_form_may_avoid() -> None:
    held, action = answered(refreshing(), 300)
    assert action == Send(Method.UPDATE_SDP)
    assert held.refused == (300,)


@pytest.mark.requirement("REF-10-06")
def test_no_form_is_tried_after_the_last_attempt() -> None:
    held = refreshing()
    for code in (420, 421, 483):
        held, action = answered(held, code)
        assert action == Send(Method.UPDATE)
    assert held.attempts == MOST_ATTEMPTS
    held, action = answered(held, 488)
    assert (held.state, action) == (State.REFUSED, None)


@pytest.mark.requirement("S61-14.1-04", "REF-10-02")
def test_a_491_too_near_the_deadline_leaves_no_time_to_wait() -> None:
    held, _ = session.due(session.begin(UPDATES, 0.0, POLICY), DEADLINE - 1.0)
    held, action = answered(held, 491, DEADLINE - 0.5)
    assert (held.state, held.wake, action) == (State.REFUSED, DEADLINE, None)


@pytest.mark.requirement("REF-10-02")
def test_a_retry_that_is_due_at_the_deadline_is_not_sent() -> None:
    waiting, _ = answered(refreshing(), 503, retry_after=60)
    assert session.due(waiting, DEADLINE - 0.001)[1] == Send(Method.UPDATE)
    assert session.due(waiting, DEADLINE)[1] == Ask()


@pytest.mark.parametrize("late", [-16.5, -0.5, 0.0, 5.0])
def test_a_refresh_near_the_deadline_or_later_has_as_much_time_as_any(late: float) -> None:
    held, _ = session.due(session.begin(UPDATES, 0.0, POLICY), DEADLINE + late)
    assert held.wake == DEADLINE + late + 13.0


@pytest.mark.parametrize(
    ("interval", "answer", "ringing"),
    [(90, 6.75, 15.0), (96, 7.2, 16.0), (180, 12.0, 30.0), (1800, 12.0, 30.0), (86400, 12.0, 30.0)],
)
def test_how_long_a_refresh_of_ours_waits(interval: int, answer: float, ringing: float) -> None:
    assert POLICY.answer_time(interval) == pytest.approx(answer)
    assert POLICY.ringing_time(interval) == pytest.approx(ringing)


def test_in_a_lab_with_short_intervals_a_form_has_a_sixth_of_the_interval() -> None:
    policy = Policy(floor=1, min_se=1, default_expires=12)
    assert (policy.answer_time(12), policy.ringing_time(12)) == (2.0, 2.0)
    held = session.begin(DialogTimer(Agreement(12, Side.LOCAL)), 0.0, policy)
    assert (held.wake, held.deadline, held.expires) == (6.0, 8.0, 12.0)
    held, _ = session.due(held, 6.0)
    assert held.wake == pytest.approx(8.4)


def test_another_form_is_sent_only_if_it_can_be_answered_before_the_interval_is_over() -> None:
    held, _ = session.due(session.begin(UPDATES, 0.0, POLICY), DEADLINE)
    twice = replace(held, attempts=2)
    assert session.timed_out(twice, 1787.0)[1] == Send(Method.INVITE)
    assert isinstance(session.timed_out(twice, 1787.1)[1], session.Expire)
    assert session.timed_out(held, 1787.1)[1] == Send(Method.INVITE), "one may be lost by chance"
    by_invite = replace(held, attempts=3, failed=(Method.UPDATE, Method.UPDATE_SDP))
    assert isinstance(session.timed_out(by_invite, DEADLINE)[1], session.Expire), "three are enough by then"


@pytest.mark.parametrize("say", [session.silent, session.unknown])
def test_a_peer_that_refused_to_the_end_is_kept_from_then_on(
    say: Callable[[Session, float], session.Step],
) -> None:
    held, action = say(refused_and_asked(), DEADLINE + 1.0)
    assert (held.state, held.since, action) == (State.OURS, DEADLINE + 1.0, None)


def test_the_same_refusal_reported_again_is_no_news() -> None:
    asking = refused_and_asked()
    assert answered(asking, 403, DEADLINE + 1.0) == (asking, None)


def probing() -> Session:
    held = session.begin(THEIRS, 0.0, POLICY)
    assert held.wake is not None
    asking, _ = session.due(held, held.wake)
    held, action = session.unknown(asking, held.wake)
    assert (held.state, action) == (State.PROBING, Send(Method.UPDATE))
    return held


@pytest.mark.parametrize(
    ("code", "method"), [(420, Method.UPDATE), (405, Method.INVITE), (488, Method.UPDATE_SDP)]
)
def test_a_probe_that_is_refused_is_followed_by_a_refresh(code: int, method: Method) -> None:
    held, action = answered(probing(), code, DEADLINE - 15.0)
    assert (held.state, action) == (State.REFRESHING, Send(method))


@pytest.mark.requirement("PRX-8.1-22", "PRX-8.1-23")
def test_a_proxy_insists_on_timers_only_when_told_to() -> None:
    decision = proxy.forward(RefreshRequest(), POLICY)
    assert not isinstance(decision, minimum.Reject)
    assert not decision[0].require_timer


@pytest.mark.requirement("REF-10-07", "D-06")
@pytest.mark.parametrize(
    ("interval", "asked_at"), [(90, 62.0), (120, 82.0), (180, 124.0), (600, 544.0), (1800, 1744.0)]
)
def test_a_probe_comes_when_no_lawful_refresher_is_in_time_any_more(interval: int, asked_at: float) -> None:
    """Some refresh at half the interval, some at two thirds; two forms still fit after that."""
    held = session.begin(THEIRS._replace(agreement=Agreement(interval, Side.REMOTE)), 0.0, POLICY)
    assert held.wake == pytest.approx(asked_at)
    assert asked_at > interval * 2 / 3
    assert held.latest is not None
    assert asked_at < held.latest


def test_a_2xx_begins_a_new_round_with_all_its_attempts() -> None:
    held, _ = answered(refreshing(), 420)
    held = session.refreshed(held, UPDATES, HALF + 1.0)
    assert (held.attempts, held.refused, held.sent) == (0, (), None)


def test_in_a_lab_a_probe_comes_so_early_that_its_forms_still_fit() -> None:
    policy = Policy(floor=4, min_se=4, default_expires=12)
    held = session.begin(THEIRS._replace(agreement=Agreement(12, Side.REMOTE)), 0.0, policy)
    assert held.wake == pytest.approx(6.8)
    held = session.begin(THEIRS._replace(agreement=Agreement(30, Side.REMOTE)), 0.0, policy)
    assert held.wake == pytest.approx(20.75)
    ours = session.begin(UPDATES._replace(agreement=Agreement(1, Side.LOCAL)), 0.0, policy)
    assert ours.wake == pytest.approx(4 / 3)


def test_a_refresh_under_way_at_the_end_of_the_edges_wait_is_nobodys_evidence() -> None:
    held = refreshing()
    over = HALF + POLICY.ringing_time(1800) + 1.0
    asking, _ = session.due(held, HALF + 13.0)
    assert session.under_way(asking, over - 0.1)[0].wake == over
    again, action = session.under_way(asking, over)
    assert (action, again.sent, again.attempts) == (session.Send(session.Method.INVITE), over, 2)
    last = replace(asking, attempts=session.MOST_ATTEMPTS)
    assert session.under_way(last, over)[0].wake == HALF + session.SELF_ENDING
    assert session.under_way(held, over) == (held, None)


def test_another_form_follows_what_never_passed_and_theirs_is_kept_as_theirs() -> None:
    asking, _ = session.due(refreshing(), HALF + 13.0)
    held, action = session.never_passed(asking, HALF + 13.0)
    assert (action, held.failed) == (Send(Method.UPDATE_SDP), (Method.UPDATE,))
    silent, _ = session.due(probing(), 1757.0)
    held, action = session.never_passed(silent, 1795.0)
    assert (held.state, action) == (State.THEIRS, None)
    assert held.wake == pytest.approx(1795.0 + 60)


def test_over_and_reported_wakes_nobody() -> None:
    held = session.begin(THEIRS, 0.0, Policy(probe=False))
    asking, _ = session.due(held, DEADLINE)
    assert session.silent(asking, DEADLINE)[0].wake is None
