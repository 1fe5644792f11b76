"""What a record that was read means for a tracked call."""

from __future__ import annotations

from dataclasses import replace

from session_timer import Agreement, DialogTimer, Policy, Record, Side, session
from session_timer.clock import Clocks
from session_timer_companion.edge.replies import Found
from session_timer_companion.timers import tracked_call
from session_timer_companion.timers.tracked_call import UNKNOWN, Refreshed, Terms, TrackedCall

AHEAD = 3600.0
"""The edge's monotonic clock is an hour ahead of ours."""

NOW = 1000.0
OURS = DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)


def clocks() -> Clocks:
    known = Clocks()
    known.learn({"edge": NOW + AHEAD}, NOW)
    return known


def news(call: TrackedCall, found: Record, known: Clocks, now: float) -> Refreshed | None:
    return tracked_call.news(call, Found(found, known), now)


def tracked(*, refreshes: int = 2, since: float = NOW - 900, sent: float | None = None) -> TrackedCall:
    it = TrackedCall(
        "PJSIP/a-1",
        "c;a;b",
        Terms(None, Policy()),
        dialog=OURS,
        since=since,
        refreshes=refreshes,
    )
    if sent is not None:
        it.active, _ = session.due(replace(it.current_session(), wake=sent), sent)
    return it


def record(*, refreshes: int = 2, at: float = NOW - 900) -> Record:
    return Record("a", OURS, "edge", at + AHEAD, refreshes=refreshes)


def test_a_record_that_stands_still_is_no_news() -> None:
    assert news(tracked(), record(), clocks(), NOW) is None


def test_a_higher_count_is_a_refresh_and_its_time_comes_from_the_edges_clock() -> None:
    assert news(tracked(), record(refreshes=3, at=NOW - 5), clocks(), NOW) == Refreshed(NOW - 5)


def test_a_refresh_lies_never_in_the_future() -> None:
    assert news(tracked(), record(refreshes=3, at=NOW + 0.8), clocks(), NOW) == Refreshed(NOW)


def test_a_clock_that_nobody_publishes_tells_that_it_was_by_now() -> None:
    assert news(tracked(), record(refreshes=3, at=NOW - 5), Clocks(), NOW) == Refreshed(NOW)


def test_an_edge_that_lost_its_table_counts_anew_and_its_time_tells() -> None:
    assert news(tracked(), record(refreshes=0, at=NOW - 5), clocks(), NOW) == Refreshed(NOW - 5)


def test_an_edge_that_lost_its_table_may_come_to_the_same_count_again() -> None:
    assert news(tracked(), record(refreshes=2, at=NOW - 5), clocks(), NOW) == Refreshed(NOW - 5)


def test_a_first_record_right_after_a_start_without_one_is_the_answer_to_our_refresh() -> None:
    found = tracked(refreshes=UNKNOWN, since=NOW - 1.2, sent=NOW - 1)
    assert news(found, record(refreshes=0, at=NOW - 0.5), clocks(), NOW) == Refreshed(NOW - 0.5)
    assert news(found, record(refreshes=0, at=NOW - 100), clocks(), NOW) is None


def test_a_time_read_a_little_late_is_not_taken_for_a_refresh() -> None:
    assert news(tracked(), record(at=NOW - 900 + 1.4), clocks(), NOW) is None


def test_an_older_copy_of_a_record_is_no_news() -> None:
    assert news(tracked(), record(refreshes=1, at=NOW - 1800), clocks(), NOW) is None


def test_a_call_whose_record_was_never_read_is_judged_by_time() -> None:
    unread = tracked(refreshes=UNKNOWN, since=NOW - 100)
    assert news(unread, record(refreshes=7, at=NOW - 900), clocks(), NOW) is None
    assert news(unread, record(refreshes=7, at=NOW - 5), clocks(), NOW) == Refreshed(NOW - 5)


def test_a_call_that_rests_makes_the_same_session_again() -> None:
    it = tracked(sent=NOW - 1)
    assert it.active is not None
    fresh = session.refreshed(it.current_session(), OURS, NOW)
    it.rest(fresh)
    assert it.active is None
    assert it.current_session() == fresh


def test_a_form_that_failed_is_not_forgotten_at_rest() -> None:
    it = tracked(sent=NOW - 1)
    assert it.active is not None
    fresh = session.refreshed(replace(it.active, failed=(session.Method.UPDATE,)), OURS, NOW)
    it.rest(fresh)
    assert it.current_session() == fresh


def test_clocks_of_several_hosts_are_kept_apart() -> None:
    known = Clocks()
    known.learn({"one": 50.0, "two": 9000.0}, NOW)
    assert known.ours("one", 60.0) == NOW + 10
    assert known.ours("two", 8990.0) == NOW - 10
    assert known.ours("three", 1.0) is None
    assert set(known.names) == {"one", "two"}
