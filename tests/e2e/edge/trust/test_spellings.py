"""Nobody outside speaks in the internal header, in whatever spelling. Asterisk says what it read."""

from __future__ import annotations

import pytest

from tests.e2e.edge.trust.spellings import SPELLINGS, Asterisk, Edge, Spelling
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Call, Originate, Peer, UserAgent
from tests.lab.stack import Stack
from tests.lab.told import INTERNAL, is_ours
from tests.lab.waiting import PATIENCE, wait_until

NAMED = [pytest.param(spelling, id=name) for name, spelling in SPELLINGS.items()]
STRAIGHT = 46
"""The last number of the address that calls Asterisk past the edge."""


def forged(call: Call) -> str:
    """What an outsider wants the companion to believe."""
    return f"5;refresher=remote;allow=INVITE;edge=edge;peer={call.agent.address};v=2;sig={'0' * 32}"


def asterisk_read(stack: Stack, call_id: str, function: str) -> str:
    """What Asterisk's dialplan finds in the header's first row, in a call that is up."""
    name = wait_until(lambda: stack.channels().get(call_id), PATIENCE, f"a channel for {call_id}")
    assert name is not None
    (reply,) = stack.ami("Getvar", Channel=name, Variable=f"{function}(read,{INTERNAL})")
    return reply.get("Value", "")


@pytest.fixture
def straight(stack: Stack, sockets: LabSockets, wire: Wire) -> UserAgent:
    """A user agent that talks to Asterisk itself: what its parser reads shows here."""
    return UserAgent(sockets, stack.address(STRAIGHT), stack.asterisk, wire)


@pytest.mark.parametrize("spelling", NAMED)
def test_what_asterisk_reads_of_it(straight: UserAgent, stack: Stack, spelling: Spelling) -> None:
    """Else a row in the list would show nothing."""
    call = straight.call(f"sip:wait@{stack.asterisk}")
    call.local = f"<sip:direct@{call.agent.address}>"
    number = call.invite(spelling.row.format(value=forged(call)))
    if spelling.asterisk is Asterisk.DROPS:
        other = straight.call(f"sip:{stack.asterisk}")
        other.local = call.local
        assert other.final(other.send("OPTIONS")).status in (200, 404)  # behind the INVITE
        assert call.call_id not in stack.channels()
        return
    answer = call.final(number)
    assert answer.status == 200
    call.establish(answer)
    call.send("ACK", cseq=answer.cseq[0])
    expected = forged(call) if spelling.asterisk is Asterisk.READS else ""
    assert asterisk_read(stack, call.call_id, "PJSIP_HEADER") == expected
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("spelling", NAMED)
def test_in_a_request(peer: Peer, edge: Kamailio, wire: Wire, stack: Stack, spelling: Spelling) -> None:
    counted = edge.counter("ambiguous")
    call = peer(41).call()
    number = call.invite("Supported: timer", spelling.row.format(value=forged(call)))
    if spelling.edge is Edge.TAKEN_OFF:
        call.ack(call.final(number))
        assert is_ours(asterisk_read(stack, call.call_id, "PJSIP_HEADER"), call.call_id)
        assert call.bye().status == 200
        return
    if spelling.edge is Edge.REFUSED:
        answer = call.final(number)
        assert answer.status == 400
        # The stock kamailio.cfg may refuse it by a check of its own, before it comes to us.
        if not call.agent.stock:
            assert answer.reason == f"Ambiguous {INTERNAL}"
            assert edge.counter("ambiguous") == counted + 1
    else:
        other = peer(41).call()
        other.dial()  # behind the INVITE
        assert other.bye().status == 200
    assert wire.to_asterisk(call.call_id) == []


@pytest.mark.smoke
@pytest.mark.parametrize("code", [180, 200])
@pytest.mark.parametrize("spelling", NAMED)
def test_in_a_response(
    peer: Peer, originate: Originate, wire: Wire, stack: Stack, spelling: Spelling, code: int
) -> None:
    call, invite = originate(peer(41))
    row = spelling.row.format(value=forged(call))
    timer = ("Session-Expires: 1800;refresher=uas", "Require: timer")
    call.accept(invite, *timer, row) if code == 200 else call.answer(invite, code, row)
    if spelling.edge is not Edge.TAKEN_OFF or code != 200:
        call.accept(invite, *timer)
    call.expect("ACK")
    assert is_ours(asterisk_read(stack, call.call_id, "PJSIP_RESPONSE_HEADER"), call.call_id)
    for message in wire.to_asterisk(call.call_id):
        assert all(is_ours(value, call.call_id) for value in message.rows(INTERNAL))
        assert spelling.edge is Edge.TAKEN_OFF or forged(call) not in str(message.headers)
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("before", ["\r\n", "\r\n\r\n"])
def test_behind_ends_of_lines(
    straight: UserAgent, peer: Peer, originate: Originate, wire: Wire, stack: Stack, before: str
) -> None:
    """Both parsers pass over ends of lines in front of a message: no head ends there."""
    call = straight.call(f"sip:wait@{stack.asterisk}")
    call.local, call.before = f"<sip:direct@{call.agent.address}>", before
    row = SPELLINGS["& behind a number"].row.format(value=forged(call))
    answer = call.final(call.invite(row))
    assert answer.status == 200
    call.establish(answer)
    call.send("ACK", cseq=answer.cseq[0])
    assert asterisk_read(stack, call.call_id, "PJSIP_HEADER") == forged(call)
    assert call.bye().status == 200
    asking = peer(41).call()
    asking.before = before
    assert asking.final(asking.invite("Supported: timer", row)).status == 400
    assert wire.to_asterisk(asking.call_id) == []
    asked, invite = originate(peer(41))
    asked.before = before
    asked.accept(invite, row)
    asked.before = ""
    asked.accept(invite)
    asked.expect("ACK")
    assert is_ours(asterisk_read(stack, asked.call_id, "PJSIP_RESPONSE_HEADER"), asked.call_id)
    assert asked.bye().status == 200


def test_a_body_that_names_it_reaches_asterisk_as_it_was_sent(peer: Peer, wire: Wire) -> None:
    """A change in the body would leave Content-Length behind, and a stream out of step."""
    call = peer(41).call()
    call.dial("Supported: timer")
    body = f"{INTERNAL}: 5\r\n a=x\ry&{INTERNAL}: 6\r\n"
    call.send("INFO", "Content-Type: text/plain", body=body)
    seen = wire.reached_asterisk(call.call_id, "INFO")
    assert seen.body == body.encode()
    assert seen.header("Content-Length") == str(len(body))
    assert call.bye().status == 200
