"""An edge that has lost its table: what becomes of our side's next request is seen, and ends no live call."""

from __future__ import annotations

import pytest
from session_timer import Asked, Outcome, Policy, Side
from session_timer.evidence import Shows, shows
from session_timer.record import CHANGES

from tests.kamailio.fakes.edge import CARRIER, CONFIG, PASSING, Edge, MakeEdge

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


@pytest.fixture
def lost(make_edge: MakeEdge) -> Edge:
    """A call that we refresh; the table went a moment ago."""
    edge = make_edge()
    edge.call(*TIMER, from_us=True, answer=TIMER)
    edge.ksr.now += 900
    forget(edge)
    return edge


def forget(edge: Edge) -> None:
    for table in edge.ksr.tables.values():
        table.clear()


def seen(edge: Edge, sent: float) -> Shows:
    return shows(edge.known(), sent, lambda _clock, at: at).what


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_its_own_timeout_does_not_reach_asterisk_as_the_end_of_the_dialog(lost: Edge, method: str) -> None:
    handled = lost.send(method=method, from_us=True, within=True)
    assert seen(lost, 1899) is Shows.UNDER_WAY
    lost.ksr.now += 12
    assert lost.sure(lost.time_out(handled)).code == 504
    assert lost.known().ours == Asked(method, 2, 1900.0, Outcome.TIMED_OUT, 408, 1912.0)
    assert lost.known().is_without_2xx
    assert seen(lost, 1899) is Shows.TIMED_OUT
    assert lost.count("timed_out") == 1


@pytest.mark.parametrize(("code", "what"), [(408, Shows.GONE), (481, Shows.GONE), (491, Shows.REFUSED)])
def test_what_the_far_side_answers_is_on_record(lost: Edge, code: int, what: Shows) -> None:
    sent = lost.sure(lost.answer(lost.send(method="UPDATE", from_us=True, within=True), code))
    assert sent.code == code
    assert seen(lost, 1899) is what


@pytest.mark.parametrize("earlier", [None, 408, 500])
def test_a_2xx_makes_a_record_as_if_there_had_been_none(lost: Edge, earlier: int | None) -> None:
    if earlier == 408:
        lost.time_out(lost.send(method="UPDATE", from_us=True, within=True))
    elif earlier is not None:
        lost.answer(lost.send(method="UPDATE", from_us=True, within=True), earlier)
    handled = lost.send(from_us=True, within=True)
    # Nobody knows what was agreed: this is a proposal.
    assert handled.sent.value("Session-Expires") == "1800"
    lost.answer(handled, 200, TIMER)
    record = lost.known()
    assert not record.is_without_2xx
    assert (record.refreshes, record.at, record.on_path, record.ours) == (0, 1900.0, True, None)
    assert record.dialog.agreement is not None
    assert any(name.startswith("call-1;") for name in lost.ksr.tables[CHANGES])
    (row,) = lost.ksr.tables["session_timer"].values()
    assert row.ends == 1900 + 1800 + 3600


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("from_us", [False, True])
def test_a_2xx_that_a_bye_overtook_begins_none(lost: Edge, method: str, *, from_us: bool) -> None:
    handled = lost.send(method=method, from_us=True, within=True)
    lost.hang_up(from_us=from_us)
    lost.answer(handled, 200, TIMER)
    assert lost.record() is None, "it would stand for an hour after the call"


def test_a_2xx_begins_one_where_the_table_was_full_when_the_request_passed(lost: Edge) -> None:
    lost.ksr.refusing.add("session_timer")
    handled = lost.send(method="UPDATE", from_us=True, within=True)
    lost.ksr.refusing.clear()
    lost.answer(handled, 200, TIMER)
    assert not lost.known().is_without_2xx


def test_it_waits_as_long_as_the_interval_that_it_asks_for_allows(lost: Edge) -> None:
    policy = Policy()
    assert lost.send(method="UPDATE", from_us=True, within=True).waits == (
        int(policy.ringing_time(1800) * 1000),
        int(policy.answer_time(1800) * 1000),
    )


def test_it_is_not_kept_for_long(lost: Edge) -> None:
    lost.send(method="UPDATE", from_us=True, within=True)
    (row,) = lost.ksr.tables["session_timer"].values()
    assert row.ends == 1900 + 96
    lost.hang_up()
    assert lost.record() is None


def test_a_record_that_cannot_be_read_is_left_alone(lost: Edge) -> None:
    lost.send(method="UPDATE", from_us=True, within=True)
    (row,) = lost.ksr.tables["session_timer"].values()
    row.value = "v=9;of=another;release=1"
    lost.send(method="UPDATE", from_us=True, within=True)
    (row,) = lost.ksr.tables["session_timer"].values()
    assert row.value == "v=9;of=another;release=1"


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
def test_nobody_elses_request_begins_one(make_edge: MakeEdge, peer: str) -> None:
    edge = make_edge(peer=peer)
    edge.send(TIMER, method="UPDATE", within=True)
    if peer == PASSING:
        edge.send(TIMER, method="UPDATE", from_us=True, within=True)
    edge.send(method="BYE", from_us=True, within=True)
    assert edge.record() is None


def test_a_table_that_is_full_changes_nothing_for_the_call(lost: Edge) -> None:
    lost.ksr.refusing.add("session_timer")
    handled = lost.send(method="UPDATE", from_us=True, within=True)
    assert lost.record() is None
    assert lost.sure(lost.time_out(handled)).code == 504


def test_the_side_of_the_request_is_known_where_a_call_of_the_peers_was_lost(make_edge: MakeEdge) -> None:
    edge = make_edge(config={**CONFIG, "session_timer": {"prefer_refresher": "uas"}})
    edge.call(*TIMER)
    forget(edge)
    edge.time_out(edge.send(method="UPDATE", from_us=True, within=True))
    record = edge.known()
    assert (record.of(Side.REMOTE), record.peer, record.far) == (None, "carrier", CARRIER)
