"""Messages as hard to read as RFC 4475's: the odd is understood, the malformed refused or passed over."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import ALLOW, Peer, sdp


@dataclass(frozen=True, slots=True)
class Torture:
    """Rows of a request, and what comes of them where the RFC's minimum is ours."""

    rows: tuple[str, ...]
    status: int
    expires: str = ""
    """Session-Expires of the 2xx; empty for none."""
    taken: int = 0
    """The interval where a 2xx says it, in seconds; 0: that of `expires`, if any."""


TORTURES = {
    "case and blanks": Torture(
        ("SUPPORTED  :   TiMeR", "session-EXPIRES\t: 1800  ;  Refresher  =  UAC"), 200, "1800;refresher=uac"
    ),
    "folding": Torture(
        ("Supported:\r\n timer", "Session-Expires:\r\n\t1800\r\n ;refresher\r\n =uac"),
        200,
        "1800;refresher=uac",
    ),
    "compact, mixed with long": Torture(
        ("k: path", "x:600;refresher=uac", "Supported: , timer"), 200, "600;refresher=uac"
    ),
    "leading zeros": Torture(
        ("k: timer", "x: 000000000000000000000000600;refresher=uac"), 200, "600;refresher=uac"
    ),
    "the largest number": Torture(
        ("k: timer", "x: 4294967295;refresher=uac"), 200, "86400;refresher=uac", taken=4294967295
    ),
    "unknown parameters with quotes": Torture(
        ("k: timer", 'x: 700;why="a;\\"refresher=uas\\",\\\\";refresher=uac;%41;lone'),
        200,
        "700;refresher=uac",
    ),
    "many tags": Torture(
        (f"Supported: {', '.join(f'tag{n}' for n in range(25))}, timer", "x: 800;refresher=uac"),
        200,
        "800;refresher=uac",
    ),
    "not our language": Torture(
        ("k: timer", "Subject: \u00e4\u00f6\u4e2d\u0001\u007f", 'x: 900;refresher=uac;n="\u00fc\u4e2d"'),
        200,
        "900;refresher=uac",
    ),
    "unknown headers of all kinds": Torture(
        ("k: timer", 'X_1.a-: ;;,,;"', "X-Empty:", f"X-Long: {'y' * 1000}", "x: 1000;refresher=uac"),
        200,
        "1000;refresher=uac",
    ),
    "many Via": Torture(
        (
            "k: timer",
            *(f'v: SIP / 2.0 / UDP 192.0.2.{n} ; branch=z9hG4bK{n} ;unknown="q;"' for n in range(1, 41)),
            "x: 1100;refresher=uac",
        ),
        200,
        "1100;refresher=uac",
    ),
    "negative": Torture(("k: timer", "x: -1800"), 400),
    "fraction": Torture(("k: timer", "x: 1800.5"), 400),
    "too large to count": Torture(
        ("k: timer", f"x: {'9' * 200};refresher=uac"), 200, "86400;refresher=uac", taken=4294967295
    ),
    "too long to read": Torture(("k: timer", f"x: {'9' * 900};refresher=uac"), 400),
    "no number": Torture(("k: timer", "x: "), 400),
    "unterminated quote": Torture(("k: timer", 'x: 1800;a="b;refresher=uac'), 400),
    "a parameter twice": Torture(("k: timer", "x: 1800;refresher=uac;refresher=uas"), 400),
    "two rows": Torture(("k: timer", "x: 1800", "Session-Expires: 900"), 200, "900;refresher=uac"),
    "minimum malformed": Torture(("k: timer", "x: 1800;refresher=uac", "Min-SE: ninety"), 400, taken=1800),
    "digits of another script": Torture(("k: timer", "x: \u0661\u0662\u0663\u0664"), 400),
    "small": Torture(("k: timer", "x: 00000000000000000000000000089"), 422, taken=89),
}


@pytest.mark.smoke
@pytest.mark.requirement(
    "SE-4-02", "SE-4-05", "SE-4-08", "SE-4-09", "S61-20-01", "S61-7.3.1-02", "S61-7.3.3-01"
)
@pytest.mark.parametrize("name", TORTURES)
def test_in_requests(peer: Peer, edge: Kamailio, name: str) -> None:
    """In an INVITE, then in an UPDATE of a call that a plain INVITE made."""
    torture = TORTURES[name]
    begun = peer(41).call()
    plain = peer(41).call()
    plain.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    for call, method in ((begun, "INVITE"), (plain, "UPDATE")):
        body = sdp(call.agent.address) if method == "INVITE" else ""
        answer = call.ask(method, ALLOW, *torture.rows, body=body)
        assert answer.status == torture.status, (method, answer.start_line)
        assert answer.rows("Session-Expires") == ((torture.expires,) if torture.expires else ())
        if torture.expires:
            edge.record(call.call_id, interval=torture.expires.partition(";")[0], refresher="remote")
            assert call.bye().status == 200
    if not torture.expires:
        edge.record(plain.call_id, interval="1800", refresher="remote", refreshes="0")
        assert plain.bye().status == 200
        assert edge.record_texts(begun.call_id) == {}


@pytest.mark.smoke
def test_a_comma_quoted_in_a_via(peer: Peer, edge: Kamailio, wire: Wire) -> None:
    """Kamailio before 5.8 ends a Via at any comma: it drops such a request, and the call goes on."""
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    via = 'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;unknown="q,;"'
    asked = call.send("UPDATE", ALLOW, via, "k: timer", "x: 1100;refresher=uac")
    if edge.version < (5, 8):
        answer = call.ask("UPDATE", "k: timer", "x: 1200;refresher=uac")
        assert answer.rows("Session-Expires") == ("1200;refresher=uac",)
        assert asked not in [each.cseq[0] for each in wire.to_asterisk(call.call_id)]
        edge.record(call.call_id, interval="1200", refreshes="1")
    else:
        assert call.final(asked).rows("Session-Expires") == ("1100;refresher=uac",)
        edge.record(call.call_id, interval="1100", refreshes="1")
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("name", TORTURES)
def test_in_answers(peer: Peer, edge: Kamailio, name: str) -> None:
    """In the 2xx of a peer with timers of its own: it passes, and the record has what can be read."""
    torture = TORTURES[name]
    user = f"tortured{secrets.token_hex(4)}"
    caller = peer(46).call(peer(49).reachable(user))
    caller.invite("Supported: timer", "Session-Expires: 4294967295", "Min-SE: 90")
    callee, invite = peer(49).called(user)
    rows = [row for row in torture.rows if not row.startswith("v:")]
    callee.accept(invite, "Require: timer", *rows)
    answer = caller.final(1)
    assert answer.status == 200
    caller.ack(answer)
    callee.expect("ACK")
    taken = str(torture.taken) if torture.taken else torture.expires.partition(";")[0] or "0"
    edge.record(caller.call_id, interval=taken, refresher="remote" if taken != "0" else "none")
    caller.send("BYE")
    callee.accept(callee.expect("BYE"))
