"""Nobody refreshes a call between two ends with timers of their own: its record goes, perhaps the call."""

from __future__ import annotations

import secrets

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Peer
from tests.lab.waiting import wait_until

INTERVAL = 4


def connected(peer: Peer, domain: str) -> tuple[Call, Call]:
    """A call through the proxy with a session interval of four seconds; both ends."""
    user = f"expiry{secrets.token_hex(4)}"
    caller = peer(46).call(peer(49).reachable(user))
    caller.local = f"<sip:carrier@{domain}>"
    caller.invite("Supported: timer", f"Session-Expires: {INTERVAL}")
    callee, invite = peer(49).called(user)
    callee.accept(invite, "Supported: timer", "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    caller.ack(caller.final(1))
    callee.expect("ACK")
    return caller, callee


@pytest.mark.requirement("PRX-8.3-01", "PRX-8.3-03")
def test_an_expired_proxied_call_loses_its_record_and_gets_no_bye(
    peer: Peer, edge: Kamailio, wire: Wire
) -> None:
    caller, callee = connected(peer, "carrier.example")
    edge.record(caller.call_id, interval=str(INTERVAL), peer="passing")
    wait_until(lambda: not edge.record_texts(caller.call_id), INTERVAL + 6, "the expired record to go")
    assert not [each for each in wire.packets(caller.call_id) if each.message.method == "BYE"]
    caller.send("BYE")
    callee.accept(callee.expect("BYE"))


def test_where_the_operator_chose_it_both_sides_get_bye(peer: Peer, edge: Kamailio) -> None:
    caller, callee = connected(peer, "ended.example")
    edge.record(caller.call_id, interval=str(INTERVAL), peer="passing-ended")
    # An answer to the first BYE that comes at once frees the dialog before Kamailio has sent the second.
    ends = [(end, end.expect("BYE", timeout=INTERVAL + 6)) for end in (caller, callee)]
    for end, bye in ends:
        end.accept(bye)
    assert not edge.record_texts(caller.call_id)
