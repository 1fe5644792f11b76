"""The record in Kamailio's hash tables, and what becomes of calls whose record cannot be kept or read."""

from __future__ import annotations

import dataclasses
import re

import pytest
from session_timer import Outcome, Record, Side
from session_timer.record import key
from session_timer_kemi.memory.branch_memory import Found, Part, Pending, Waiting
from session_timer_kemi.memory.records import clock_id

from tests.kamailio.fakes.edge import ASTERISK, CARRIER, OURS, PASSING, THEIRS, Edge, MakeEdge

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


def test_a_record_is_one_readable_value(edge: Edge) -> None:
    edge.call(*TIMER, "Min-SE: 120", "Allow: UPDATE")
    ((name, row),) = edge.ksr.tables["session_timer"].items()
    assert name == "call-1;ours;theirs"
    assert row.value == (
        "v=2;interval=1800;refresher=remote;one_sided=0;min_se=120;supports=1;update=1;refreshes=0;"
        f"clock={clock_id()};at=1000.000;last=remote:1;local=ours;peer=carrier;on_path=1;placed=remote;"
        f"far={CARRIER}"
    )
    assert row.ends == 1000 + 1800 + 3600, "whoever asks late still learns the truth"


def test_writing_it_twice_changes_nothing(edge: Edge) -> None:
    handled = edge.send(TIMER)
    edge.answer(handled)
    before = dict(edge.ksr.tables["session_timer"])
    edge.answer(handled)
    assert edge.ksr.tables["session_timer"] == before


def test_what_is_read_is_what_was_written(edge: Edge) -> None:
    edge.call(*TIMER)
    edge.answer(edge.send(TIMER, within=True), 503, ("Retry-After: 9",))
    (row,) = edge.ksr.tables["session_timer"].values()
    assert Record.decode(row.value).encode() == row.value


@pytest.mark.parametrize(
    ("refresh", "listed"),
    [
        ("Session-Expires: 1800;refresher=uac", False),
        ("Session-Expires: 1800;refresher=uas", True),
        ("Session-Expires: 900;refresher=uac", True),
    ],
)
def test_only_a_change_of_the_agreement_is_listed_for_minutes(
    edge: Edge, *, refresh: str, listed: bool
) -> None:
    edge.call(*TIMER)
    assert edge.ksr.tables["session_timer_changes"] == {}
    edge.answer(edge.send(("Supported: timer", refresh), within=True))
    changes = edge.ksr.tables["session_timer_changes"]
    assert list(changes) == (["call-1;ours;theirs"] if listed else [])
    for row in changes.values():
        assert row.value == edge.known().encode()
        assert row.ends == edge.ksr.now + 60


def test_the_clock_is_published(edge: Edge) -> None:
    edge.ksr.now = 12345.6789
    edge.ksr.tick(edge.timers.on_tick)
    ((name, row),) = edge.ksr.tables["session_timer_changes"].items()
    assert name == f"clock;{clock_id()}"
    assert re.fullmatch(r"[0-9a-f-]{13}", clock_id())
    assert row.value == "12345.679"


@pytest.mark.parametrize("from_us", [False, True])
def test_a_full_table_costs_the_record_and_nothing_else(edge: Edge, *, from_us: bool) -> None:
    edge.ksr.refusing.add("session_timer")
    handled = edge.send(TIMER, from_us=from_us)
    answer = edge.sure(edge.answer(handled, 200, ("Supported: timer", "x: 1800;refresher=uas")))
    assert answer.code == 200
    if from_us:
        assert answer.value("X-Session-Timer")
    else:
        assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert edge.record() is None
    assert edge.count("lost_records") == 1
    assert edge.ksr.lines("warn") == [
        "session timer: call-1: the hash table session_timer did not take the record: is it full?"
    ]


@pytest.mark.parametrize("from_us", [False, True])
def test_a_giant_call_id_costs_its_call_the_record_and_nobody_else(
    make_edge: MakeEdge, *, from_us: bool
) -> None:
    """Whoever calls chooses it: a thousand such calls are not to fill the table of all."""
    edge = make_edge(call_id="a" * 5000)
    for within in (False, True):
        answer = edge.sure(edge.answer(edge.send(TIMER, from_us=from_us, within=within), 200, TIMER))
        assert answer.value("X-Session-Timer" if from_us else "Session-Expires"), "it has its timer"
        assert edge.ksr.tables["session_timer"] == edge.ksr.tables["session_timer_changes"] == {}
    assert edge.count("lost_records") == 0, "nobody outside raises the alert that the table is full"
    assert edge.ksr.lines("info")[-1].endswith("characters long: up to 4096 are kept")


def test_a_call_id_that_looks_like_a_clock_is_none(make_edge: MakeEdge) -> None:
    edge = make_edge(call_id="clock")
    edge.call(*TIMER)
    edge.answer(edge.send(("Supported: timer", "Session-Expires: 900;refresher=uas"), within=True))
    edge.ksr.tick(edge.timers.on_tick)
    changed, clocks = edge.timers._edge.records.changes()
    assert list(changed) == [key("clock", OURS, THEIRS)]
    assert list(clocks) == [clock_id()]


@pytest.mark.parametrize(
    "value", ["v=3;interval=1800;refresher=remote", "v=1;interval=soon", "rubbish", "v=1"]
)
def test_a_record_that_cannot_be_read_is_told_once_and_the_call_goes_on(edge: Edge, value: str) -> None:
    edge.call(*TIMER)
    name = key("call-1", OURS, THEIRS)
    edge.ksr.tables["session_timer"][name].value = value
    handled = edge.send(TIMER, within=True)
    answer = edge.sure(edge.answer(handled))
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert edge.count("unreadable_records") == 1
    (line,) = edge.ksr.lines("warn")
    assert line.startswith("session timer: call-1: ")
    assert repr(value)[:-1] in line
    record = edge.known()
    assert (record.local_tag, record.last) == (OURS, "remote:2")


@pytest.mark.parametrize("value", ["v=3;interval=1800;refresher=remote", "v=1;interval=18"])
def test_a_record_that_cannot_be_read_is_left_alone_by_a_refusal(edge: Edge, value: str) -> None:
    edge.call(*TIMER)
    name = key("call-1", OURS, THEIRS)
    edge.ksr.tables["session_timer"][name].value = value
    assert edge.sure(edge.answer(edge.send(TIMER, within=True), 491)).code == 491
    assert edge.ksr.tables["session_timer"][name].value == value
    assert edge.count("unreadable_records") == 1


@pytest.mark.parametrize("value", ["v=1;interval=1800;refresher=remote", "not a record"])
def test_a_record_that_becomes_unreadable_while_a_refresh_is_open_is_told_and_made_anew(
    edge: Edge, value: str
) -> None:
    """Left as it was it would tell whoever can read it that no refresh came: false evidence."""
    edge.call(*TIMER)
    handled = edge.send(TIMER, within=True)
    edge.ksr.tables["session_timer"][key("call-1", OURS, THEIRS)].value = value
    edge.answer(handled)
    assert edge.count("unreadable_records") == 1
    assert edge.known().last == "remote:2"


@pytest.mark.parametrize("torn", ["v=1;interval=1800;refresher=loc", "v=1;\u00ff"])
def test_a_record_that_is_written_while_it_is_read_is_read_again(edge: Edge, torn: str) -> None:
    """htable may hand a text out where it stands, and another process writes there."""
    edge.call(*TIMER, "Min-SE: 240")
    edge.ksr.torn = [torn]
    handled = edge.send(("Supported: timer",), method="UPDATE", from_us=True, within=True)
    assert edge.ksr.torn == []
    assert handled.sent.value("Min-SE") == "240"
    assert edge.count("unreadable_records") == 0


def test_a_record_that_has_gone_is_made_anew_by_the_next_refresh(edge: Edge) -> None:
    """After a restart of Kamailio, from either side's request."""
    edge.call(*TIMER)
    for from_us, refresher in ((False, Side.REMOTE), (True, Side.LOCAL)):
        edge.ksr.tables["session_timer"].clear()
        handled = edge.send(("Supported: timer", "x: 1800;refresher=uac"), from_us=from_us, within=True)
        edge.answer(handled, 200, ("Supported: timer", "x: 1800;refresher=uac"))
        record = edge.known()
        assert record.local_tag == OURS
        assert record.dialog.agreement is not None
        assert record.dialog.agreement.refresher is refresher


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
@pytest.mark.parametrize("from_us", [False, True])
def test_a_record_made_anew_is_listed_for_who_knew_the_one_that_has_gone(
    make_edge: MakeEdge, *, peer: str, from_us: bool
) -> None:
    """The role may have moved, the interval shrunk: who goes by the old ones would learn of it too late."""
    edge = make_edge(peer=peer)
    edge.call(*TIMER, answer=TIMER)
    assert edge.ksr.tables["session_timer_changes"] == {}
    edge.ksr.tables["session_timer"].clear()
    rows = ("Supported: timer", "x: 600;refresher=uas")
    edge.answer(edge.send(rows, from_us=from_us, within=True), 200, rows)
    assert edge.ksr.tables["session_timer_changes"].keys() == edge.ksr.tables["session_timer"].keys()


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
@pytest.mark.parametrize("from_us", [False, True])
def test_a_2xx_that_comes_after_the_bye_makes_no_record(
    make_edge: MakeEdge, *, peer: str, from_us: bool
) -> None:
    edge = make_edge(peer=peer)
    edge.call(*TIMER, answer=TIMER)
    negotiated = edge.count("negotiations")
    refresh = edge.send(TIMER, method="UPDATE", from_us=from_us, within=True)
    edge.hang_up(from_us=not from_us)
    answer = edge.sure(edge.answer(refresh, 200, TIMER))
    assert edge.record() is None
    assert edge.count("negotiations") == negotiated
    assert edge.ksr.lines("info")[-1] == "session timer: call-1: answered 200 when its record had gone"
    if peer == CARRIER:
        assert bool(answer.value("Session-Expires")) is not from_us, "completed all the same"


def test_two_transactions_of_a_dialog_that_are_answered_at_once_both_count(edge: Edge) -> None:
    """One worker has read the record when another writes it, and only then writes itself."""
    edge.call(*TIMER)
    edge.ksr.now += 60
    theirs = edge.send(TIMER, within=True)
    ours = edge.send(TIMER, method="UPDATE", from_us=True, within=True)
    edge.ksr.meanwhile = lambda: edge.answer(ours, 200, TIMER)
    edge.answer(theirs, 491)
    record = edge.known()
    assert (record.refreshes, record.at, record.last) == (1, 1060.0, "local:3")


def test_a_refusal_that_another_edge_saw_names_the_clock_it_was_read_from(edge: Edge) -> None:
    """The other one wrote the record, and died; their clocks have nothing to do with each other."""
    edge.call(*TIMER)
    (row,) = edge.ksr.tables["session_timer"].values()
    row.value = edge.known()._replace(clock="another", at=5e6).encode()
    refresh = edge.send(method="UPDATE", from_us=True, within=True)
    edge.answer(refresh, 405)
    record = edge.known()
    assert (record.clock, record.at) == ("another", 5e6)
    refused = edge.refused(Side.LOCAL)
    assert (refused.clock, refused.at, refused.ended) == (clock_id(), 1000.0, 1000.0)


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize("code", [486, 487])
def test_a_call_that_comes_to_nothing_after_an_early_update_leaves_no_record(
    make_edge: MakeEdge, *, peer: str, from_us: bool, code: int
) -> None:
    edge = make_edge(peer=peer)
    invite = edge.send(TIMER, from_us=from_us)
    edge.answer(invite, 183)
    edge.answer(edge.send(TIMER, method="UPDATE", from_us=from_us, within=True), 200, TIMER)
    assert edge.record() is not None
    edge.answer(invite, code)
    assert edge.record() is None
    assert edge.count("refused_local") + edge.count("refused_remote") == 0, "no refresh was refused"


@pytest.mark.parametrize("from_us", [False, True])
def test_a_first_2xx_that_comes_once_more_after_the_bye_brings_no_record_back(
    edge: Edge, *, from_us: bool
) -> None:
    invite = edge.send(TIMER, from_us=from_us)
    first = edge.answer(invite, 200, TIMER)
    edge.hang_up()
    assert edge.answer(invite, 200, TIMER) == first
    assert edge.record() is None
    assert edge.count("negotiations") == 1


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("from_us", [False, True])
def test_a_refusal_that_comes_once_more_after_the_next_refresh_is_none_of_that_one(
    edge: Edge, *, from_us: bool
) -> None:
    edge.call(*TIMER)
    refused = edge.send(TIMER, method="UPDATE", from_us=from_us, within=True)
    edge.answer(refused, 491)
    edge.answer(edge.send(TIMER, method="UPDATE", from_us=from_us, within=True), 200, TIMER)
    before = edge.known()
    asked = before.of(Side.LOCAL if from_us else Side.REMOTE)
    assert asked is not None
    assert asked.outcome is Outcome.ANSWERED
    edge.answer(refused, 491)
    assert edge.known() == before
    assert edge.count("refused_local") + edge.count("refused_remote") == 1


def test_a_bye_that_passes_while_a_refresh_is_written_down_removes_it(edge: Edge) -> None:
    edge.call(*TIMER)
    refresh = edge.send(TIMER, within=True)
    edge.ksr.meanwhile = edge.hang_up
    edge.answer(refresh)
    assert edge.record() is None


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
@pytest.mark.parametrize("from_us", [False, True])
def test_a_bye_that_gets_no_response_leaves_no_record(
    make_edge: MakeEdge, *, peer: str, from_us: bool
) -> None:
    """A caller who is gone: a record each, for hours, would fill the table."""
    edge = make_edge(peer=peer)
    edge.call(*TIMER, answer=TIMER)
    edge.answer(edge.send(method="BYE", from_us=from_us, within=True), 407)
    assert edge.record() is not None, "who is challenged sends another"
    bye = edge.send(method="BYE", from_us=from_us, within=True)
    assert edge.sure(edge.time_out(bye)).code == 408
    assert edge.record() is None


@pytest.mark.parametrize("code", [408, 481])
@pytest.mark.parametrize("placed_by_us", [False, True])
def test_a_bye_whose_tags_are_the_wrong_way_round_ends_no_record(
    edge: Edge, code: int, *, placed_by_us: bool
) -> None:
    """A peer that takes 481 for the end of the call leaves Asterisk in it: its death has to be found."""
    edge.call(*TIMER, answer=TIMER, from_us=placed_by_us)
    edge.answer(edge.send(method="BYE", within=True, tags=(OURS, THEIRS)), code)
    assert edge.record() is not None
    assert edge.ksr.lines("info")[-1].endswith("the wrong way round: the record stays")
    edge.answer(edge.send(method="BYE", within=True), code)
    assert edge.record() is None, "Asterisk says itself that it has no such call"


@pytest.mark.parametrize("placed_by_us", [False, True])
def test_the_peer_may_say_that_there_is_no_such_call(edge: Edge, *, placed_by_us: bool) -> None:
    edge.call(*TIMER, answer=TIMER, from_us=placed_by_us)
    edge.answer(edge.send(method="BYE", within=True, from_us=True), 481)
    assert edge.record() is None


def test_a_record_outlives_a_reload_that_drops_its_profile(edge: Edge) -> None:
    edge.call(*TIMER)
    edge.config = {**edge.config, "peers": []}
    edge.start()
    edge.answer(edge.send(TIMER, within=True))
    assert edge.known().refreshes == 1


@pytest.mark.parametrize("from_us", [False, True])
def test_a_dialog_keeps_its_timer_when_its_profile_is_switched_off(edge: Edge, *, from_us: bool) -> None:
    edge.call(*TIMER)
    edge.config = {**edge.config, "session_timer": {"enabled": False}, "peers": []}
    edge.start()
    edge.answer(edge.send(TIMER, within=True, from_us=from_us), 200, TIMER)
    assert edge.known().refreshes == 1
    assert edge.known().dialog.agreement is not None


@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO"])
def test_a_dialog_without_timer_gets_none_once_its_profile_is_switched_off(
    make_edge: MakeEdge, *, method: str, from_us: bool
) -> None:
    edge = make_edge(config={"session_timer": {"one_sided": False}, "asterisk": [ASTERISK]})
    edge.call(from_us=True)
    assert edge.known().dialog.agreement is None
    edge.config = {"session_timer": {"enabled": False}, "asterisk": [ASTERISK]}
    edge.start()
    rows = () if from_us else TIMER
    handled = edge.send(rows, method=method, from_us=from_us, within=True)
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == rows
    assert edge.sure(edge.answer(handled)).all("Session-Expires", "Supported", "X-Session-Timer") == []


@pytest.mark.parametrize("odd", ["a b", "\u00ff\u00fe", "x=1%3B", "\u00c3\u00a9", 'q"uo\\te', "nul\0byte"])
def test_odd_call_ids_and_tags(make_edge: MakeEdge, odd: str) -> None:
    edge = make_edge(call_id=f"call-{odd}")
    for round_trip in range(2):
        within = bool(round_trip)
        handled = edge.send(TIMER, tags=(f"{odd}-theirs", f"{odd}-ours" if within else ""))
        edge.answer(handled, to_tag=f"{odd}-ours")
    (row,) = edge.ksr.tables["session_timer"].values()
    assert Record.decode(row.value.encode("latin-1").decode()).refreshes == 1
    edge.hang_up(tags=(f"{odd}-theirs", f"{odd}-ours"))
    assert edge.ksr.tables["session_timer"] == {}


def test_what_waits_for_the_answer_is_read_as_it_was_written(edge: Edge) -> None:
    for from_us in (False, True):
        handled = edge.send((*TIMER, "Min-SE: 200"), from_us=from_us)
        waiting = Waiting.decode(handled.avps["session_timer_0"])
        assert (waiting.found, waiting.method, waiting.call_id) == (Found.BEGINS, "INVITE", "call-1")
        for call_id in ("call-1", "call\r\n 1", "[call"):
            assert Waiting.decode(waiting._replace(call_id=call_id).encode()).call_id == call_id
        decided = waiting.decided
        pending = Pending.decode(decided)
        assert pending.part is (Part.UAC if from_us else Part.UAS)
        assert Pending.decode(pending.encode()) == pending
        assert dataclasses.replace(pending).encode() == decided
