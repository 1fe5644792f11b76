"""The lines of asterisk/README.md that keep a hidden number from a peer that is not trusted."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import ADDRESS, EdgeOnce
from tests.lab.parts.observed_edge import Wire
from tests.lab.parts.replicated_edges import blocks
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Peer, UserAgent
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage

PAGE = (ROOT / "asterisk/README.md").read_text(encoding="utf-8")
IDENTITY = "<sip:4930123@pbx.example>"
SHOWN = (f"P-Asserted-Identity: {IDENTITY}",)
HIDDEN = ("Privacy: id", *SHOWN)
NATIVE = ("route(SESSION_TIMER_BRANCH);", "route(SESSION_TIMER_REPLY);")
KEMI = ("self.timers.on_branch()", "self.timers.on_reply()")
_make = runpy.run_path(str(ROOT / "docker/edge/native/make"))
added, native = _make["added"], _make["native"]


def test_asterisk_says_that_a_number_is_hidden_and_tells_it(stage: Stage) -> None:
    """Which is why the lines are there."""
    stack = stage.stack
    for step, application in enumerate(
        ("Set(CALLERID(num)=4930123)", "Set(CALLERID(pres)=prohib)", "Goto(calls,849777,1)"), start=1
    ):
        stack.asterisk_cli(f"dialplan add extension hiding,{step},{application} into calls replace")
    call = stage.peer(41).call(f"sip:hiding@{stack.edge}")
    number = call.invite()
    callee, invite = stage.peer(49).called("777")
    callee.accept(invite)
    callee.expect("ACK")
    call.ack(call.final(number))
    assert invite.rows("Privacy") == ("id",)
    assert "anonymous.invalid" in (invite.header("From") or "")
    assert "4930123" in (invite.header("P-Asserted-Identity") or "")
    assert call.bye().status == 200


def configuration(folder: Path, stack: Stack, way: str, own: str) -> None:
    """An edge with the page's lines, for `way` of configuring Kamailio."""
    if way == "native":
        stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
        page = (ROOT / "docs/how-to/native.md").read_text(encoding="utf-8").replace("198.18.0.10", own)
        config, name = native(stock, page), "kamailio.cfg"
    else:
        lab = (ROOT / "docker/edge/kamailio.cfg").read_text(encoding="utf-8")
        text = lab.replace("/opt/session-timer/kamailio/", "")
        (folder / "kamailio.cfg").write_text(text, encoding="utf-8")
        config, name = (ROOT / "docker/edge/kamailio.py").read_text(encoding="utf-8"), "kamailio.py"
    lines = blocks(PAGE, *(NATIVE if way == "native" else KEMI))
    (folder / name).write_text(added(config, lines), encoding="utf-8")


@pytest.mark.parametrize("way", ["kemi", "native"])
def test_the_lines_take_it_off_on_both_ways(
    stack: Stack, sockets: LabSockets, wire: Wire, peer: Peer, tmp_path: Path, way: str
) -> None:
    own, folder, settings = stack.address(ADDRESS), tmp_path / "etc", tmp_path / "settings"
    folder.mkdir()
    settings.mkdir()
    configuration(folder, stack, way, own)
    for each in (ROOT / "kamailio").glob("session-timer*"):
        shutil.copy(each, folder)
    shutil.copy(ROOT / "docker/edge/health", folder)
    (settings / "session-timer.yaml").write_text("session_timer: {enabled: true}\n", encoding="utf-8")
    path = {"PYTHONPATH": "/checkout/pylib:/checkout/kamailio"}
    edge = EdgeOnce(stack, folder, settings / "session-timer.yaml", path)
    caller, callee = (
        UserAgent(sockets, peer(host).address, own, wire, stock=way == "native") for host in (41, 49)
    )
    with edge.running():
        for number, rows in enumerate((HIDDEN, SHOWN)):
            user = f"{way}{number}"
            call = caller.call(callee.reachable(user))
            asked = call.invite(*rows)
            other, invite = callee.called(user)
            other.accept(invite, *rows)
            answer = call.final(asked)
            for message in (invite, answer):
                assert message.rows("P-Asserted-Identity") == (() if rows is HIDDEN else (IDENTITY,))
