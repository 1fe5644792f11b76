"""Calls over TCP, TLS, WebSocket and IPv6, towards the peer and towards Asterisk."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Protocol

import pytest

from tests.e2e import asterisk_orders
from tests.e2e.edge.transports import browser
from tests.e2e.edge.transports.every_transport import (
    EDGE_SERVICE,
    PAGE,
    SCRIPT,
    EveryTransport,
    every_transport,
)
from tests.lab.capture import read
from tests.lab.parts.native_edge import NATIVE
from tests.lab.peers.expectations import INTERNAL
from tests.lab.peers.refreshed_calls import INTERVAL, TIMER, agree, refresh
from tests.lab.peers.user_agent import Call, in_uri
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.smoke

Pair = tuple[str, str]
"""The transport towards the peer, and that towards Asterisk."""


class Script(Protocol):
    """A call on a pair of transports."""

    __name__: str

    def __call__(self, lab: EveryTransport, pair: Pair) -> None: ...


LONGEST = 180.0
"""Seconds that a call may take."""


def called(lab: EveryTransport, pair: Pair, refresher: str, *rows: str) -> tuple[Call, SipMessage]:
    """A call of the peer's to Asterisk, answered; and the 2xx. Its INVITE has these ``rows`` besides."""
    over, inside = pair
    call = lab.peer(over).call()
    host = call.agent.edge if NATIVE else call.agent.address
    call.local = f"<sip:over-{inside}@{in_uri(host)}>"
    answer = call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher={refresher}", *rows)
    assert answer.rows("Session-Expires") == (f"{INTERVAL};refresher={refresher}",)
    assert "timer" in answer.tokens("Require")
    assert answer.rows(INTERNAL) == ()
    # Record-Route has the edge on both its sides.
    routes = ",".join(answer.rows("Record-Route"))
    for transport in (over, inside):
        plain = transport.removesuffix("6")
        assert plain == "udp" or f"transport={plain}" in routes, routes
    assert ("[fd00:" in routes) is any(each.endswith("6") for each in pair), routes
    return call, answer


def kept(lab: EveryTransport, pair: Pair) -> None:
    """A refresh of ours, then one of the peer's."""
    refreshed(lab, called(lab, pair, "uas")[0])


def large(lab: EveryTransport, pair: Pair) -> None:
    """An INVITE beyond the MTU goes on by TCP, and the call is as every other."""
    call, _ = called(lab, pair, "uas", f"X-Padding: {'x' * 1000}")
    channel = lab.stack.channels()[call.call_id]
    (via,) = lab.stack.ami("Getvar", Channel=channel, Variable="PJSIP_HEADER(read,Via)")
    assert via["Value"].startswith("SIP/2.0/TCP"), via
    refreshed(lab, call)


def refreshed(lab: EveryTransport, call: Call) -> None:
    """Both sides refresh, and the peer ends the call."""
    lab.companion.session(call.call_id)
    agree(call, refresh(call, "UPDATE"))
    lab.edge.record(call.call_id, refreshes="1", refresher="local", on_path="1")
    again = call.ask("UPDATE", TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    assert again.status == 200
    assert again.rows("Session-Expires") == (f"{INTERVAL};refresher=uas",)
    lab.edge.record(call.call_id, refreshes="2", refresher="local")
    assert call.bye().status == 200
    lab.edge.records(call.call_id, 0)


def reinvited(lab: EveryTransport, pair: Pair) -> None:
    """A re-INVITE of Asterisk's, which names no interval, gets no 100: tm sends it before it relays."""
    call, _ = called(lab, pair, "uas")
    kept_in = ROOT / "out" / "e2e" / f"{lab.stack.project}-reinvited.pcap"
    with lab.stack.capture(kept_in, EDGE_SERVICE, "udp port 5060") as path:
        asterisk_orders.reinvite(lab.stack, call)
        request = call.expect("INVITE")
        call.accept(request, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
        told = wait_until(
            lambda: [
                each.message.status
                for each in read(path)
                if each.destination.address == lab.stack.asterisk
                and (each.message.call_id, each.message.cseq[0]) == (call.call_id, request.cseq[0])
            ],
            PATIENCE,
            "Asterisk's re-INVITE to be answered",
            holds=lambda seen: 200 in seen,
        )
    assert told == [200]
    lab.edge.record(call.call_id, refreshes="1")
    assert call.bye().status == 200


def expired(lab: EveryTransport, pair: Pair) -> None:
    """The peer should refresh, and is dead: it is asked, and then there is a BYE."""
    call, _ = called(lab, pair, "uac")
    lab.edge.record(call.call_id, interval=str(INTERVAL), refresher="remote")
    call.expect("UPDATE", timeout=INTERVAL + PATIENCE)
    call.answer(call.expect("BYE", timeout=INTERVAL + PATIENCE), 200)
    lab.edge.records(call.call_id, 0)


def placed(lab: EveryTransport, pair: Pair) -> None:
    """A call of Asterisk's to the peer, which leaves the refreshes to us."""
    over, inside = pair
    agent = lab.peer(over)
    user = f"called{secrets.token_hex(4)}"
    lab.stack.place_call(agent.reachable(user), endpoint=f"over-{inside}")
    call, invite = agent.called(user)
    assert invite.rows("Session-Expires")[0].startswith(str(INTERVAL))
    assert invite.rows(INTERNAL) == ()
    call.accept(invite, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    call.expect("ACK")
    lab.edge.record(call.call_id, interval=str(INTERVAL), refresher="local")
    lab.companion.session(call.call_id)
    agree(call, refresh(call, "UPDATE"))
    lab.edge.record(call.call_id, refreshes="1", on_path="1")
    assert call.bye().status == 200
    lab.edge.records(call.call_id, 0)


TO_THE_PEER = [("tcp", "udp"), ("tls", "udp"), ("udp6", "udp"), ("tcp6", "udp6")]
TO_ASTERISK = [("udp", "tcp"), ("udp", "tls"), ("udp", "udp6"), ("tls", "tls")]
# The lines are the same on every way: one call each shows that they stand where they should.
OF_THE_STOCK = ("tcp", "udp"), ("tls", "udp"), ("udp6", "udp"), ("ws", "udp"), ("udp", "tcp"), ("udp", "tls")
CALLS: list[tuple[Script, Pair]] = [
    *[(script, pair) for pair in (*TO_THE_PEER, *TO_ASTERISK) for script in (kept, expired, placed)],
    # Nobody calls a browser that has not registered.
    (kept, ("ws", "udp")),
    (expired, ("ws", "udp")),
    (large, ("udp", "udp")),
    (reinvited, ("udp", "udp")),
]
if NATIVE:
    CALLS = [*((kept, pair) for pair in OF_THE_STOCK), *CALLS[-2:]]
PLAYS: dict[str, Callable[[EveryTransport], None]] = {
    f"{script.__name__}-{over}-{inside}": partial(script, pair=(over, inside))
    for script, (over, inside) in CALLS
}
NAMES = [*PLAYS] if NATIVE else [*PLAYS, "browser"]


@pytest.fixture(scope="module")
def playing(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """Every call, under way."""
    with (
        every_transport(stack, tmp_path_factory.mktemp("transports")) as lab,
        ThreadPoolExecutor(len(NAMES)) as pool,
    ):
        under_way = {name: pool.submit(play, lab) for name, play in PLAYS.items()}
        if not NATIVE:
            under_way["browser"] = pool.submit(after, tuple(under_way.values()), lab)
        yield under_way


def after(others: Sequence[Future[None]], lab: EveryTransport) -> None:
    """The browser, once the others are over: while it starts, calls of 12 s would wait for the processors."""
    wait(others)
    browser.build()
    browser.browser(lab)


def test_the_script_has_the_lines_of_the_page() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    script = {line.strip().partition("  # ")[0] for line in SCRIPT.read_text(encoding="utf-8").splitlines()}
    for line in "".join(blocks).splitlines():
        bare = line.strip().replace("self, msg, evname):", "self, msg: object, evname: str) -> int:")
        assert bare in script or bare == "return 1", line


@pytest.mark.parametrize("name", NAMES)
def test_a_call(playing: dict[str, Future[None]], name: str) -> None:
    playing[name].result(LONGEST)
