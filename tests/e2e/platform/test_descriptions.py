"""What Asterisk says of its audio when it refreshes and when it is refreshed, and where its audio goes."""

from __future__ import annotations

import itertools
import re

from tests.e2e import asterisk_orders as orders
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


def refreshed(stage: Stage, call: Call, formats: str, codec: str) -> SipMessage:
    """A re-INVITE of Asterisk that offers the codec in use; it is answered."""
    orders.refresh_with_offer(stage.stack, call, "INVITE", codec)
    request = call.expect("INVITE")
    call.answer(request, 200, body=described(call.agent.address, formats, version=2))
    call.expect("ACK")
    return request


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
        assert again.body == first.body
    assert call.bye().status == 200


@together.test()
def test_our_reinvite_repeats_one_codec_and_telephone_event_to_the_letter(stage: Stage) -> None:
    """What RFC 4028 7.4 asks of an unchanged offer: the same o=."""
    call, first = dialled(stage, "8 101")
    for _ in range(2):
        assert refreshed(stage, call, "8 101", "alaw").body == first.body
    assert call.bye().status == 200


@together.test()
def test_our_first_reinvite_may_say_something_else_and_the_next_repeats_it(stage: Stage) -> None:
    """Without telephone-event in the call Asterisk offers it anew: a changed description, and it says so."""
    call, answer = dialled(stage, "0")
    first = refreshed(stage, call, "0", "ulaw")
    assert_version_tells(answer.body, first.body)
    assert refreshed(stage, call, "0", "ulaw").body == first.body
    assert call.bye().status == 200


@together.test()
def test_reinvite_in_a_call_of_ours_offers_what_is_in_use_and_then_repeats_it(stage: Stage) -> None:
    """Our INVITE had offered more codecs: one is left, and the version says that this is a change."""
    call, invite = stage.originate(stage.peer(41))
    call.answer(invite, 200, ALLOW, body=described(call.agent.address, "0 101"))
    call.expect("ACK")
    first = refreshed(stage, call, "0 101", "ulaw")
    assert Audio.read(first.body).media.split()[3:] == ["0", "101"]
    assert_version_tells(invite.body, first.body)
    assert refreshed(stage, call, "0 101", "ulaw").body == first.body
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


@together.test()
def test_an_offer_forgets_the_packet_time_of_the_endpoint_and_a_repetition_keeps_it(stage: Stage) -> None:
    """Nothing in AMI tells that it is 30 ms: docs/reference/companion.md says what follows."""
    call = stage.peer(41).call()
    call.local = f"<sip:framed@{call.agent.address}>"
    body = described(call.agent.address, "8 101")
    answer = call.final(call.send("INVITE", ALLOW, *OURS, body=body))
    call.ack(answer)
    assert ptime(answer) == "30"
    assert ptime(refreshed(stage, call, "8 101", "alaw")) == "20"
    assert ptime(refreshed(stage, call, "8 101", "alaw:30")) == "20"
    channel = stage.stack.channels()[call.call_id]
    for asked, told in (
        ("PJSIP_ENDPOINT(framed,allow)", "(alaw|ulaw)"),
        ("CHANNEL(audionativeformat)", "(alaw)"),
    ):
        assert stage.stack.ami("Getvar", Channel=channel, Variable=asked)[0]["Value"] == told
    orders.reinvite(stage.stack, call)
    again = call.expect("INVITE")
    assert ptime(again) == "30"
    call.answer(again, 200, body=described(call.agent.address, "8 101", version=3))
    call.expect("ACK")
    assert call.bye().status == 200


def ptime(message: SipMessage) -> str:
    """The packet time of its audio in milliseconds."""
    found = re.search(rb"^a=ptime:(\d+)\r$", message.body, re.MULTILINE)
    assert found, message.body
    return found[1].decode()
