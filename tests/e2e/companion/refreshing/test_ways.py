"""How a refresh leaves Asterisk, and that it changes nothing but the time."""

from __future__ import annotations

import itertools

import pytest

from tests.lab.peers.audio import Audio, described
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_UPDATE,
    EARLY,
    HALF,
    INTERVAL,
    LATE,
    NO_UPDATE,
    TIMER,
    agree,
    in_a_row,
    keep,
    placed,
    received,
    refresh,
)
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()
_numbers = itertools.count(3000)


def assert_on_time(stage: Stage, call: Call, count: int, *, row: int = 1) -> None:
    """So many refreshes of ours were answered, each half an interval after the 2xx before it.

    ``row`` requests follow one another at once in each of them.
    """
    seen = stage.observed(call)
    refreshes = [each for each in seen.refreshes_by(stage.stack.edge) if each.answered]
    assert len(refreshes) == count * row
    times = [seen.established, *(each.response for each in refreshes[row - 1 :: row])]
    for before, each in zip(times, refreshes[::row], strict=False):
        assert before is not None
        assert HALF - EARLY <= each.request.time - before.time <= HALF + LATE
    numbers = [each.request.message.cseq[0] for each in refreshes]
    assert numbers == list(range(numbers[0], numbers[0] + count * row))


def reinvited(stage: Stage, formats: str, offered: str) -> None:
    """A call with these formats; two refreshes by re-INVITE offer ``offered`` and what else the 2xx said.

    Asterisk adds telephone-event to each offer of its own, whatever the peer named: RFC 4733 is the
    endpoint's way to send digits. A peer that does not want it leaves it out of its answer.
    """
    call, answer = received(stage, BY_REINVITE, formats=formats, allow=NO_UPDATE)
    first = Audio.read(answer.body)
    row = in_a_row(stage.stack)
    for count in range(1, 1 + 2 * row):
        request = refresh(call, "INVITE")
        again = Audio.read(request.body)
        assert again.media.split()[3:] == offered.split()
        assert again.media.split()[:3] == first.media.split()[:3]
        assert (again.session, again.address, again.direction) == (
            first.session,
            first.address,
            first.direction,
        )
        assert first.attributes <= again.attributes
        assert again.version <= first.version + count
        agree(call, request, formats)
    stage.edge.record(call.call_id, refreshes=str(2 * row), refresher="local", interval=str(INTERVAL))
    assert_on_time(stage, call, 2, row=row)
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-16", "UAC-7.4-18", "S61-12.2.1.1-01", "UPD-4-02")
def test_received_call_by_update(stage: Stage) -> None:
    call, answer = received(stage, BY_UPDATE)
    assert "update" in answer.tokens("Allow")
    for _ in range(2):
        request = refresh(call, "UPDATE")
        assert request.body == b""
        assert request.header("Contact") == answer.header("Contact")
        agree(call, request)
    stage.edge.record(call.call_id, refreshes="2", refresher="local")
    assert_on_time(stage, call, 2)
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-16", "UAC-7.4-18", "UPD-4-01", "S61-12.2-01")
def test_placed_call_by_update(stage: Stage) -> None:
    call, invite = stage.originate(stage.peer(BY_UPDATE))
    assert "update" in invite.tokens("Allow")
    call.accept(invite, "Supported: timer", "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    call.expect("ACK")
    for _ in range(2):
        request = refresh(call, "UPDATE")
        assert request.body == b""
        agree(call, request)
    assert_on_time(stage, call, 2)
    assert call.bye().status == 200


@together.test("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-17", "UAC-7.4-19")
def test_placed_call_by_reinvite(stage: Stage) -> None:
    call = placed(stage, BY_UPDATE, allow=NO_UPDATE)
    row = in_a_row(stage.stack)
    for _ in range(2 * row):
        request = refresh(call, "INVITE")
        assert Audio.read(request.body).media.split()[3:4] == ["0"]
        agree(call, request)
    assert_on_time(stage, call, 2, row=row)
    assert call.bye().status == 200


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_reinvite_with_mu_law_only(stage: Stage) -> None:
    reinvited(stage, "0", "0 101")


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_reinvite_with_a_law_only(stage: Stage) -> None:
    reinvited(stage, "8", "8 101")


@pytest.mark.smoke
@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_reinvite_with_telephone_event(stage: Stage) -> None:
    reinvited(stage, "8 101", "8 101")


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_reinvite_where_the_peer_offered_both_and_the_codec_in_use_is_asked_for_again(stage: Stage) -> None:
    """Asterisk answers an offer of both with both; what is in use, and only that, is offered again."""
    call, answer = received(stage, BY_REINVITE, formats="0 8 101", allow=NO_UPDATE)
    was = Audio.read(answer.body)
    request = refresh(call, "INVITE")
    again = Audio.read(request.body)
    assert set(again.media.split()[3:]) <= set(was.media.split()[3:])
    assert "101" in again.media.split()[3:]
    assert (again.session, again.address, again.direction) == (was.session, was.address, was.direction)
    agree(call, request, again.media.split(maxsplit=3)[3])
    stage.edge.record(call.call_id, refreshes="1")
    assert call.bye().status == 200


@together.test("UAC-7.4-15", "UAC-7.2-17")
def test_reinvite_while_the_peer_holds_us(stage: Stage) -> None:
    """The peer's hold counts as a refresh; ours, half an interval later, leaves the call on hold."""
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    hold = described(call.agent.address, "0", direction="sendonly", version=2)
    timer = ("Supported: timer", f"Session-Expires: {INTERVAL};refresher=uas")
    held = call.ask("INVITE", NO_UPDATE, *timer, body=hold)
    assert Audio.read(held.body).direction == "recvonly"
    request = refresh(call, "INVITE")
    assert Audio.read(request.body).direction == "recvonly"
    call.answer(
        request,
        200,
        "Require: timer",
        f"Session-Expires: {INTERVAL};refresher=uac",
        body=described(call.agent.address, "0", direction="sendonly", version=3),
    )
    call.expect("ACK")
    stage.edge.record(call.call_id, refreshes="2")
    assert call.bye().status == 200


@together.test("UAC-7.4-15")
def test_update_while_the_peer_holds_us(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    hold = described(call.agent.address, "0", direction="sendonly", version=2)
    held = call.ask("INVITE", "Supported: timer", f"Session-Expires: {INTERVAL};refresher=uas", body=hold)
    assert Audio.read(held.body).direction == "recvonly"
    request = refresh(call, "UPDATE")
    assert request.body == b""
    agree(call, request)
    stage.edge.record(call.call_id, refreshes="2")
    assert call.bye().status == 200


def held_by_our_side(stage: Stage, host: int, allow: str) -> Call:
    """A call to somebody behind Asterisk, who holds it: Asterisk tells so by re-INVITE, a refresh too."""
    number = next(_numbers)
    call = stage.peer(host).call(f"sip:841{number}@{stage.stack.edge}")
    call.local = f"<sip:holds@{call.agent.address}>"
    terms = f"Session-Expires: {INTERVAL};refresher=uas"
    sent = call.send("INVITE", allow, TIMER, terms, body=described(call.agent.address, "0"))
    holder, invite = stage.peer(41).called(str(number))
    holder.accept(invite)
    holder.expect("ACK")
    call.ack(call.final(sent))
    hold = described(holder.agent.address, "0", direction="sendonly", version=2)
    assert Audio.read(holder.ask("INVITE", ALLOW, body=hold).body).direction == "recvonly"
    obey(call, call.expect("INVITE"))
    return call


def with_sdp(call: Call) -> SipMessage:
    """The next refresh that describes the session; those without a description are refused."""
    while not (request := call.any_of("UPDATE", "INVITE", timeout=INTERVAL)).body:
        call.answer(request, 488)
    return request


def obey(call: Call, request: SipMessage) -> None:
    """200 to an offer that holds us."""
    assert Audio.read(request.body).direction == "sendonly"
    body = described(call.agent.address, "0", direction="recvonly", version=1 + request.cseq[0])
    terms = f"Session-Expires: {request.header('Session-Expires')}"
    call.answer(request, 200, "Require: timer", terms, body=body)
    if request.method == "INVITE":
        call.expect("ACK")


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_reinvite_while_our_side_holds_the_peer(stage: Stage) -> None:
    call = held_by_our_side(stage, BY_REINVITE, NO_UPDATE)
    for _ in range(2):
        obey(call, refresh(call, "INVITE"))
    stage.edge.record(call.call_id, refreshes="3")
    assert call.bye().status == 200


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_refresh_with_sdp_while_our_side_holds_the_peer(stage: Stage) -> None:
    """By UPDATE, or where no offer leaves Asterisk by re-INVITE; the peer stays on hold."""
    call = held_by_our_side(stage, BY_UPDATE, ALLOW)
    row = in_a_row(stage.stack)
    for _ in range(2 * row):
        request = with_sdp(call)
        assert request.method == ("UPDATE" if row == 1 else "INVITE")
        obey(call, request)
    stage.edge.record(call.call_id, refreshes=str(1 + 2 * row))
    assert call.bye().status == 200


@together.test("UAC-7.4-15", "UAC-7.4-19")
def test_refresh_with_sdp_where_the_peer_refuses_it_without(stage: Stage) -> None:
    """What was refused is not tried again: the next interval begins with the form that was taken."""
    call, answer = received(stage, BY_UPDATE, formats="8 101")
    was = Audio.read(answer.body)
    bare = refresh(call, "UPDATE")
    assert bare.body == b""
    call.answer(bare, 488)
    row = in_a_row(stage.stack)
    for _ in range(2 * row):
        request = refresh(call, "UPDATE" if row == 1 else "INVITE")
        assert Audio.read(request.body).unchanged == was.unchanged
        agree(call, request, "8 101")
    stage.edge.record(call.call_id, refreshes=str(2 * row))
    assert call.bye().status == 200


@together.test("UAC-7.2-16", "DEF-2-03", "UAC-7.2-17")
def test_refresh_of_the_peer_moves_the_deadline_of_ours(stage: Stage) -> None:
    """Where we are the refresher and the peer refreshes too, ours may come sooner but not later."""
    call, _ = received(stage, BY_UPDATE)
    stage.companion.session(call.call_id, lambda seen: seen["due"] < HALF / 2)
    call.ask("UPDATE", "Supported: timer", f"Session-Expires: {INTERVAL};refresher=uas")
    keep(call, "UPDATE", 1)
    theirs, ours = stage.observed(call).refreshes
    assert theirs.request.source.address == call.agent.address
    assert theirs.response is not None
    assert ours.request.time - theirs.response.time <= HALF + LATE
    stage.companion.session(call.call_id, lambda seen: seen["refreshes"] == 2)
    assert call.bye().status == 200
