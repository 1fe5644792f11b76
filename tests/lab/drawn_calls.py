"""A call that is refused, accepted, refreshed by us, by the carrier, and ended."""

from __future__ import annotations

from session_timer_companion.explain.drawing.ladder import Cast

from tests.lab import wire
from tests.lab.capture import Endpoint, Packet
from tests.lab.sip import SipMessage
from tests.lab.wire import ASTERISK, CARRIER, EDGE

CAST = Cast({CARRIER: "carrier", EDGE: "edge", ASTERISK: "Asterisk"})
_IN_DIALOG = ("From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2")
_START = 1000.0


def packet(at: float, source: str, target: str, message: bytes, *, again: bool = False) -> Packet:
    """One packet, ``at`` seconds after the call began."""
    return Packet(
        _START + at, Endpoint(source, 5060), Endpoint(target, 5060), SipMessage.parse(message), again
    )


def the_call() -> list[Packet]:
    """12 s interval: refreshed by us at 6 s, handed to the carrier at 12 s, ended by us at 20 s."""
    uac, uas = "Session-Expires: 12;refresher=uac", "Session-Expires: 12;refresher=uas"
    return [
        packet(0.0, CARRIER, EDGE, wire.request("INVITE", "CSeq: 1 INVITE", "Session-Expires: 4")),
        packet(0.01, EDGE, CARRIER, wire.response("100 Trying", "INVITE", "CSeq: 1 INVITE")),
        packet(
            0.02,
            EDGE,
            CARRIER,
            wire.response("422 Session Interval Too Small", "INVITE", "CSeq: 1 INVITE", "Min-SE: 8"),
        ),
        packet(0.03, CARRIER, EDGE, wire.request("ACK", "CSeq: 1 ACK")),
        packet(
            0.1, CARRIER, EDGE, wire.request("INVITE", "CSeq: 2 INVITE", "Session-Expires: 12", "Min-SE: 8")
        ),
        packet(
            0.11,
            EDGE,
            ASTERISK,
            wire.request("INVITE", "CSeq: 2 INVITE", "X-Session-Timer: 12;refresher=local;allow=UPDATE;v=1"),
        ),
        packet(0.2, ASTERISK, EDGE, wire.response("200 OK", "INVITE", "CSeq: 2 INVITE")),
        packet(
            0.21, EDGE, CARRIER, wire.response("200 OK", "INVITE", "CSeq: 2 INVITE", uas, "Require: timer")
        ),
        packet(0.22, CARRIER, EDGE, wire.request("ACK", "CSeq: 2 ACK", *_IN_DIALOG)),
        packet(6.2, ASTERISK, EDGE, wire.request("UPDATE", "CSeq: 1 UPDATE", *_IN_DIALOG)),
        packet(6.21, EDGE, CARRIER, wire.request("UPDATE", "CSeq: 1 UPDATE", uac, *_IN_DIALOG)),
        packet(6.71, EDGE, CARRIER, wire.request("UPDATE", "CSeq: 1 UPDATE", uac, *_IN_DIALOG), again=True),
        packet(
            6.72, CARRIER, EDGE, wire.response("200 OK", "UPDATE", "CSeq: 1 UPDATE", uac, "Require: timer")
        ),
        packet(12.0, CARRIER, EDGE, wire.request("INVITE", "CSeq: 3 INVITE", uac, *_IN_DIALOG, body="v=0")),
        packet(
            12.01, EDGE, CARRIER, wire.response("200 OK", "INVITE", "CSeq: 3 INVITE", uac, "Require: timer")
        ),
        packet(
            20.01,
            EDGE,
            CARRIER,
            wire.request("BYE", "CSeq: 2 BYE", *_IN_DIALOG, 'Reason: Q.850;cause=102;text="Expired"'),
        ),
    ]
