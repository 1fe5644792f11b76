"""Asterisk calls a carrier: what the edge asks for on its behalf, and what a 422 makes of it."""

from __future__ import annotations

import pytest

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import INTERNAL
from tests.lab.peers.user_agent import Call, Originate, Peer
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack

pytestmark = pytest.mark.usefixtures("nothing_learned")

TIMER = ("Supported: timer", "Require: timer")


def finish(call: Call, invite: SipMessage) -> None:
    """Answer with what was asked for, and end the call."""
    call.accept(invite, *TIMER, f"Session-Expires: {invite.interval};refresher=uac")
    call.expect("ACK")
    call.bye()


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.1-01", "UAC-7.1-05", "UAC-7.1-08", "UAC-7.1-11", "SE-4-04", "SE-4-06")
def test_invite_asks_for_a_timer_and_leaves_the_refresher_open(
    peer: Peer, originate: Originate, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    assert invite.rows("Session-Expires") == ("1800",)
    assert invite.rows("Min-SE") == ()
    assert len(invite.rows("Supported")) == 1
    assert "timer" in invite.tokens("Supported")
    assert invite.rows("Require") == ()
    assert invite.rows("Proxy-Require") == ()
    assert invite.rows(INTERNAL) == ()
    (asterisks,) = [each for each in wire.from_asterisk(call.call_id) if each.is_request("INVITE")]
    assert invite.tokens("Supported") == asterisks.tokens("Supported") | {"timer"}
    finish(call, invite)


@pytest.mark.requirement("UAC-7.1-07", "UAC-7.1-09")
def test_profile_with_a_minimum_says_it(peer: Peer, originate: Originate) -> None:
    call, invite = originate(peer(48))
    assert invite.rows("Session-Expires") == ("1800",)
    assert invite.rows("Min-SE") == ("300",)
    finish(call, invite)


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.1-01")
def test_every_request_but_ack_says_supported(peer: Peer, originate: Originate, stack: Stack) -> None:
    call, invite = originate(peer(41))
    call.accept(invite, *TIMER, "Session-Expires: 1800;refresher=uas")
    ack = call.expect("ACK")
    assert "timer" not in ack.tokens("Supported")
    asterisk_orders.hang_up(stack, call)
    bye = call.expect("BYE")
    assert "timer" in bye.tokens("Supported")
    assert bye.rows("Session-Expires") == ()
    call.accept(bye)


def refuse(call: Call, invite: SipMessage, min_se: int) -> SipMessage:
    """Answer 422 and wait for the next try."""
    call.answer(invite, 422, f"Min-SE: {min_se}", "Supported: timer")
    call.expect("ACK")
    return call.expect("INVITE")


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.3-01", "UAC-7.3-02", "UAC-7.4-03", "UAC-7.1-09", "DEF-2-04")
def test_422_is_retried_within_the_same_call(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire
) -> None:
    received, retried = edge.counter("422_received"), edge.counter("422_retried")
    call, first = originate(peer(49))
    second = refuse(call, first, 3600)
    assert second.rows("Session-Expires") == ("3600",)
    assert second.rows("Min-SE") == ("3600",)
    assert len(second.rows("Supported")) == 1
    for header in ("Call-ID", "From", "To", "Contact"):
        assert second.header(header) == first.header(header)
    assert second.request_uri == first.request_uri
    assert second.header("Via") != first.header("Via")
    assert second.body == first.body
    assert edge.counter("422_received") == received + 1
    assert edge.counter("422_retried") == retried + 1
    call.accept(second, *TIMER, "Session-Expires: 3600;refresher=uas")
    call.expect("ACK")
    edge.record(call.call_id, interval="3600", refresher="remote")
    assert not [each for each in wire.to_asterisk(call.call_id) if each.status == 422]
    call.bye()


@pytest.mark.requirement("UAC-7.4-05", "UAC-7.4-06")
def test_422_is_retried_again_where_the_minimum_grows(
    peer: Peer, originate: Originate, edge: Kamailio
) -> None:
    call, first = originate(peer(49))
    third = refuse(call, refuse(call, first, 3600), 4000)
    assert third.rows("Session-Expires") == ("4000",)
    assert third.rows("Min-SE") == ("4000",)
    call.accept(third, *TIMER, "Session-Expires: 4000;refresher=uac")
    call.expect("ACK")
    record = edge.record(call.call_id, interval="4000", refresher="local")
    assert record["min_se"] == "0", "what was told before the dialog is forgotten with it"
    call.bye()


@pytest.mark.requirement("UAC-7.3-01", "REF-10-06")
@pytest.mark.parametrize("min_se", [[], ["Min-SE: much"], ["Min-SE: 1e9"]])
def test_422_that_teaches_nothing_ends_the_call(
    peer: Peer, originate: Originate, wire: Wire, edge: Kamailio, min_se: list[str]
) -> None:
    faults = edge.counter("faults")
    call, invite = originate(peer(49))
    call.answer(invite, 422, *min_se)
    call.expect("ACK")
    assert wire.reached_asterisk(call.call_id, 422).status == 422
    assert len(wire.requests(call.agent.address, call.call_id, "INVITE")) == 1
    assert edge.record_texts(call.call_id) == {}
    assert edge.counter("faults") == faults


@pytest.mark.requirement("REF-10-06")
def test_minimum_that_is_met_already_is_not_retried_again(
    peer: Peer, originate: Originate, wire: Wire
) -> None:
    call, first = originate(peer(49))
    second = refuse(call, first, 1800)
    assert second.rows("Session-Expires") == ("1800",)
    assert second.rows("Min-SE") == ("1800",), "a proxy may have reduced the interval of the first"
    call.answer(second, 422, "Min-SE: 1800")
    call.expect("ACK")
    wire.reached_asterisk(call.call_id, 422)
    assert len(wire.requests(call.agent.address, call.call_id, "INVITE")) == 2


@pytest.mark.requirement("REF-10-06")
def test_ever_growing_minimum_is_no_endless_loop(peer: Peer, originate: Originate, wire: Wire) -> None:
    call, invite = originate(peer(49))
    for number in range(5):
        invite = refuse(call, invite, 2000 + number)
    call.answer(invite, 422, "Min-SE: 3000")
    call.expect("ACK")
    wire.reached_asterisk(call.call_id, 422)
    assert len(wire.requests(call.agent.address, call.call_id, "INVITE")) == 6


@pytest.mark.requirement("UAC-7.4-07")
def test_minimum_is_remembered_for_the_next_call_to_the_same_place(peer: Peer, originate: Originate) -> None:
    call, first = originate(peer(49))
    finish(call, refuse(call, first, 2222))
    call, invite = originate(peer(49))
    assert invite.rows("Session-Expires") == ("2222",)
    assert invite.rows("Min-SE") == ("2222",)
    finish(call, invite)
    call, elsewhere = originate(peer(40))
    assert elsewhere.rows("Session-Expires") == ("1800",)
    finish(call, elsewhere)


def test_busy_callee_leaves_no_record(peer: Peer, originate: Originate, edge: Kamailio, wire: Wire) -> None:
    call, invite = originate(peer(41))
    call.answer(invite, 486)
    call.expect("ACK")
    wire.reached_asterisk(call.call_id, 486)
    assert edge.record_texts(call.call_id) == {}


def test_cancelled_call_leaves_no_record(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire, stack: Stack
) -> None:
    call, invite = originate(peer(41))
    call.answer(invite, 180)
    wire.reached_asterisk(call.call_id, 180)
    asterisk_orders.hang_up(stack, call)
    cancel = call.expect("CANCEL")
    assert cancel.rows("Session-Expires") == ()
    call.answer(cancel, 200)
    call.answer(invite, 487)
    call.expect("ACK")
    assert edge.record_texts(call.call_id) == {}


def test_cancel_after_422_reaches_the_second_try(
    peer: Peer, originate: Originate, stack: Stack, wire: Wire
) -> None:
    call, first = originate(peer(49))
    second = refuse(call, first, 3000)
    call.answer(second, 180)
    wire.reached_asterisk(call.call_id, 180)
    asterisk_orders.hang_up(stack, call)
    cancel = call.expect("CANCEL")
    assert cancel.header("Via") == second.header("Via")
    call.answer(cancel, 200)
    call.answer(second, 487)
    call.expect("ACK")
