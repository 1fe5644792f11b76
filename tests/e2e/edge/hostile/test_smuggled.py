"""Nobody outside speaks to our companion in the internal header, in whatever spelling.

Kamailio takes a CR without LF for a part of the value, Asterisk's parser for the end of the row: what hides
behind one would reach Asterisk, and the companion would ask whatever address stands there.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Originate, Peer
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.waiting import wait_until

INTERNAL = "x-session-timer"
UNPARSABLE = "Retry-After: soon"
"""Kamailio gives up on the headers of an answer that has this row."""
SPELLINGS = (
    "X-Session-Timer: {value}",
    "x-SESSION-timer \t: {value}",
    "X-Session-Timer:\r\n {value}",
    "X-Other: 1\rX-Session-Timer: {value}",
    "X-Other: 1\nX-Session-Timer: {value}",
    "X-Other: 1\r\r\nX-Session-Timer: {value}",
    "X-Session-Timer: {value}\rX-Session-Timer: {value}",
    "X-Other: 1\rX-Session-Timer: {value}\r\nX-Session-Timer: {value}",
    "X-Other: 1\rX-Session-Timer\r\n : {value}",
)

FOLDED_NAME = "X-Session-Timer\r\n : {value}"
"""Kamailio gives up on the headers for it; Asterisk's parser takes it."""
GIANT = "X-Padding: \udcff" + "a" * 33_000
"""One byte that is no UTF-8, in a message that is read in more than one piece for it."""
TOO_LARGE = "read message too large"


def forged(call: Call) -> str:
    """What an outsider wants the companion to believe."""
    return f'5;refresher=remote;allow=INVITE;rpc="udp:{call.agent.address}:7099";v=1'


def drops_giants(call: Call, edge: Kamailio) -> bool:
    """From 6.0 on Kamailio does, unless told otherwise as in the lab's own kamailio.cfg."""
    return call.agent.stock and edge.version >= (6, 0)


def as_asterisk_reads(message: SipMessage) -> list[str]:
    """The values of the internal header, a row being ended by a lone CR too."""
    found = []
    for name, value in message.headers:
        for row in f"{name}: {value}".split("\r"):
            head, _, rest = row.partition(":")
            if head.strip().lower() == INTERNAL:
                found.append(rest.strip())
    return found


@pytest.mark.smoke
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_in_a_request(peer: Peer, wire: Wire, stack_rpc: str, spelling: str) -> None:
    call = peer(41).call()
    answer = call.dial("Supported: timer", spelling.format(value=forged(call)))
    assert as_asterisk_reads(answer) == []
    expected = f'1800;refresher=remote;allow=UPDATE;rpc="{stack_rpc}";peer="strict";v=1'
    relayed = wire.reached_asterisk(call.call_id, "INVITE")
    assert as_asterisk_reads(relayed) == [expected]
    assert relayed.rows("Content-Type") == ("application/sdp",), "what stands behind it stays whole"
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_in_an_answer(peer: Peer, originate: Originate, wire: Wire, stack_rpc: str, spelling: str) -> None:
    call, invite = originate(peer(41))
    row = spelling.format(value=forged(call))
    timer = ("Session-Expires: 1800;refresher=uas", "Require: timer")
    call.answer(invite, 180, row)
    assert as_asterisk_reads(wire.reached_asterisk(call.call_id, 180)) == []
    call.accept(invite, *timer, row)
    expected = f'1800;refresher=remote;allow=UPDATE;rpc="{stack_rpc}";peer="strict";v=1'
    relayed = wire.reached_asterisk(call.call_id, 200)
    assert as_asterisk_reads(relayed) == [expected]
    assert relayed.rows("Content-Type") == ("application/sdp",), "what stands behind it stays whole"
    call.expect("ACK")
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("spelling", [SPELLINGS[each] for each in (0, 3, 6, 7)])
def test_in_a_giant_request_that_is_no_utf_8(
    peer: Peer, edge: Kamailio, wire: Wire, stack: Stack, stack_rpc: str, spelling: str
) -> None:
    begun = datetime.now(UTC).isoformat()
    call = peer(41).call()
    if drops_giants(call, edge):
        call.invite(GIANT, spelling.format(value=forged(call)))
        wait_until(lambda: TOO_LARGE in stack.logs("edge", since=begun), 8, "the request to be dropped")
        return
    call.dial("Supported: timer", GIANT, spelling.format(value=forged(call)))
    expected = f'1800;refresher=remote;allow=UPDATE;rpc="{stack_rpc}";peer="strict";v=1'
    assert as_asterisk_reads(wire.reached_asterisk(call.call_id, "INVITE")) == [expected]
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("spelling", [SPELLINGS[each] for each in (0, 3, 6, 7)])
def test_in_a_giant_answer_that_is_no_utf_8(
    peer: Peer,
    originate: Originate,
    edge: Kamailio,
    wire: Wire,
    stack: Stack,
    stack_rpc: str,
    spelling: str,
) -> None:
    begun = datetime.now(UTC).isoformat()
    call, invite = originate(peer(41))
    row = spelling.format(value=forged(call))
    if drops_giants(call, edge):
        call.accept(invite, GIANT, row)
        wait_until(lambda: TOO_LARGE in stack.logs("edge", since=begun), 8, "the answer to be dropped")
        call.accept(invite)
        call.expect("ACK")
        assert call.bye().status == 200
        return
    call.answer(invite, 180, GIANT, row)
    assert as_asterisk_reads(wire.reached_asterisk(call.call_id, 180)) == []
    call.accept(invite, "Session-Expires: 1800;refresher=uas", "Require: timer", GIANT, row)
    expected = f'1800;refresher=remote;allow=UPDATE;rpc="{stack_rpc}";peer="strict";v=1'
    assert as_asterisk_reads(wire.reached_asterisk(call.call_id, 200)) == [expected]
    call.expect("ACK")
    assert call.bye().status == 200


@pytest.mark.parametrize("spelling", [FOLDED_NAME, *(SPELLINGS[each] for each in (0, 2, 3, 7, 8))])
def test_in_an_answer_that_kamailio_cannot_parse(
    peer: Peer, originate: Originate, wire: Wire, stack: Stack, spelling: str
) -> None:
    """It is relayed as it came; Asterisk cannot parse it either, and gives the call up after a while.

    The stock kamailio.cfg relays no such answer: the call waits for another.
    """
    begun = datetime.now(UTC).isoformat()
    call, invite = originate(peer(41))
    call.accept(invite, spelling.format(value=forged(call)), UNPARSABLE)
    if call.agent.stock:
        dropped = f"Malformed SIP response from {call.agent.address}:"
        wait_until(lambda: dropped in stack.logs("edge", since=begun), 8, "the answer to be dropped")
        call.accept(invite)
        call.expect("ACK")
        (answer,) = [each for each in wire.to_asterisk(call.call_id) if each.status == 200]
        assert answer.rows(UNPARSABLE.partition(":")[0]) == ()
        assert call.bye().status == 200
    else:
        assert as_asterisk_reads(wire.reached_asterisk(call.call_id, 200)) == []
