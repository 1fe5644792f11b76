"""One dialog's timer in time: what moves it, and when it refreshes (RFC 4028 sections 7.2 and 10)."""

from __future__ import annotations

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    Side,
    session,
)
from session_timer.session import (
    Send,
)
from session_timer.session.transitions import TRANSITIONS, Event, State, TransitionError, after

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
        session.untraced(over, 10**6),
        session.alive(over, 10**6),
        refused(over, 491, 10**6),
    ):
        assert step == (over, None)


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
