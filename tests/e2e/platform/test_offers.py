"""Offers that Asterisk makes anew: what they say, and when they wait. None leaves 16.28 (docs/reference)."""

from __future__ import annotations

import re

from tests.e2e import asterisk_orders as orders
from tests.e2e.platform.test_before_the_answer import end, ringing, take
from tests.e2e.platform.test_descriptions import OURS, assert_version_tells, dialled
from tests.lab.peers.audio import Audio, described
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()


def refreshed(stage: Stage, call: Call, formats: str, codec: str) -> SipMessage:
    """A re-INVITE of Asterisk that offers the codec in use; it is answered."""
    orders.refresh_with_offer(stage.stack, call, "INVITE", codec)
    request = call.expect("INVITE")
    call.answer(request, 200, body=described(call.agent.address, formats, version=2))
    call.expect("ACK")
    return request


@together.test("UPD-5.1-05")
def test_asterisk_offers_nothing_before_it_has_answered_the_callers_offer(stage: Stage) -> None:
    call, _, callee, invite = ringing(stage, 180)
    orders.refresh_with_offer(stage.stack, call, "UPDATE")
    take(call, callee, invite)
    orders.refresh_with_offer(stage.stack, call, "UPDATE")
    offer = call.expect("UPDATE")
    assert offer.body != b""
    call.accept(offer)
    seen = [each.message for each in stage.observed(call).outside]
    answered = next(at for at, each in enumerate(seen) if (each.cseq[0], each.status) == (1, 200))
    assert not [each for each in seen[:answered] if each.is_request("UPDATE")]
    end(call, callee)


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
