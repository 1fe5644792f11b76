"""The door: who has the key reads records, changes and clocks there; nobody else gets anything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from session_timer import Record
from session_timer.record import key
from session_timer_kemi.memory.records import clock_id
from session_timer_kemi.routes.door import MOST_BYTES

from tests.fuzz.doors import DOORS
from tests.kamailio.fakes.edge import CONFIG, KEY, OURS, THEIRS, Edge, MakeEdge
from tests.kamailio.fakes.kamailio import HttpRequest, Row

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus-of-doors"
TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
NAME = key("call-1", OURS, THEIRS)
RIGHT = f"Bearer {KEY.door_token}"


def ask(
    edge: Edge,
    question: object,
    *,
    authorization: str = RIGHT,
    url: str = "/session-timer",
    method: str = "POST",
) -> tuple[int, str]:
    """Code and body of the reply."""
    body = question if isinstance(question, str) else json.dumps(question)
    request = HttpRequest(method, url, authorization, body)
    code, _, content_type, text = edge.ksr.receive_http(edge.timers.on_http, request)
    assert content_type == "application/json"
    assert len(text) < MOST_BYTES
    return code, text


def told(edge: Edge, **question: object) -> dict[str, Any]:
    code, text = ask(edge, {"v": 1, **question})
    assert code == 200, text
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_records_are_read_by_their_keys(edge: Edge) -> None:
    edge.call(*TIMER)
    answer = told(edge, records=[NAME, "call-9;a;b"])
    assert answer["v"] == 1
    assert answer["records"] == {NAME: edge.known().encode(), "call-9;a;b": None}
    assert "changes" not in answer
    assert "more" not in answer


def test_how_full_the_table_is_told_when_it_is_asked_for(edge: Edge) -> None:
    edge.call(*TIMER)
    assert told(edge, table=True)["table"] == {"records": 1, "slots": 65536}
    assert "table" not in told(edge, changes=True)
    edge.ksr.lacks("jsonrpcs")
    assert told(edge, table=True)["table"] is None


def test_every_reply_says_whose_it_is_and_how_its_clock_stands(edge: Edge) -> None:
    edge.ksr.now = 12345.6789
    answer = told(edge)
    assert (answer["edge"], answer["clock"]) == ("edge-1", {"name": clock_id(), "now": 12345.679})
    assert answer["config"] == edge.timers._edge.config.digest()


def test_two_files_that_differ_in_what_is_shared_have_another_digest(make_edge: MakeEdge) -> None:
    edge = make_edge()
    before = told(edge)["config"]
    edge.config = {**CONFIG, "companion": {"http": {}}}
    edge.start()
    assert told(edge)["config"] == before
    edge.config = {**CONFIG, "session_timer": {"min_se": 120}}
    edge.start()
    assert told(edge)["config"] != before


def test_every_statistic_is_told(edge: Edge) -> None:
    edge.call(*TIMER)
    stats = told(edge)["stats"]
    assert stats == {name.removeprefix("session_timer_"): n for name, n in edge.ksr.counters.items()}
    assert stats["negotiations"] == 1


def test_changes_and_clocks_are_told_to_who_asks_for_them(edge: Edge) -> None:
    edge.call(*TIMER)
    edge.answer(edge.send(("Supported: timer", "Session-Expires: 600;refresher=uas"), within=True))
    edge.ksr.tick(edge.timers.on_tick)
    edge.ksr.tables["session_timer_changes"]["clock;another"] = Row("17.5", edge.ksr.now + 60)
    answer = told(edge, changes=True)
    assert answer["changes"] == {NAME: edge.known().encode()}
    assert answer["clocks"] == {clock_id(): 1000.0, "another": 17.5}


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Basic {KEY.door_token}", RIGHT[:-1], RIGHT + "0"]
)
def test_without_the_token_there_is_nothing(edge: Edge, authorization: str) -> None:
    edge.call(*TIMER)
    question = {"v": 1, "records": [NAME], "lead": {"name": "a", "by": "b", "seconds": 9}}
    assert ask(edge, question, authorization=authorization) == (401, "")
    assert edge.ksr.tables["session_timer_leads"] == {}
    assert "htable.sht_iterator_start" not in edge.ksr.called


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/session-timer"),
        ("POST", "/"),
        ("POST", "/session-timer/"),
        ("POST", "/session-timer?a=b"),
        ("PUT", "/"),
    ],
)
def test_anything_else_is_not_there(edge: Edge, method: str, url: str) -> None:
    assert ask(edge, {"v": 1}, method=method, url=url) == (404, "")


def test_an_edge_without_a_key_has_no_door(make_edge: MakeEdge) -> None:
    edge = make_edge(config={"session_timer": {"mode": "proxy"}})
    edge.path.write_text(json.dumps({"session_timer": {"mode": "proxy"}}))
    edge.timers = type(edge.timers)(str(edge.path), clock=lambda: edge.ksr.now)
    assert ask(edge, {"v": 1}) == (404, "")


@pytest.mark.parametrize(
    "question",
    [
        "",
        "no JSON",
        "[]",
        {"v": 2},
        {"v": 1, "records": "a"},
        {"v": 1, "records": [1]},
        {"v": 1, "records": ["a"] * 101},
        {"v": 1, "lead": {"name": "a"}},
        {"v": 1, "lead": {"name": "", "by": "b", "seconds": 1}},
        {"v": 1, "lead": {"name": "a", "by": "b", "seconds": "1"}},
        {"v": 1, "lead": {"name": "a", "by": "b", "seconds": math.nan}},
        {"v": 1, "lead": {"name": "a", "by": "b", "seconds": math.inf}},
        {"v": 1, "lead": {"name": "a", "by": "b", "seconds": 10**400}},
        "[" * 100_000,
    ],
)
def test_what_is_no_question_is_answered_400_with_the_reason(edge: Edge, question: object) -> None:
    code, text = ask(edge, question)
    assert code == 400
    assert json.loads(text)["error"]
    assert edge.faults == 0


def test_what_does_not_fit_a_reply_is_named(edge: Edge) -> None:
    names = [f"call-{number}-{'x' * 80};ours;theirs" for number in range(100)]
    for name in names:
        edge.ksr.tables["session_timer"][name] = Row("r" * 500, edge.ksr.now + 60)
    asked, rounds = names, 0
    found: dict[str, str] = {}
    while asked:
        answer = told(edge, records=asked, changes=True)
        found |= answer["records"]
        assert list(answer["records"]) + answer.get("more", []) == asked
        asked = answer.get("more", [])
        rounds += 1
    assert found == dict.fromkeys(names, "r" * 500)
    assert rounds == 3


def test_of_many_changes_those_that_do_not_fit_are_named(edge: Edge) -> None:
    for number in range(500):
        edge.ksr.tables["session_timer_changes"][f"call-{number};a;b"] = Row("r" * 300, edge.ksr.now + 60)
    answer = told(edge, changes=True)
    assert 50 < len(answer["changes"]) < 100
    assert len(answer["changes"]) + len(answer["more"]) == 500
    assert "left_out" not in answer


def test_of_very_many_changes_it_is_said_how_many_are_left_out(edge: Edge) -> None:
    for number in range(500):
        name = f"call-{number}-{'x' * 80};a;b"
        edge.ksr.tables["session_timer_changes"][name] = Row("r" * 300, edge.ksr.now + 60)
    answer = told(edge, changes=True)
    assert len(answer["changes"]) + len(answer["more"]) + answer["left_out"] == 500


def test_a_record_larger_than_a_reply_is_no_fault(edge: Edge) -> None:
    edge.ksr.tables["session_timer"]["a"] = Row("r" * 40_000, edge.ksr.now + 60)
    answer = told(edge, records=["a", "b"])
    assert (answer["records"], answer["more"]) == ({}, ["a", "b"])


def test_a_record_is_told_as_it_is_whatever_is_in_it(edge: Edge) -> None:
    edge.call_id = 'call-"\u00c3\u00a9'
    edge.call(*TIMER)
    name = key('call-"\u00e9', OURS, THEIRS)
    text = told(edge, records=[name])["records"][name]
    assert Record.decode(text).local_tag == OURS


def lead(edge: Edge, by: str, seconds: float = 10, name: str = "asterisk") -> Any:
    return told(edge, lead={"name": name, "by": by, "seconds": seconds})["lead"]


def test_one_of_two_companions_leads_and_the_other_takes_over_when_it_is_silent(edge: Edge) -> None:
    assert lead(edge, "one") == {"by": "one", "left": 10}
    assert lead(edge, "two") == {"by": "one", "left": 10}
    edge.ksr.now += 6
    assert lead(edge, "two") == {"by": "one", "left": 4}
    assert lead(edge, "one") == {"by": "one", "left": 10}
    edge.ksr.now += 10.5
    assert lead(edge, "two") == {"by": "two", "left": 10}
    assert lead(edge, "one") == {"by": "two", "left": 10}


def test_a_lead_is_of_one_asterisk_and_can_be_given_up(edge: Edge) -> None:
    assert lead(edge, "one")["by"] == "one"
    assert lead(edge, "two", name="another") == {"by": "two", "left": 10}
    assert lead(edge, "two", 0) == {"by": "one", "left": 10}, "not by somebody else"
    assert lead(edge, "one", 0) is None
    assert lead(edge, "two") == {"by": "two", "left": 10}


def test_a_lead_that_another_edge_wrote_holds_as_long_as_it_stands(edge: Edge) -> None:
    edge.ksr.tables["session_timer_leads"]["asterisk"] = Row("a%20b another-clock 5.000", edge.ksr.now + 9)
    assert lead(edge, "one") == {"by": "a b", "left": None}
    edge.ksr.now += 9
    assert lead(edge, "one")["by"] == "one"


def test_a_lead_lasts_five_minutes_at_most(edge: Edge) -> None:
    assert lead(edge, "one", 1e9)["left"] == 300


def test_where_the_table_is_full_nobody_leads(edge: Edge) -> None:
    edge.ksr.refusing.add("session_timer_leads")
    assert lead(edge, "one") is None


@pytest.mark.parametrize("name", DOORS)
def test_the_doors_take_every_input_that_fuzzing_kept(name: str) -> None:
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs
    for path in inputs:
        DOORS[name](path.read_bytes())
