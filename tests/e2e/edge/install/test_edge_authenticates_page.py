"""docs/how-to/edge-authenticates.md, added to Debian's kamailio.cfg: a carrier challenges each request.

Behind that edge are an Asterisk of its own, which has no password, and its companion.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.edge.hiding.hiding_edge import ASTERISK, EDGE, INTERVAL, PEER, behind
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio
from tests.lab.parts.replicated_edges import NATIVE_PAGE, added, native
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.refreshed_calls import TIMER
from tests.lab.peers.user_agent import Call, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

PAGE = (ROOT / "docs/how-to/edge-authenticates.md").read_text(encoding="utf-8")
CREDENTIALS = re.search(r'"credential", "(\w+):([\w.]+):(\w+)"', PAGE)
assert CREDENTIALS is not None
NAME, REALM, PASSWORD = CREDENTIALS.groups()
TERMS = (TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")


@dataclass(frozen=True, slots=True)
class Lab:
    """What calls are played with."""

    stack: Stack
    """Its AMI is that of the Asterisk here."""
    edge: Kamailio
    peer: UserAgent
    companion: Companion


@pytest.fixture(scope="module")
def lab(stack: Stack, sockets: LabSockets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    inside, folder = tmp_path_factory.mktemp("inside"), tmp_path_factory.mktemp("etc")
    with behind(stack, inside) as companion:
        settings = inside / "settings" / "session-timer.yaml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace(", bye_on_expiry: true", ""), encoding="utf-8")
        once = EdgeOnce(
            stack, configured(stack, folder), settings, {}, host=EDGE, service="edge-authenticates"
        )
        with once.running():
            kamailio = Kamailio(sockets, (stack.address(40), 7093), (once.address, 8090))
            agent = UserAgent(sockets, stack.address(PEER), once.address, None, stock=True)
            yield Lab(replace(stack, asterisk_host=ASTERISK), kamailio, agent, companion)


def configured(stack: Stack, folder: Path) -> Path:
    """Debian's kamailio.cfg with the lines of both pages."""
    own = stack.address(EDGE)
    stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    config = native(stock, NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", own))
    config = added(config, PAGE)
    assert 'pstn.gw_ip = ""' in config
    config = config.replace('pstn.gw_ip = ""', f'pstn.gw_ip = "{stack.address(ASTERISK)}"')
    config = config.replace("#!KAMAILIO", "#!KAMAILIO\n#!define WITH_PSTN", 1)
    (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "edge" / "health", folder)
    for each in (ROOT / "kamailio").glob("session-timer*"):
        shutil.copy(each, folder)
    for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
        shutil.copytree(package, folder / package.name)
    return folder


@dataclass(slots=True)
class Challenging:
    """A peer that wants the password with each request."""

    call: Call
    nonces: int = 0
    taken: list[int] = field(default_factory=list)
    """The CSeq of each request that brought the password."""

    def challenged(self, method: str, request: SipMessage | None = None) -> SipMessage:
        """The next request of this method, which is challenged, and comes again with the password."""
        request = request or self.call.expect(method, timeout=INTERVAL)
        assert request.rows("Proxy-Authorization") == ()
        self.nonces += 1
        nonce = f"nonce-{self.nonces}"
        row = f'Proxy-Authenticate: Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5'
        self.call.answer(request, 407, row)
        if method == "INVITE":
            self.call.expect("ACK")
        again = self.call.expect(method)
        (given,) = again.rows("Proxy-Authorization")
        words = dict(re.findall(r'(\w+)="([^"]*)"', given))
        assert (words["username"], words["realm"], words["nonce"]) == (NAME, REALM, nonce)
        ours, asked = hashed(NAME, REALM, PASSWORD), hashed(method, words["uri"])
        assert words["response"] == hashed(ours, nonce, asked)
        self.taken.append(again.cseq[0])
        return again

    def refreshed(self) -> int:
        """A refresh of ours, challenged and then answered; the CSeq that was challenged."""
        first = self.call.expect("UPDATE", timeout=INTERVAL)
        again = self.challenged("UPDATE", first)
        assert again.rows("Session-Expires") == (f"{INTERVAL};refresher=uac",)
        self.call.answer(again, 200, *TERMS)
        return first.cseq[0]


def hashed(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode()).hexdigest()  # noqa: S324  # as RFC 2617 has it


def placed(lab: Lab) -> None:
    """A call of Asterisk's, whose peer takes no CSeq twice."""
    user = "callee"
    lab.stack.place_call(lab.peer.reachable(user))
    call, invite = lab.peer.called(user)
    peer = Challenging(call)
    call.accept(peer.challenged("INVITE", invite), *TERMS)
    call.expect("ACK")
    for count in (1, 2):
        peer.refreshed()
        lab.edge.record(call.call_id, refreshes=str(count), refresher="local")
    assert all(sooner < later for sooner, later in pairwise(peer.taken))
    wait_until(
        lambda: lab.companion.log(call.call_id),
        PATIENCE,
        "both refreshes, confirmed",
        holds=lambda log: log.count("refresh_confirmed") == 2,
    )
    assert "refused" not in lab.companion.log(call.call_id)
    assert call.bye().status == 200


def received(lab: Lab) -> None:
    """A call to Asterisk: the request with the password has the CSeq that was refused."""
    call = lab.peer.call()
    call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    peer = Challenging(call)
    asked = peer.refreshed()
    lab.edge.record(call.call_id, refreshes="1", refresher="local")
    assert peer.taken == [asked]
    assert call.bye().status == 200


@pytest.fixture(scope="module")
def calls(lab: Lab) -> Iterator[dict[str, Future[None]]]:
    """Both at the same time."""
    with ThreadPoolExecutor(2) as pool:
        yield {play.__name__: pool.submit(play, lab) for play in (placed, received)}


@pytest.mark.requirement("REF-10-04", "S61-22-01")
def test_a_call_of_asterisk_goes_on_and_no_cseq_comes_twice(calls: dict[str, Future[None]]) -> None:
    calls["placed"].result(60)


@pytest.mark.requirement("REF-10-04")
def test_a_call_to_asterisk_goes_on_with_the_cseq_that_was_refused(calls: dict[str, Future[None]]) -> None:
    calls["received"].result(60)
