"""The door on the real Kamailio: who has the key reads there, and nobody else gets anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.user_agent import Peer
from tests.lab.stack import Stack
from tests.lab.told import KEY

pytestmark = pytest.mark.smoke

# Runs beside the edge, for the host reaches no TCP port of it. A line a reply: its code, length and body.
_ASK = """
import http.client, json, sys, time
requests = json.loads({requests!r})
connection = http.client.HTTPConnection({edge!r}, 5060, timeout=20)
replies = []
for method, path, token, body in requests:
    headers = {{"Authorization": token}} if token else {{}}
    begun = time.monotonic()
    connection.request(method, path, body.encode(), headers)
    reply = connection.getresponse()
    replies.append((reply.status, reply.read().decode(), time.monotonic() - begun))
print(json.dumps(replies))
"""

RIGHT = f"Bearer {KEY.door_token}"
DOOR = "/session-timer"


def ask(stack: Stack, *requests: tuple[str, str, str, str]) -> tuple[list[tuple[int, str]], list[float]]:
    """Code and body of each reply on one connection, and how many seconds each took."""
    program = _ASK.format(requests=json.dumps(requests), edge=stack.edge)
    said = json.loads(stack.exec("edge", "python3", "-", given=program))
    return [(code, text) for code, text, _ in said], [seconds for _, _, seconds in said]


def told(stack: Stack, **question: object) -> dict[str, Any]:
    ((code, text),), _ = ask(stack, ("POST", DOOR, RIGHT, json.dumps({"v": 1, **question})))
    assert code == 200
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_a_record_the_changes_and_the_clock(stack: Stack, edge: Kamailio, peer: Peer) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    ((key, text),) = edge.record_texts(call.call_id).items()
    answer = told(stack, records=[key, "no;such;record"], changes=True)
    assert answer["records"] == {key: text, "no;such;record": None}
    assert answer["edge"] == "edge"
    name = answer["clock"]["name"]
    assert answer["clock"]["now"] == pytest.approx(answer["clocks"][name], abs=10)
    assert answer["stats"]["negotiations"] == edge.counter("negotiations")
    call.ask("UPDATE", "Supported: timer", "Session-Expires: 1800;refresher=uas")
    ((_, changed),) = edge.record_texts(call.call_id).items()
    assert told(stack, changes=True)["changes"][key] == changed
    assert call.bye().status == 200
    assert told(stack, records=[key])["records"] == {key: None}


def test_how_full_the_table_is(stack: Stack, peer: Peer) -> None:
    before = told(stack, table=True)["table"]
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    assert told(stack, table=True)["table"] == {"records": before["records"] + 1, "slots": 65536}
    assert call.bye().status == 200


def test_strangers_get_nothing(stack: Stack, edge: Kamailio) -> None:
    faults = edge.counter("faults")
    question = json.dumps({"v": 1, "changes": True})
    requests = [
        ("POST", DOOR, "", question),
        ("POST", DOOR, "Bearer nonsense", question),
        ("POST", DOOR, "Bearer " + "x" * 5000, question),
        ("POST", DOOR, RIGHT[:-1], "x" * 10_000),
        ("GET", DOOR, RIGHT, ""),
        ("POST", "/RPC", RIGHT, '{"jsonrpc": "2.0", "method": "core.kill", "id": 1}'),
        ("POST", "/" + "y" * 3000, RIGHT, ""),
    ]
    replies, _ = ask(stack, *requests)
    assert [code for code, _ in replies] == [401, 401, 401, 401, 404, 404, 404]
    assert {text for _, text in replies} == {""}
    assert edge.counter("faults") == faults


def test_what_is_no_question_is_answered_400(stack: Stack, edge: Kamailio) -> None:
    faults = edge.counter("faults")
    bodies = [
        "{",
        "[]",
        '{"v": 9}',
        '{"v": 1, "records": 5}',
        "\u00e9\u0000\udcff".encode("utf-8", "replace").decode(),
    ]
    replies, _ = ask(stack, *(("POST", DOOR, RIGHT, body) for body in bodies))
    assert [code for code, _ in replies] == [400] * len(bodies)
    assert edge.counter("faults") == faults


def test_a_hundred_questions_on_one_connection(stack: Stack, edge: Kamailio, peer: Peer) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    (key,) = edge.record_texts(call.call_id)
    keys = [key, *(f"{'x' * 100}{number};a;b" for number in range(99))]
    question = ("POST", DOOR, RIGHT, json.dumps({"v": 1, "records": keys, "changes": True}))
    replies, seconds = ask(stack, *[question] * 100)
    assert all(code == 200 and key in json.loads(text)["records"] for code, text in replies)
    assert max(len(text) for _, text in replies) < 30_000
    # Where Nagle's algorithm waits for a delayed ACK, every reply but the first ones takes 40 ms.
    # A busy machine delays many of them, and not each.
    assert sorted(seconds)[25] < 0.03, "TCP holds replies back"
    assert call.bye().status == 200


def test_of_two_companions_one_leads(stack: Stack) -> None:
    def lead(by: str, seconds: float = 60) -> Any:
        return told(stack, lead={"name": "door-test", "by": by, "seconds": seconds})["lead"]

    assert lead("one")["by"] == "one"
    assert lead("two")["by"] == "one"
    assert lead("one", 0) is None
    assert lead("two")["by"] == "two"
    assert lead("two", 0) is None
