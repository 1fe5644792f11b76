"""An outsider knows a call's Call-ID, not its tags: it neither moves, ends, refuses nor prolongs the call."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import ALLOW, Call, Peer, sdp
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

STRANGERS = (40, 49)
"""Last numbers of addresses: one that no profile names, and one with another profile than the victim."""
TINY = ("Supported: timer", "Session-Expires: 3;refresher=uas")
HUGE = ("Supported: timer", "Session-Expires: 4294967295;refresher=uac", "Min-SE: 4294967295")
FORGED = 'X-Session-Timer: 5;refresher=local;allow=INVITE;rpc="udp:198.18.99.99:1";v=1'


@dataclass(frozen=True, slots=True)
class Victim:
    """A call with a session timer, and all that the edge keeps of it."""

    call: Call
    edge: Kamailio
    kept: dict[str, str]

    def is_untouched(self) -> None:
        """The record is what it was, there is no other, and the timer is refreshed as before."""
        assert self.edge.record_texts(self.call.call_id) == self.kept
        answer = self.call.ask("UPDATE", "Supported: timer", "Session-Expires: 1800;refresher=uac")
        assert (answer.status, answer.rows("Session-Expires")) == (200, ("1800;refresher=uac",))
        self.edge.record(self.call.call_id, refreshes="1", interval="1800", refresher="remote")


@pytest.fixture
def victim(peer: Peer, edge: Kamailio) -> Iterator[Victim]:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    edge.record(call.call_id, interval="1800", refresher="remote")
    yield Victim(call, edge, edge.record_texts(call.call_id))
    assert call.bye().status == 200


def stranger(peer: Peer, victim: Call, host: int, tags: tuple[str, str]) -> Call:
    """The same Call-ID from elsewhere, within a dialog of these tags."""
    return Call(
        agent=peer(host),
        call_id=victim.call_id,
        local=victim.local,
        remote=victim.remote,
        target=victim.target,
        local_tag=tags[0],
        remote_tag=tags[1],
        routes=victim.routes,
        cseq=itertools.count(5000),
    )


@pytest.mark.requirement("SEC-11-01")
@pytest.mark.parametrize("host", STRANGERS)
def test_requests_with_guessed_tags(peer: Peer, victim: Victim, host: int) -> None:
    call = victim.call
    ours, theirs = call.local_tag, call.remote_tag or ""
    for tags in ((ours, "guess"), ("guess", theirs), ("guess", "guess"), (theirs, theirs), (ours, ours)):
        outsider = stranger(peer, call, host, tags)
        for method, rows in (
            ("UPDATE", TINY),
            ("UPDATE", HUGE),
            ("INVITE", HUGE),
            ("UPDATE", (FORGED,)),
            ("BYE", HUGE),
        ):
            body = sdp(outsider.agent.address) if method == "INVITE" else ""
            answer = outsider.final(outsider.send(method, ALLOW, *rows, body=body))
            assert answer.status == (422 if rows is TINY else 481), (tags, method, rows)
            assert answer.rows("X-Session-Timer") == ()
    victim.is_untouched()


@pytest.mark.parametrize("host", STRANGERS)
def test_a_new_call_under_the_same_call_id(peer: Peer, victim: Victim, edge: Kamailio, host: int) -> None:
    """Whatever comes of it has tags, and with them a record, of its own."""
    call = victim.call
    outsider = stranger(peer, call, host, (secrets.token_hex(5), ""))
    outsider.remote_tag, outsider.routes, outsider.target = None, [], outsider.agent.call().target
    answer = outsider.final(outsider.invite("Supported: timer", "Session-Expires: 100;refresher=uac"))
    if answer.status == 200:
        outsider.ack(answer)
        assert set(edge.record_texts(call.call_id)) - set(victim.kept)
        outsider.bye()
    victim.is_untouched()


@pytest.mark.smoke
@pytest.mark.parametrize("host", STRANGERS)
@pytest.mark.parametrize("code", [200, 422])
def test_an_answer_to_nothing(
    peer: Peer, victim: Victim, wire: Wire, stack: Stack, edge: Kamailio, host: int, code: int
) -> None:
    """Even one with the right tags: it belongs to no transaction, and what it forges goes no further."""
    call, learned = victim.call, edge.rpc("htable.dump", "session_timer_min_se")["result"]
    mark = secrets.token_hex(6)
    for first, second in ((call.local_tag, call.remote_tag), (call.remote_tag, call.local_tag)):
        rows = (
            f"SIP/2.0 {code} Forged",
            f"Via: SIP/2.0/UDP {stack.edge};branch=z9hG4bK{mark}.0",
            f"Via: SIP/2.0/UDP {stack.asterisk}:5060;branch=z9hG4bKPj{mark}",
            f"From: <sip:a@{stack.edge}>;tag={first}",
            f"To: <sip:b@{stack.edge}>;tag={second}",
            f"Call-ID: {call.call_id}",
            "CSeq: 7 INVITE",
            f"Contact: <sip:x@{stack.address(host)}>",
            "Session-Expires: 4294967295;refresher=uas",
            "Min-SE: 4294967295",
            "Require: timer",
            FORGED,
            f"X-Mark: {mark}",
            "Content-Length: 0",
        )
        _send(peer(host).sockets, stack, host, rows)
    victim.is_untouched()
    assert edge.rpc("htable.dump", "session_timer_min_se")["result"] == learned
    passed = wait_until(
        lambda: [each for each in wire.to_asterisk(call.call_id) if each.header("X-Mark") == mark],
        PATIENCE,
        "both to be relayed",
        holds=lambda seen: len(seen) == 2,
    )
    assert [each.rows("X-Session-Timer") for each in passed] == [(), ()]


@pytest.mark.requirement("SEC-11-01")
def test_what_a_strangers_call_teaches_holds_for_itself(peer: Peer, victim: Victim, edge: Kamailio) -> None:
    outsider = peer(40).call()
    answer = outsider.final(outsider.invite(*TINY))
    assert (answer.status, answer.rows("Min-SE")) == (422, ("90",))
    accepted = outsider.ask("INVITE", ALLOW, *HUGE, FORGED, body=sdp(outsider.agent.address))
    assert accepted.status == 200
    assert accepted.rows("X-Session-Timer") == ()
    edge.record(outsider.call_id, peer="")
    assert outsider.bye().status == 200
    victim.is_untouched()


def _send(sockets: LabSockets, stack: Stack, host: int, rows: tuple[str, ...]) -> None:
    sockets.send((stack.address(host), 5060), (stack.edge, 5060), ("\r\n".join(rows) + "\r\n\r\n").encode())
