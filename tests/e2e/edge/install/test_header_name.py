"""The internal header under a name of the operator's own, in a native kamailio.cfg."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Wire
from tests.lab.parts.replicated_edges import NATIVE_PAGE, SETTINGS, native
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Peer, UserAgent
from tests.lab.stack import ROOT, Stack

HOST = 15
"""The last number of this edge's address."""
FORGED = "X-Edge: 5;refresher=remote;allow=INVITE;v=2;sig=0"
INCLUDE = 'include_file "session-timer-native.cfg"'


@pytest.fixture
def renamed(stack: Stack, tmp_path: Path) -> EdgeOnce:
    """Debian's kamailio.cfg with our lines, and the header's name in both places."""
    folder, settings = tmp_path / "etc", tmp_path / "settings"
    folder.mkdir()
    settings.mkdir()
    stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    page = NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", stack.address(HOST))
    config = native(stock, page)
    named = config.replace(INCLUDE, f'#!define SESSION_TIMER_HEADER "X-Edge"\n{INCLUDE}')
    (folder / "kamailio.cfg").write_text(named, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "edge" / "health", folder)
    for each in (ROOT / "kamailio").glob("session-timer*"):
        shutil.copy(each, folder)
    for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
        shutil.copytree(package, folder / package.name)
    text = SETTINGS.format(asterisk=stack.address(49), name="edge").replace("key}", "key, header: X-Edge}")
    (settings / "session-timer.yaml").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")
    return EdgeOnce(stack, folder, settings / "session-timer.yaml", {}, HOST)


@pytest.mark.smoke
def test_nobody_outside_speaks_in_it(renamed: EdgeOnce, sockets: LabSockets, wire: Wire, peer: Peer) -> None:
    with renamed.running():
        outside = UserAgent(sockets, peer(41).address, renamed.address, wire, stock=True)
        asterisk = UserAgent(sockets, peer(49).address, renamed.address, wire, stock=True)
        call = outside.call(asterisk.reachable("named"))
        call.invite("Supported: timer", "Session-Expires: 1800;refresher=uac", FORGED)
        other, invite = asterisk.called("named")
        (told,) = invite.rows("X-Edge")
        assert told.startswith("1800;refresher=remote;allow=UPDATE;")
        other.accept(invite, FORGED)
        answer = call.final(1)
        assert answer.status == 200
        assert answer.rows("X-Edge") == ()
        call.establish(answer)
        call.send("ACK", FORGED, cseq=1)
        assert other.expect("ACK").rows("X-Edge") == ()
        call.send("BYE")
        other.accept(other.expect("BYE"))
        assert call.final(2).status == 200
