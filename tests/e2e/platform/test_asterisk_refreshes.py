"""What makes an Asterisk send a refresh; docs/reference/asterisk-releases.md has it for each release."""

# Each test drives Asterisk by AMI itself, at a peer whose interval is so long that the companion is idle.

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e import asterisk_orders as orders
from tests.lab.peers.audio import Audio, described
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, NotInTimeError, wait_until

together = Together()
LONG = 41
"""The address whose profile asks for 1,800 s."""
TIMER = "Supported: timer"
_numbers = itertools.count(5000)
DIGIT_PACKETS = 3
"""Enough to show that a digit leaves as telephone-event."""


def received(stage: Stage, formats: str = "8 0 101") -> tuple[Call, Audio]:
    """A call of the peer with both codecs and telephone-event, and what was answered."""
    call = stage.peer(LONG).call()
    body = described(call.agent.address, formats)
    answer = call.final(
        call.send("INVITE", ALLOW, TIMER, "Session-Expires: 1800;refresher=uas", body=body), 15
    )
    assert answer.status == 200, answer.start_line
    call.ack(answer)
    return call, Audio.read(answer.body)


def set_function(stage: Stage, call: Call, function: str, value: str) -> str:
    """AMI's Setvar on the call's channel; how it was answered."""
    channel = stage.stack.channels()[call.call_id]
    return stage.stack.ami("Setvar", Channel=channel, Variable=function, Value=value)[0]["Response"]


def get_function(stage: Stage, call: Call, function: str) -> str:
    channel = stage.stack.channels()[call.call_id]
    return stage.stack.ami("Getvar", Channel=channel, Variable=function)[0].get("Value", "")


def agree(call: Call, request: SipMessage, formats: str = "8 0 101", direction: str = "sendrecv") -> None:
    """200, and the ACK where it is an INVITE."""
    body = described(call.agent.address, formats, direction=direction, version=2) if request.body else ""
    call.answer(request, 200, ALLOW, body=body)
    if request.method == "INVITE":
        call.expect("ACK")


def digits_sent(stage: Stage, call: Call) -> int:
    """Make Asterisk send a digit; packets with payload type 101 that left it, as far as they are counted."""
    channel = stage.stack.channels()[call.call_id]
    stage.stack.asterisk_cli("module load app_senddtmf.so")  # has AMI's PlayDTMF, and is not among the lab's
    # The second octet of RTP has the payload type; UDP's header has eight.
    wanted = f"dst host {call.agent.address} and udp and udp[9] & 0x7f = 101"
    listen = ["timeout", "15", "tcpdump", "-i", "any", "-l", "-n", "-c", str(DIGIT_PACKETS), wanted]
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(stage.stack.exec, "asterisk", *listen)
        wait_until(
            lambda: "tcpdump" in stage.stack.exec("asterisk", "ps", "-A"),
            PATIENCE,
            "tcpdump to listen",
            pause=0.2,
        )
        while not heard.done():
            (played,) = stage.stack.ami("PlayDTMF", Channel=channel, Digit="5", Duration="200")
            assert played["Response"] == "Success", played
        return len(heard.result().splitlines())


def nothing_more(call: Call, *methods: str) -> None:
    """Nothing of these methods comes in while Asterisk answers a question of ours, nor for a second after."""
    for method in methods:
        with pytest.raises(NotInTimeError):
            call.expect(method, timeout=1)


@together.test()
def test_a_new_tag_of_the_connected_line_is_update_without_sdp(stage: Stage) -> None:
    """On every release, on calls that came in and on calls that were placed."""
    came_in, _ = received(stage)
    placed, invite = stage.originate(stage.peer(LONG))
    placed.accept(invite, TIMER, "Require: timer", "Session-Expires: 1800;refresher=uac")
    placed.expect("ACK")
    for call in (came_in, placed):
        orders.update(stage.stack, call)
        update = call.expect("UPDATE")
        assert update.body == b""
        agree(call, update)
        assert call.bye().status == 200


@together.test()
def test_an_offer_of_the_format_none_leaves_and_narrows_but_not_on_16(stage: Stage) -> None:
    """Success says AMI in each case; on 16 nothing leaves."""
    call, before = received(stage)
    for method in ("INVITE", "UPDATE"):
        orders.refresh_with_offer(stage.stack, call, method)
        if stage.stack.asterisk_release() < (18, 0):
            nothing_more(call, "INVITE", "UPDATE")
            continue
        request = call.expect(method)
        assert before.media.endswith(" 8 0 101")
        assert Audio.read(request.body).media.endswith(" RTP/AVP 0 101")
        agree(call, request, "0 101")
    assert call.bye().status == 200


@together.test()
def test_one_change_of_the_digits_is_one_reinvite_that_repeats_everything(stage: Stage) -> None:
    """The way back is the next refresh: each costs one re-INVITE, and every codec stays."""
    call, before = received(stage)
    assert before.media.endswith(" 8 0 101")
    assert get_function(stage, call, "PJSIP_DTMF_MODE()") == "rfc4733"
    for mode in ("auto_info", "rfc4733", "auto_info"):
        assert set_function(stage, call, "PJSIP_DTMF_MODE()", mode) == "Success"
        request = call.expect("INVITE")
        assert Audio.read(request.body).unchanged == before.unchanged
        agree(call, request)
        nothing_more(call, "INVITE", "UPDATE")
        assert get_function(stage, call, "PJSIP_DTMF_MODE()") == mode
    assert call.bye().status == 200


@together.test()
def test_the_same_mode_again_sends_nothing(stage: Stage) -> None:
    call, _ = received(stage)
    assert set_function(stage, call, "PJSIP_DTMF_MODE()", "rfc4733") == "Success"
    nothing_more(call, "INVITE", "UPDATE")
    assert call.bye().status == 200


@together.test()
def test_a_mode_is_changed_even_where_its_reinvite_is_refused(stage: Stage) -> None:
    """So the next refresh has to ask which mode is in force."""
    call, before = received(stage)
    assert set_function(stage, call, "PJSIP_DTMF_MODE()", "auto_info") == "Success"
    refused = call.expect("INVITE")
    call.answer(refused, 488)
    call.expect("ACK")
    assert get_function(stage, call, "PJSIP_DTMF_MODE()") == "auto_info"
    assert set_function(stage, call, "PJSIP_DTMF_MODE()", "rfc4733") == "Success"
    again = call.expect("INVITE")
    assert Audio.read(again.body).unchanged == before.unchanged
    agree(call, again)
    assert call.bye().status == 200


@together.test()
def test_a_change_while_an_invite_is_open_leaves_after_it(stage: Stage) -> None:
    """It is queued, and not dropped as an offer would be."""
    call, before = received(stage)
    set_function(stage, call, "PJSIP_DTMF_MODE()", "auto_info")
    first = call.expect("INVITE")
    call.answer(first, 100)
    set_function(stage, call, "PJSIP_DTMF_MODE()", "rfc4733")
    nothing_more(call, "INVITE")
    agree(call, first)
    second = call.expect("INVITE")
    assert second.cseq[0] > first.cseq[0]
    assert Audio.read(second.body).unchanged == before.unchanged
    agree(call, second)
    assert call.bye().status == 200


@together.test()
def test_a_call_on_hold_stays_on_hold(stage: Stage) -> None:
    """The peer has put us on hold by sendonly; a repetition says recvonly again."""
    call, _ = received(stage)
    held = call.ask(
        "INVITE", ALLOW, body=described(call.agent.address, "8 0 101", direction="sendonly", version=2)
    )
    assert held.status == 200
    before = Audio.read(held.body)
    assert before.direction == "recvonly"
    for mode in ("auto_info", "rfc4733"):
        set_function(stage, call, "PJSIP_DTMF_MODE()", mode)
        request = call.expect("INVITE")
        assert Audio.read(request.body).unchanged == before.unchanged
        agree(call, request, direction="sendonly")
    assert call.bye().status == 200


@together.test()
def test_a_call_that_our_side_holds_stays_on_hold(stage: Stage) -> None:
    """Whoever is behind Asterisk has put the peer on hold; a repetition says sendonly again."""
    number = f"{next(_numbers)}"
    call = stage.peer(LONG).call(f"sip:848{number}@{stage.stack.edge}")
    call.local = f"<sip:holds@{call.agent.address}>"
    body = described(call.agent.address, "8 0 101")
    sent = call.send("INVITE", ALLOW, TIMER, "Session-Expires: 1800;refresher=uas", body=body)
    holder, invite = stage.peer(48).called(number)
    holder.accept(invite)
    holder.expect("ACK")
    call.ack(call.final(sent))
    hold = described(holder.agent.address, "0", direction="sendonly", version=2)
    assert Audio.read(holder.ask("INVITE", ALLOW, body=hold).body).direction == "recvonly"
    told = call.expect("INVITE")
    before = Audio.read(told.body)
    assert before.direction == "sendonly"
    agree(call, told, direction="recvonly")
    for mode in ("auto_info", "rfc4733"):
        set_function(stage, call, "PJSIP_DTMF_MODE()", mode)
        request = call.expect("INVITE")
        assert Audio.read(request.body).unchanged == before.unchanged
        agree(call, request, direction="recvonly")
    for each in (call, holder):
        call_id = each.call_id
        if call_id in stage.stack.channels():
            assert each.bye().status == 200


@together.test()
def test_digits_leave_as_telephone_events_in_either_mode(stage: Stage) -> None:
    """Where telephone-event is agreed, `auto_info` sends digits as `rfc4733` does."""
    call, _ = received(stage)
    for mode in ("auto_info", "rfc4733"):
        set_function(stage, call, "PJSIP_DTMF_MODE()", mode)
        agree(call, call.expect("INVITE"))
        assert digits_sent(stage, call) >= DIGIT_PACKETS
    assert call.bye().status == 200


@together.test()
def test_where_the_peer_has_no_telephone_event_it_is_offered_again(stage: Stage) -> None:
    """The endpoint wants rfc4733, so it stands in each offer. `info` and `none` leave it out."""
    call, before = received(stage, "8 0")
    assert before.media.endswith(" RTP/AVP 8 0")
    for mode, offered in (("auto_info", "8 0 101"), ("none", "8 0"), ("info", "8 0"), ("rfc4733", "8 0 101")):
        set_function(stage, call, "PJSIP_DTMF_MODE()", mode)
        request = call.expect("INVITE")
        assert Audio.read(request.body).media.endswith(f" RTP/AVP {offered}")
        agree(call, request, "8 0")
    assert call.bye().status == 200


@together.test()
def test_a_header_of_the_2xx_is_read_on_a_call_that_was_placed(stage: Stage) -> None:
    """By PJSIP_RESPONSE_HEADER; without it no placed call is known to be refreshed."""
    call, invite = stage.originate(stage.peer(LONG))
    call.accept(invite, TIMER, "Require: timer", "Session-Expires: 1800;refresher=uac", "X-Seen: yes")
    call.expect("ACK")
    assert get_function(stage, call, "PJSIP_RESPONSE_HEADER(read,X-Seen)") == "yes"
    assert "1800" in get_function(stage, call, "PJSIP_RESPONSE_HEADER(read,X-Session-Timer)")
    assert get_function(stage, call, "PJSIP_HEADER(read,X-Session-Timer)") == ""
    assert call.bye().status == 200


@together.test()
def test_the_release_is_told_to_who_may_write_calls(stage: Stage) -> None:
    """Getvar VERSION() on no channel needs `func_version`; without it the value is empty."""
    answer = stage.stack.ami("Getvar", Variable="VERSION(ASTERISK_VERSION_NUM)")[0]
    told = answer.get("Value", "")
    loaded = "func_version.so" in stage.stack.asterisk_cli("module show like func_version")
    assert bool(told) is loaded, answer
    settings = stage.stack.ami("CoreSettings")[0]
    found = re.search(r"Asterisk (\d+\.\d+)\.", stage.stack.asterisk_cli("core show version"))
    assert found is not None
    assert settings["AsteriskVersion"].startswith(found[1])
