"""The demo's judgement: a good call passes every check, and each fault is seen by the check it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from demo.acts import ACTS, INTERVAL, MINIMUM, REFRESHES, Act, Evidence, checks

from tests.lab import wire
from tests.lab.capture import Packet
from tests.lab.drawn_calls import packet
from tests.lab.observed import ObservedCall
from tests.lab.wire import ASTERISK, CARRIER, EDGE

DIALOG = ("From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2")
UAC = f"Session-Expires: {INTERVAL};refresher=uac"
SDP = "v=0\r\nm=audio 4000 RTP/AVP 0 101\r\n"


def made(refresher: str, interval: int = INTERVAL, cseq: int = 1, at: float = 0.0) -> list[Packet]:
    """INVITE and 200 on both legs."""
    row = f"CSeq: {cseq} INVITE"
    accepted = f"Session-Expires: {interval};refresher={refresher}"
    return [
        packet(at, CARRIER, EDGE, wire.request("INVITE", row, f"Session-Expires: {interval}")),
        packet(at, EDGE, ASTERISK, wire.request("INVITE", row, "X-Session-Timer: 12;refresher=local")),
        packet(at, ASTERISK, EDGE, wire.response("200 OK", "INVITE", row)),
        packet(at, EDGE, CARRIER, wire.response("200 OK", "INVITE", row, accepted, "Require: timer")),
    ]


def refreshed(at: float, cseq: int, sender: str, method: str = "UPDATE", body: str = "") -> list[Packet]:
    """A refresh outside and its 200."""
    other = CARRIER if sender == EDGE else EDGE
    row = f"CSeq: {cseq} {method}"
    return [
        packet(at, sender, other, wire.request(method, row, UAC, *DIALOG, body=body)),
        packet(at, other, sender, wire.response("200 OK", method, row, UAC, "Require: timer")),
    ]


def bye(at: float, sender: str) -> Packet:
    """A BYE outside."""
    other = CARRIER if sender == EDGE else EDGE
    return packet(at, sender, other, wire.request("BYE", "CSeq: 99 BYE", *DIALOG))


def below_minimum() -> list[Packet]:
    return [
        packet(0, CARRIER, EDGE, wire.request("INVITE", "CSeq: 1 INVITE", "Session-Expires: 60")),
        packet(0, EDGE, CARRIER, wire.response("422 Small", "INVITE", "CSeq: 1 INVITE", "Min-SE: 90")),
        *made("uac", MINIMUM, cseq=2, at=0.1),
        bye(1.1, CARRIER),
    ]


def by_us(method: str = "UPDATE", body: str = "", half: float = 6.0) -> list[Packet]:
    sent = [refreshed(half * n, 10 + n, EDGE, method, body) for n in range(1, REFRESHES + 1)]
    return [*made("uas"), *(each for pair in sent for each in pair), bye(25.5, CARRIER)]


def by_carrier() -> list[Packet]:
    sent = [refreshed(6.0 * n, 10 + n, CARRIER) for n in range(1, REFRESHES + 1)]
    return [*made("uac"), *(each for pair in sent for each in pair), bye(25.5, CARRIER)]


def silent(end: float = 14.0) -> list[Packet]:
    return [*made("uac"), *refreshed(6.0, 11, CARRIER), bye(end, EDGE)]


def evidence(act: Act, packets: list[Packet], call: int = 0) -> Evidence:
    """What a faultless call leaves behind, beside its packets."""
    cause = "102" if act.number == 4 else "16"
    return Evidence(
        call=act.calls[call],
        observed=ObservedCall.of(packets, "call-1", edge=EDGE, carrier=CARRIER, asterisk=ASTERISK),
        status=0,
        complaint="",
        cdr={"cause": cause, "billsec": "25", "userfield": "session-timer: the peer sent no refresh"},
        log="hung_up",
        still_up=False,
        records=0,
    )


def failed(act: Act, seen: Evidence) -> list[str]:
    return [check.what for check in checks(act, seen) if not check.passed]


ONE, TWO, THREE, FOUR = ACTS


@pytest.mark.parametrize(
    ("act", "call", "packets"),
    [
        (ONE, 0, below_minimum()),
        (TWO, 0, by_us()),
        (TWO, 0, by_us(half=5.4)),
        (TWO, 1, by_us("INVITE", SDP)),
        (THREE, 0, by_carrier()),
        (FOUR, 0, silent()),
        (FOUR, 0, silent(14.9)),
    ],
)
def test_a_good_call_passes(act: Act, call: int, packets: list[Packet]) -> None:
    assert failed(act, evidence(act, packets, call)) == []


@pytest.mark.parametrize(
    ("act", "packets", "what"),
    [
        (ONE, made("uac", 60), "answer to the first INVITE"),
        (ONE, [*made("uac", 60), *below_minimum()], "INVITEs that reached Asterisk"),
        (TWO, by_us("INVITE", SDP), "their method"),
        (TWO, by_us(body=SDP), "their body"),
        (TWO, by_us(half=7.5), "refresh after the last 2xx, the worst of them"),
        (TWO, by_us(half=4.0), "refresh after the last 2xx, the worst of them"),
        (TWO, [*made("uas"), bye(25.5, CARRIER)], "refreshes that left and were answered"),
        (TWO, by_carrier(), "Session-Expires of the 2xx"),
        (TWO, [*by_us()[:-1], bye(20.0, CARRIER)], "the call lived"),
        (
            THREE,
            [*by_carrier()[:-1], *refreshed(25.0, 50, EDGE), bye(25.5, CARRIER)],
            "refreshes that we sent",
        ),
        (THREE, [*by_carrier()[:-1], bye(24.5, EDGE)], "BYE comes from"),
        (FOUR, silent(12.9), "BYE after the last refresh"),
        (FOUR, silent(19.1), "BYE after the last refresh"),
        (FOUR, silent()[:-1], "BYE after the last refresh"),
        (FOUR, [*silent()[:-1], bye(14.0, CARRIER)], "BYE comes from"),
    ],
)
def test_a_wrong_message_is_seen(act: Act, packets: list[Packet], what: str) -> None:
    assert what in failed(act, evidence(act, packets))


def with_internal_header_outside(seen: Evidence) -> Evidence:
    leak = packet(0.5, EDGE, CARRIER, wire.request("INFO", "X-Session-Timer: 12;refresher=local"))
    return replace(seen, observed=replace(seen.observed, packets=(*seen.observed.packets, leak)))


def with_timer_header_inside(seen: Evidence) -> Evidence:
    leak = packet(0.5, EDGE, ASTERISK, wire.request("UPDATE", "CSeq: 70 UPDATE", "Min-SE: 90", *DIALOG))
    return replace(seen, observed=replace(seen.observed, packets=(*seen.observed.packets, leak)))


@pytest.mark.parametrize("act", ACTS, ids=lambda act: f"act {act.number}")
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda seen: replace(seen, status=255, complaint="timed out"), "SIPp's scenario ran to its end"),
        (lambda seen: replace(seen, still_up=True), "Asterisk still has a channel of the call"),
        (lambda seen: replace(seen, records=1), "the edge still has a record of the call"),
        (lambda seen: replace(seen, cdr={}), "cause in the CDR"),
        (with_internal_header_outside, "messages with the internal header outside"),
        (with_timer_header_inside, "messages with timer headers that reached Asterisk"),
    ],
)
def test_a_wrong_state_is_seen_in_every_act(
    act: Act, spoil: Callable[[Evidence], Evidence], what: str
) -> None:
    good = {1: below_minimum, 2: by_us, 3: by_carrier, 4: silent}[act.number]()

    assert what in failed(act, spoil(evidence(act, good)))


def test_a_log_without_the_call_is_seen() -> None:
    seen = replace(evidence(FOUR, silent()), log="")

    assert failed(FOUR, seen) == ["the companion's log of this call"]
