"""The edge reads all of a message that Kamailio relays, however large, whatever bytes are in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Originate, Peer
from tests.lab.stack import Stack
from tests.lab.told import INTERNAL, told
from tests.lab.waiting import PATIENCE, wait_until

GIANT = "X-Padding: \udcff" + "a" * 33_000
"""One byte that is no UTF-8, in a message that is read in more than one piece for it."""
CLEAR = "X-Session-Timer: 5;refresher=remote;v=2"
AMBIGUOUS = "Min-Expires: 5&X-Session-Timer: 5;refresher=remote;v=2"
TOO_LARGE = "read message too large"


def drops_giants(call: Call, edge: Kamailio) -> bool:
    """From 6.0 on Kamailio does, unless told otherwise as in the lab's own kamailio.cfg."""
    return call.agent.stock and edge.version >= (6, 0)


@pytest.mark.smoke
@pytest.mark.parametrize("row", [CLEAR, AMBIGUOUS])
def test_a_giant_request(peer: Peer, edge: Kamailio, wire: Wire, stack: Stack, row: str) -> None:
    begun = datetime.now(UTC).isoformat()
    call = peer(41).call()
    number = call.invite("Supported: timer", GIANT, row)
    if drops_giants(call, edge):
        wait_until(
            lambda: TOO_LARGE in stack.logs("edge", since=begun), PATIENCE, "the request to be dropped"
        )
        return
    answer = call.final(number)
    if row == AMBIGUOUS:
        assert answer.status == 400
        return
    call.ack(answer)
    assert told(wire.reached_asterisk(call.call_id, "INVITE")).agreement is not None
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("row", [CLEAR, AMBIGUOUS])
def test_a_giant_response(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire, stack: Stack, row: str
) -> None:
    begun = datetime.now(UTC).isoformat()
    call, invite = originate(peer(41))
    timer = ("Session-Expires: 1800;refresher=uas", "Require: timer")
    call.accept(invite, *timer, GIANT, row)
    if drops_giants(call, edge):
        wait_until(
            lambda: TOO_LARGE in stack.logs("edge", since=begun), PATIENCE, "the response to be dropped"
        )
        call.accept(invite)
    elif row == AMBIGUOUS:
        call.accept(invite, *timer)
    answer = wire.reached_asterisk(call.call_id, 200)
    assert len(answer.rows(INTERNAL)) == 1
    assert told(answer)
    call.expect("ACK")
    assert call.bye().status == 200


def test_a_response_that_kamailio_cannot_parse(
    peer: Peer, originate: Originate, wire: Wire, stack: Stack
) -> None:
    """It is dropped if it names our header: Kamailio would relay it as it came."""
    begun = datetime.now(UTC).isoformat()
    call, invite = originate(peer(41))
    call.accept(invite, CLEAR, "Retry-After: soon")
    why = "in a way that parsers read differently"
    wait_until(lambda: why in stack.logs("edge", since=begun), PATIENCE, "the response to be dropped")
    call.accept(invite)
    call.expect("ACK")
    (answer,) = [each for each in wire.to_asterisk(call.call_id) if each.status == 200]
    assert answer.rows("Retry-After") == ()
    assert call.bye().status == 200
