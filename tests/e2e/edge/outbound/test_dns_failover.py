"""A name with several addresses: the next one is tried by tm itself, without a branch route."""

from __future__ import annotations

import secrets

import pytest
from session_timer import Agreement, Outcome, Side

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Peer
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.told import told

pytestmark = pytest.mark.smoke

TIMER = ("Supported: timer", "Require: timer", "Session-Expires: 1800;refresher=uac")
FIRST, SECOND = 41, 48
"""The last numbers of the addresses, in the order of their priority."""


@pytest.fixture
def trunk(edge: Kamailio, stack: Stack) -> str:
    """The name of a trunk with two addresses; it is known to this edge only."""
    name = f"t{secrets.token_hex(4)}.test"
    for order, host in enumerate((FIRST, SECOND), 1):
        edge.rpc("dns.add_a", f"a{host}.{name}", 600, stack.address(host), 0)
        edge.rpc("dns.add_srv", f"_sip._udp.{name}", 600, order, 1, 5060, f"a{host}.{name}", 0)
    return name


def failed_over(stack: Stack, peer: Peer, trunk: str) -> tuple[Call, SipMessage]:
    """A call of Asterisk's to the trunk, which its first address refuses with 503."""
    user = f"dns{secrets.token_hex(4)}"
    stack.place_call(f"sip:{user}@{trunk}")
    refusing, invite = peer(FIRST).called(user)
    refusing.answer(invite, 503)
    return peer(SECOND).called(user)


def test_the_timer_is_negotiated_with_whoever_answers(
    peer: Peer, stack: Stack, edge: Kamailio, wire: Wire, trunk: str
) -> None:
    call, invite = failed_over(stack, peer, trunk)
    assert invite.rows("Session-Expires") == ("1800",)
    call.accept(invite, *TIMER)
    call.expect("ACK")
    answer = wire.reached_asterisk(call.call_id, 200)
    assert answer.rows("Session-Expires") == ()
    assert told(answer).agreement == Agreement(1800, Side.LOCAL)
    edge.record(call.call_id, interval="1800", refresher="local", on_path="1")
    asterisk_orders.update(stack, call)
    call.accept(call.expect("UPDATE"), *TIMER)
    edge.ended(call.call_id, Side.LOCAL, Outcome.ANSWERED)
    assert call.bye().status == 200


def test_a_422_of_the_second_address_is_retried_there(
    peer: Peer, stack: Stack, edge: Kamailio, trunk: str
) -> None:
    call, invite = failed_over(stack, peer, trunk)
    call.answer(invite, 422, "Min-SE: 2400")
    refusing, again = peer(FIRST).called((invite.request_uri or "").partition(":")[2].partition("@")[0])
    assert again.rows("Min-SE") == ("2400",)
    refusing.answer(again, 503)
    again = call.expect("INVITE")
    assert again.rows("Session-Expires") == ("2400",)
    call.accept(again, "Supported: timer", "Require: timer", "Session-Expires: 2400;refresher=uac")
    call.expect("ACK")
    edge.record(call.call_id, interval="2400", refresher="local")
    assert call.bye().status == 200
