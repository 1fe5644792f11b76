"""What Asterisk says of its audio when it refreshes and when it is refreshed, and where its audio goes."""

from __future__ import annotations

import itertools

from tests.lab.peers.audio import Audio, described
from tests.lab.peers.user_agent import ALLOW, Call, sdp
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
PROMPT = 3.5
"""Seconds: then a request without answer has been repeated three times (RFC 3261, 17.1.2.2)."""

_ports = itertools.count(6100, 2)


def dialled(stage: Stage, formats: str) -> tuple[Call, SipMessage]:
    """A call of the carrier that offers these payload types; gives the 2xx too."""
    call = stage.peer(41).call()
    body = described(call.agent.address, formats)
    answer = call.final(call.send("INVITE", ALLOW, *OURS, body=body))
    call.ack(answer)
    return call, answer


def assert_version_tells(before: bytes, after: bytes) -> None:
    """The version in o= rises by one where the rest has changed, else not at all (RFC 3264, 8)."""
    was, now = Audio.read(before), Audio.read(after)
    assert now.session == was.session
    assert now.version == was.version + (now.unchanged != was.unchanged)


@together.test("UAC-7.4-21")
def test_answer_to_a_refresh_repeats_the_description_to_the_letter(stage: Stage) -> None:
    call, first = dialled(stage, "0")
    for method in ("INVITE", "UPDATE", "INVITE"):
        again = call.ask(method, *OURS, body=described(call.agent.address, "0"))
        assert again.status == 200
        if stage.stack.asterisk_release() < (18, 0):  # counts its version on all the same
            assert Audio.read(again.body).unchanged == Audio.read(first.body).unchanged
        else:
            assert again.body == first.body
    assert call.bye().status == 200


def audio_moves(stage: Stage, method: str) -> None:
    """The carrier names another port, then holds: audio goes there, and the answer follows."""
    call = stage.peer(41).call(f"sip:music@{stage.stack.edge}")
    first = Audio.read(call.dial(*OURS).body)
    place = (call.agent.address, next(_ports))
    call.agent.sockets.open(place)
    moved = sdp(call.agent.address, version=2).replace(" 6000 ", f" {place[1]} ")
    answer = call.ask(method, *OURS, body=moved)
    assert answer.status == 200
    assert Audio.read(answer.body).session == first.session
    call.agent.sockets.receive(
        lambda each: each.own == place and each.source[0] == stage.stack.asterisk, f"audio at {place}"
    )
    held = call.ask(method, *OURS, body=moved.replace("sendrecv", "sendonly").replace(" 1 2 ", " 1 3 "))
    assert Audio.read(held.body).direction == "recvonly"
    assert_version_tells(answer.body, held.body)
    assert call.bye().status == 200


@together.test("UPD-5.2-04")
def test_audio_follows_a_changed_update(stage: Stage) -> None:
    audio_moves(stage, "UPDATE")


@together.test("S61-14.2-03")
def test_audio_follows_a_changed_reinvite(stage: Stage) -> None:
    audio_moves(stage, "INVITE")


@together.test("UPD-5.2-05")
def test_update_is_answered_at_once(stage: Stage) -> None:
    """There is nobody whom Asterisk would ask first."""
    call, _ = dialled(stage, "0")
    for body in ("", described(call.agent.address, "0"), described(call.agent.address, "8", version=2)):
        assert call.ask("UPDATE", *OURS, body=body).status == 200
    seen = [each for each in stage.observed(call).inside if each.message.method == "UPDATE"]
    for request, answer in zip(seen[::2], seen[1::2], strict=True):
        assert (request.message.is_request("UPDATE"), answer.message.status) == (True, 200)
        assert answer.time - request.time < PROMPT
    assert len(seen) == 6
    assert call.bye().status == 200
