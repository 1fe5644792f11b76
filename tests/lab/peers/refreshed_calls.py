"""Calls at lab intervals that the companion keeps alive, and what a peer says to its refreshes."""

from __future__ import annotations

from tests.lab.peers.audio import described
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.together import Stage
from tests.lab.waiting import wait_until

BY_UPDATE, BY_REINVITE, BY_THEM, SWALLOWING = 42, 43, 44, 49
"""The addresses whose profiles say who refreshes, and how; docker/config."""

NO_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS"
TIMER = "Supported: timer"
INTERVAL = 12
HALF = INTERVAL / 2
GIVEN_UP = INTERVAL - INTERVAL / 3
EARLY, LATE = 0.8, 1.5
"""Seconds: refreshes are spread over a tenth of the half interval; two processors are shared by all calls."""


def received(
    stage: Stage,
    host: int,
    expires: str = f"{INTERVAL};refresher=uas",
    *,
    formats: str = "0",
    allow: str = ALLOW,
    to: str = "wait",
) -> tuple[Call, SipMessage]:
    """A call of the carrier, answered; unless told otherwise we have to refresh it. Gives the 2xx too."""
    call = stage.peer(host).call(f"sip:{to}@{stage.stack.edge}")
    body = described(call.agent.address, formats)
    answer = call.final(call.send("INVITE", allow, TIMER, f"Session-Expires: {expires}", body=body), 15)
    assert answer.status == 200, answer.start_line
    call.ack(answer)
    return call, answer


def placed(stage: Stage, host: int, expires: str = f"{INTERVAL};refresher=uac", allow: str = ALLOW) -> Call:
    """A call of Asterisk that the carrier answers; unless told otherwise we have to refresh it."""
    call, invite = stage.originate(stage.peer(host))
    call.accept(invite, TIMER, "Require: timer", f"Session-Expires: {expires}", allow=allow)
    call.expect("ACK")
    return call


def agree(call: Call, request: SipMessage, formats: str = "0") -> None:
    """200 to a refresh, on the terms that it names; its ACK is waited for where it is an INVITE."""
    body = described(call.agent.address, formats, version=2) if request.body else ""
    call.answer(
        request, 200, "Require: timer", f"Session-Expires: {request.header('Session-Expires')}", body=body
    )
    if request.method == "INVITE":
        call.expect("ACK")


def refresh(call: Call, method: str, timeout: float = INTERVAL) -> SipMessage:
    """The next refresh that comes in, which must be of this method and offer the same timer."""
    request = call.expect(method, timeout=timeout)
    assert request.rows("Session-Expires") == (f"{INTERVAL};refresher=uac",)
    return request


def repeated(call: Call) -> None:
    """Wait for one more copy of what came in last: Asterisk repeats an INVITE after 0.5, 1, 2, 4 and 8 s.

    Behind whichever edge it looks the same, so it is no message of its own for a call of the test's.
    """
    assert call.latest is not None
    sockets, latest = call.agent.sockets, call.latest
    before = sockets.copies(latest)
    wait_until(
        lambda: sockets.copies(latest),
        20,
        "a copy of the request",
        holds=lambda seen: seen > before,
        pause=0.02,
    )


def keep(call: Call, method: str, count: int, formats: str = "0") -> None:
    """Answer that many refreshes as a live peer does."""
    for _ in range(count):
        agree(call, refresh(call, method), formats)


def in_a_row(stack: Stack) -> int:
    """re-INVITEs that make one refresh of a call with audio alone.

    One, which offers the codecs in use. Below 18 such an offer does not leave: two repeat the session
    (docs/reference/asterisk-releases.md).
    """
    return 1 if stack.asterisk_release() >= (18, 0) else 2


def ended_by_asterisk(stage: Stage, call: Call, timeout: float) -> float:
    """Wait for the BYE and answer it; seconds from the 2xx that made the call to it."""
    call.answer(call.expect("BYE", timeout=timeout), 200)
    seen = stage.observed(call)
    assert seen.bye is not None
    assert seen.established is not None
    return seen.bye.time - seen.established.time
