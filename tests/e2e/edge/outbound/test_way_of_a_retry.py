"""Several branches at once, with Debian's kamailio.cfg: which are tried again, and by which way."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.parts.replicated_edges import NATIVE_PAGE, SETTINGS, native
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Call, Peer, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, Stack

HOST = 18
"""The last number of this edge's address."""
SECOND_PORT = 5070
"""Who registers there is called from there."""
FLAG = 7
"""The branch flag of who has registered there."""
NEAR, FAR, PROXY, ASTERISK = 40, 41, 48, 49
"""Of the two contacts the far one is reached through a proxy."""

REGISTRAR = 'if (!save("location")) {'
BRANCH_ROUTE = "branch_route[MANAGE_BRANCH] {\n"
TIMER = ("Supported: timer", "Require: timer")


@pytest.fixture(scope="module")
def edge(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeOnce]:
    """Debian's kamailio.cfg with our lines, a second socket, and the branch flags to be seen on the wire."""
    folder, settings = tmp_path_factory.mktemp("etc"), tmp_path_factory.mktemp("settings")
    address = stack.address(HOST)
    stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    config = native(stock, NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", address))
    flagged = f"if ($Rp == {SECOND_PORT}) setbflag({FLAG});\n\t{REGISTRAR}"
    shown = f'{BRANCH_ROUTE}\tappend_hf("X-Flags: $bf\\r\\n");\n'
    for place, instead in ((REGISTRAR, flagged), (BRANCH_ROUTE, shown)):
        assert config.count(place) == 1
        config = config.replace(place, instead)
    sockets = "".join(f"listen=udp:{address}:{port}\n" for port in (5060, SECOND_PORT))
    (folder / "kamailio.cfg").write_text(
        config.replace("####### Modules", f"{sockets}####### Modules", 1), encoding="utf-8"
    )
    shutil.copy(ROOT / "docker" / "edge" / "health", folder)
    for each in (ROOT / "kamailio").glob("session-timer*"):
        shutil.copy(each, folder)
    for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
        shutil.copytree(package, folder / package.name)
    text = SETTINGS.format(asterisk=stack.address(ASTERISK), name="edge")
    (settings / "session-timer.yaml").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")
    found = EdgeOnce(stack, folder, settings / "session-timer.yaml", {}, HOST)
    with found.running():
        yield found


@pytest.fixture(scope="module")
def tables(edge: EdgeOnce, sockets: LabSockets, stack: Stack) -> Kamailio:
    """What this edge remembers."""
    return Kamailio(sockets, (stack.address(NEAR), 7092), (edge.address, 8090))


@dataclass(slots=True)
class Ringing:
    """A call of Asterisk's that rings at both contacts."""

    asterisk: Call
    near: Call
    at_near: SipMessage
    far: Call
    at_far: SipMessage

    def answered(self, call: Call, invite: SipMessage, interval: int) -> None:
        """One of them takes the call, and Asterisk hears of no timer."""
        call.accept(invite, *TIMER, f"Session-Expires: {interval};refresher=uac")
        answer = self.asterisk.final(1)
        assert answer.status == 200
        assert answer.rows("Session-Expires") == ()
        self.asterisk.establish(answer)
        self.asterisk.send("ACK", cseq=1)
        call.expect("ACK")


@pytest.fixture
def ring(
    edge: EdgeOnce, tables: Kamailio, sockets: LabSockets, wire: Wire, peer: Peer
) -> Callable[[], Ringing]:
    """Make Asterisk call a user of two contacts, the far one of which is behind a proxy."""

    def agent(host: int, port: int = 5060) -> UserAgent:
        return UserAgent(sockets, peer(host).address, edge.address, wire, stock=True, edge_port=port)

    def register(at: UserAgent, user: str, *rows: str) -> None:
        call = at.call(f"sip:{edge.address}")
        call.remote = call.local = f"<sip:{user}@{edge.address}>"
        call.user = user
        assert call.final(call.send("REGISTER", "Expires: 120", *rows)).status == 200

    tables.rpc("htable.flush", "session_timer_min_se")

    def make() -> Ringing:
        user = f"ways{secrets.token_hex(4)}"
        register(agent(NEAR), user)
        register(agent(FAR, SECOND_PORT), user, f"Path: <sip:{peer(PROXY).address};lr>")
        asterisk = agent(ASTERISK).call(f"sip:{user}@{edge.address}")
        asterisk.invite()
        near, far = agent(NEAR).called(user), agent(PROXY, SECOND_PORT).called(user)
        return Ringing(asterisk, *near, *far)

    return make


def refuse(call: Call, invite: SipMessage, code: int, *rows: str) -> None:
    call.answer(invite, code, *rows)
    call.expect("ACK")


def way(invite: SipMessage) -> tuple[str | None, tuple[str, ...], str, tuple[str, ...]]:
    """Request-URI, Route set, the edge's own address and the branch flags."""
    sent_by = invite.rows("Via")[0].partition(";")[0].split()[1].removesuffix(":5060")
    return invite.request_uri, invite.rows("Route"), sent_by, invite.rows("X-Flags")


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.3-01")
def test_path_socket_and_flags_are_those_of_the_branch_that_was_refused(
    ring: Callable[[], Ringing], edge: EdgeOnce, stack: Stack
) -> None:
    ringing = ring()
    path = f"<sip:{stack.address(PROXY)};lr>"
    assert way(ringing.at_far)[1:] == ((path,), f"{edge.address}:{SECOND_PORT}", (str(1 << FLAG),))
    assert way(ringing.at_near)[1:] == ((), edge.address, ("0",))
    refuse(ringing.far, ringing.at_far, 422, "Min-SE: 3600")
    refuse(ringing.near, ringing.at_near, 486)
    again = ringing.far.expect("INVITE")
    assert way(again) == way(ringing.at_far)
    assert again.rows("Min-SE") == ("3600",)
    ringing.answered(ringing.far, again, 3600)


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-03", "UAC-7.4-05")
def test_everybody_who_answered_422_is_tried_again_with_the_largest_min_se(
    ring: Callable[[], Ringing],
) -> None:
    ringing = ring()
    refuse(ringing.near, ringing.at_near, 422, "Min-SE: 3600")
    refuse(ringing.far, ringing.at_far, 422, "Min-SE: 4000")
    at_near, at_far = ringing.near.expect("INVITE"), ringing.far.expect("INVITE")
    assert (way(at_near), way(at_far)) == (way(ringing.at_near), way(ringing.at_far))
    assert (at_near.rows("Min-SE"), at_far.rows("Min-SE")) == (("4000",), ("4000",))
    refuse(ringing.near, at_near, 486)
    ringing.answered(ringing.far, at_far, 4000)


@pytest.mark.requirement("UAC-7.3-01")
def test_a_422_is_retried_though_tm_prefers_the_404_of_another(ring: Callable[[], Ringing]) -> None:
    ringing = ring()
    refuse(ringing.near, ringing.at_near, 422, "Min-SE: 3600")
    refuse(ringing.far, ringing.at_far, 404)
    again = ringing.near.expect("INVITE")
    assert way(again) == way(ringing.at_near)
    ringing.answered(ringing.near, again, 3600)


def test_a_603_of_one_ends_the_call_for_all(ring: Callable[[], Ringing]) -> None:
    ringing = ring()
    refuse(ringing.near, ringing.at_near, 422, "Min-SE: 3600")
    refuse(ringing.far, ringing.at_far, 603)
    assert ringing.asterisk.final(1).status == 603
    again = ring()
    assert again.at_near.rows("Session-Expires") == ("3600",), "it was learned all the same"
    refuse(again.near, again.at_near, 486)
    refuse(again.far, again.at_far, 486)
