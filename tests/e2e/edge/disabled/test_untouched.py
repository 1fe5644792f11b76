"""A peer whose profile is off: what passes is as if we were not there."""

from __future__ import annotations

import pytest

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Originate, Peer
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack

pytestmark = pytest.mark.smoke

# What any relaying Kamailio changes: its own hop.
HOP = ("Via", "Record-Route", "Route", "Max-Forwards")
SPEAKING = (
    "Session-Expires: 60;refresher=uac",
    "Min-SE: 3",
    "Supported: timer, path",
    "k: 100rel",
    "Require: timer",
    "Proxy-Require: timer",
)


def beyond_the_hop(message: SipMessage) -> tuple[str, str, tuple[tuple[str, str], ...], bytes]:
    """All of a message that is not of the hop, in order; the Request-URI is the script's to choose."""
    rows = tuple(row for row in message.headers if row[0] not in HOP)
    return message.method, message.reason, rows, message.body


def both_sides(wire: Wire, call: Call, start: str, way: tuple[str, str, str]) -> list[SipMessage]:
    """A message before the edge and behind it; ``way`` is sender, edge and receiver."""
    return [
        next(
            each.message
            for each in wire.packets(call.call_id)
            if (each.source.address, each.destination.address) == leg
            and each.message.start_line.startswith(start)
        )
        for leg in ((way[0], way[1]), (way[1], way[2]))
    ]


def test_call_of_the_peer(peer: Peer, wire: Wire, edge: Kamailio, stack: Stack) -> None:
    call = peer(47).call()
    out = (call.agent.address, stack.edge, stack.asterisk)
    back = (stack.asterisk, stack.edge, call.agent.address)
    answer = call.dial(*SPEAKING)
    assert answer.rows("Session-Expires") == ()
    assert call.ask("UPDATE", *SPEAKING).status == 200
    assert call.ask("OPTIONS", *SPEAKING).status == 200
    assert edge.record_texts(call.call_id) == {}
    assert call.bye(*SPEAKING).status == 200
    for start in ("INVITE", "ACK", "UPDATE", "OPTIONS", "BYE"):
        before, behind = both_sides(wire, call, start, out)
        assert beyond_the_hop(behind) == beyond_the_hop(before)
    before, behind = both_sides(wire, call, "SIP/2.0 200", back)
    assert beyond_the_hop(behind) == beyond_the_hop(before)


def test_call_to_the_peer(peer: Peer, originate: Originate, wire: Wire, edge: Kamailio, stack: Stack) -> None:
    call, invite = originate(peer(47))
    out = (stack.asterisk, stack.edge, call.agent.address)
    back = (call.agent.address, stack.edge, stack.asterisk)
    assert "timer" not in invite.tokens("Supported")
    call.answer(invite, 180, "Session-Expires: 5")
    wire.reached_asterisk(call.call_id, 180)  # a 200 may overtake it in the edge, which then drops it
    call.accept(invite, "Require: timer", "Session-Expires: 5;refresher=uac", "Min-SE: 1")
    call.expect("ACK")
    wire.reached_asterisk(call.call_id, 200)
    assert edge.record_texts(call.call_id) == {}
    asterisk_orders.hang_up(stack, call)
    call.accept(call.expect("BYE"))
    for start in ("INVITE", "ACK", "BYE"):
        before, behind = both_sides(wire, call, start, out)
        assert beyond_the_hop(behind) == beyond_the_hop(before)
    for start in ("SIP/2.0 180", "SIP/2.0 200"):
        before, behind = both_sides(wire, call, start, back)
        assert beyond_the_hop(behind) == beyond_the_hop(before)


def test_422_of_the_far_side_is_asterisks_to_see(peer: Peer, originate: Originate, wire: Wire) -> None:
    call, invite = originate(peer(47))
    call.answer(invite, 422, "Min-SE: 3600")
    call.expect("ACK")
    assert wire.reached_asterisk(call.call_id, 422).rows("Min-SE") == ("3600",)
