"""What RFC 4028 leans on and we leave to Asterisk: seen on the wire, through the edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from e2e import asterisk_orders
from e2e.observed_edge import Kamailio, Wire
from e2e.user_agent import Call, Peer, sdp
from lab.sip import SipMessage
from lab.stack import Stack

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
AGREED = ("Require: timer", "Session-Expires: 1800;refresher=uac")

Order = Callable[[Call, str], SipMessage]


@pytest.fixture
def order(stack: Stack) -> Order:
    """Make Asterisk send UPDATE without SDP, or a re-INVITE; gives it as it comes in at the peer."""

    def send(call: Call, method: str) -> SipMessage:
        if method == "UPDATE":
            asterisk_orders.update(stack, call)
        else:
            asterisk_orders.refresh_with_offer(stack, call, method)
        return call.expect(method)

    return send


def origin(message: SipMessage) -> bytes:
    """The o= line of its SDP."""
    (line,) = [row for row in message.body.splitlines() if row.startswith(b"o=")]
    return line


@pytest.fixture
def call(peer: Peer) -> Call:
    """An answered call that Asterisk refreshes."""
    made = peer(41).call()
    made.dial(*TIMER)
    return made


@pytest.mark.requirement("UAC-7.4-21", "S61-14.2-03")
def test_unchanged_offer_gets_the_unchanged_answer(peer: Peer) -> None:
    call = peer(41).call()
    first = call.dial(*TIMER)
    again = call.ask("INVITE", *TIMER, body=sdp(call.agent.address))
    assert again.status == 200
    assert origin(again) == origin(first)
    call.bye()


@pytest.mark.requirement("UPD-5.2-04", "UPD-5.2-05")
def test_update_with_an_unchanged_offer_is_answered(call: Call) -> None:
    answer = call.ask("UPDATE", *TIMER, body=sdp(call.agent.address))
    assert answer.status == 200
    assert b"m=audio" in answer.body
    call.bye()


@pytest.mark.requirement("UPD-5.2-02")
def test_update_with_an_offer_against_asterisks_own_is_answered_491(call: Call, order: Order) -> None:
    pending = order(call, "INVITE")
    assert call.ask("UPDATE", *TIMER, body=sdp(call.agent.address, version=2)).status == 491
    call.accept(pending, *AGREED)
    call.expect("ACK")
    call.bye()


@pytest.mark.requirement("RI-3.5-01", "S61-14.1-02")
def test_updates_without_offer_may_cross(call: Call, order: Order, edge: Kamailio) -> None:
    pending = order(call, "UPDATE")
    assert call.ask("UPDATE", *TIMER).status == 200
    call.accept(pending, *AGREED)
    record = edge.record(call.call_id, refreshes="2", interval="1800")
    assert record["refresher"] == "local", "both transactions name the same end"
    call.bye()


@pytest.mark.requirement("S61-12.2.1.2-02")
def test_2xx_moves_the_target(call: Call, order: Order) -> None:
    request = order(call, "UPDATE")
    call.user = "moved"
    call.accept(request, *AGREED)
    following = order(call, "UPDATE")
    assert (following.request_uri or "").startswith("sip:moved@")
    call.accept(following, *AGREED)
    call.bye()


def test_provisional_answer_does_not_move_the_target(call: Call, order: Order, wire: Wire) -> None:
    pending = order(call, "INVITE")
    call.user = "moved"
    call.answer(pending, 183)
    wire.reached_asterisk(call.call_id, 183)
    call.user = "carrier"
    call.accept(pending, *AGREED)
    assert (call.expect("ACK").request_uri or "").startswith("sip:carrier@")
    call.bye()


@pytest.mark.requirement("S61-15-01")
def test_no_bye_before_the_ack(peer: Peer, stack: Stack, wire: Wire) -> None:
    call = peer(41).call()
    answer = call.final(call.invite(*TIMER))
    asterisk_orders.hang_up(stack, call)
    assert not [each for each in wire.packets(call.call_id) if each.message.is_request("BYE")]
    call.ack(answer)
    call.accept(call.expect("BYE"))
