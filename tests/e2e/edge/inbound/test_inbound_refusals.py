"""What the edge answers itself: 422 to an interval too small, 400 to what nobody can read."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Side

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import assert_2xx
from tests.lab.peers.user_agent import Peer, UserAgent, sdp
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.told import told


def assert_422(answer: SipMessage, min_se: int) -> None:
    assert answer.start_line == "SIP/2.0 422 Session Interval Too Small"
    assert answer.rows("Min-SE") == (str(min_se),)
    assert answer.rows("Session-Expires") == ()


@pytest.mark.smoke
@pytest.mark.requirement("R422-6-01", "R422-6-02", "UAS-9-02", "UAS-9-03", "SEC-11-01")
@pytest.mark.requirement("IANA-12-01", "IANA-12-03")
def test_interval_below_the_minimum_is_refused_and_the_minimum_taken(
    peer: Peer, edge: Kamailio, wire: Wire
) -> None:
    sent = edge.counter("422_sent")
    call = peer(41).call()
    first = call.final(call.invite("Session-Expires: 89", "Supported: timer"))
    assert_422(first, 90)
    assert ("Min-SE", "90") in first.headers, "the parser knows no compact name for it"
    assert edge.counter("422_sent") == sent + 1
    assert wire.to_asterisk(call.call_id) == []
    assert_2xx(
        call.dial("Session-Expires: 90", "Min-SE: 90", "Supported: timer"), "90;refresher=uac", requires=True
    )
    call.bye()


@pytest.mark.requirement("MSE-5-05", "UAS-9-03")
def test_422_tells_our_minimum_and_not_the_callers(peer: Peer) -> None:
    call = peer(48).call()
    assert_422(call.final(call.invite("Session-Expires: 250", "Min-SE: 120", "Supported: timer")), 300)


@pytest.mark.smoke
@pytest.mark.requirement("R422-6-01", "UAS-9-02", "REF-10-02")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_422_within_the_dialog_changes_nothing(peer: Peer, edge: Kamailio, wire: Wire, method: str) -> None:
    call = peer(41).call()
    call.dial("Session-Expires: 1800", "Supported: timer")
    before = edge.record(call.call_id)
    seen = len([each for each in wire.to_asterisk(call.call_id) if each.is_request(method)])
    body = sdp(call.agent.address) if method == "INVITE" else ""
    answer = call.ask(method, "Session-Expires: 45", "Supported: timer", body=body)
    assert_422(answer, 90)
    after = edge.record(call.call_id)
    # That the peer has asked is a sign of life.
    assert ":refused:422:" in after.pop("theirs")
    assert after == before
    assert len([each for each in wire.to_asterisk(call.call_id) if each.is_request(method)]) == seen
    assert call.bye().status == 200


@pytest.mark.requirement("UAS-9-02", "UAS-9-10")
def test_without_support_nothing_is_refused_or_raised(peer: Peer) -> None:
    call = peer(48).call()
    assert_2xx(call.dial("Session-Expires: 100"), "100;refresher=uas", requires=False)
    call.bye()


@pytest.mark.requirement("R422-6-01")
def test_min_se_alone_is_never_refused(peer: Peer) -> None:
    call = peer(48).call()
    assert_2xx(call.dial("Min-SE: 95", "Supported: timer"), "1800;refresher=uac", requires=True)
    call.bye()


MALFORMED = [
    ("Session-Expires: soon", "Session-Expires"),
    ("Session-Expires: -1800", "Session-Expires"),
    ("Session-Expires: 1800.5", "Session-Expires"),
    ("Session-Expires: 1800 uac", "Session-Expires"),
    ("x: 1800;;refresher=uac", "Session-Expires"),
    ("Session-Expires: 1800;refresher=uac;Refresher=uas", "Session-Expires"),
    ("Session-Expires: 1800\r\nMin-SE: a day", "Min-SE"),
    ("Session-Expires: 1800" + ";a=b" * 100, "Session-Expires"),
]


@pytest.mark.requirement("SE-4-02", "MSE-5-06", "S61-7.3.1-02")
@pytest.mark.parametrize(("rows", "header"), MALFORMED)
def test_malformed_header_is_answered_400(
    peer: Peer, edge: Kamailio, wire: Wire, rows: str, header: str
) -> None:
    counted, faults = edge.counter("malformed"), edge.counter("faults")
    call = peer(41).call()
    answer = call.final(call.invite(rows, "Supported: timer"))
    assert answer.start_line == f"SIP/2.0 400 Malformed {header}"
    assert wire.to_asterisk(call.call_id) == []
    assert edge.counter("malformed") == counted + 1
    assert edge.counter("faults") == faults


@pytest.mark.requirement("SE-4-05", "SE-4-02")
def test_huge_interval_is_no_overflow(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    answer = call.dial(f"Session-Expires: {10**40}", "Supported: timer")
    assert_2xx(answer, "86400;refresher=uac", requires=True)
    edge.record(call.call_id, interval="86400")
    call.bye()


@pytest.mark.parametrize(
    ("rows", "interval"),
    [
        ("Session-Expires: 1800\r\nSession-Expires: 1800", 1800),
        ("Session-Expires: 1800\r\nx: 900", 900),
        ("Session-Expires: 1800\r\nMin-SE: 90\r\nMin-SE: 91", 1800),
        ("Session-Expires: 1800;", 1800),
    ],
)
def test_what_is_forbidden_and_clear_is_read_and_logged(
    peer: Peer, stack: Stack, rows: str, interval: int
) -> None:
    call = peer(41).call()
    assert_2xx(call.dial(rows, "Supported: timer"), f"{interval};refresher=uac", requires=True)
    assert stack.logged("edge", f"{call.call_id}: peer=strict defect in a request: ")
    call.bye()


def _in_dialog(agent: UserAgent, wire: Wire, method: str) -> SipMessage:
    call = agent.call()
    call.dial("Session-Expires: 1800", "Supported: timer")
    call.send(method, "X-Session-Timer: 5;refresher=remote;v=1", "x-session-TIMER: 6;v=1")
    seen = wire.reached_asterisk(call.call_id, method, 2 if method == "ACK" else 1)
    if method != "BYE":
        call.bye()
    return seen


@pytest.mark.smoke
def test_internal_header_of_an_outsider_never_reaches_asterisk(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    call.dial(
        "Session-Expires: 1800;refresher=uac",
        "Supported: timer",
        'X-Session-Timer: 5;refresher=local;allow=UPDATE;rpc="udp:198.18.99.99:1";v=1',
        "x-session-timer: 6",
    )
    assert told(wire.reached_asterisk(call.call_id, "INVITE")).agreement == Agreement(1800, Side.REMOTE)
    call.bye()


@pytest.mark.parametrize("method", ["ACK", "INFO", "BYE"])
def test_internal_header_is_taken_off_every_request(peer: Peer, wire: Wire, method: str) -> None:
    assert _in_dialog(peer(41), wire, method).rows("X-Session-Timer") == ()


def test_internal_header_is_taken_off_where_timers_are_off(peer: Peer, wire: Wire) -> None:
    call = peer(47).call()
    call.dial("Session-Expires: 1800", "Supported: timer", "X-Session-Timer: 5;refresher=local;v=1")
    assert wire.reached_asterisk(call.call_id, "INVITE").rows("X-Session-Timer") == ()
    call.bye()
