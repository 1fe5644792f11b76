"""docs/how-to/dispatcher.md, added to Debian's kamailio.cfg: two Asterisks, of which one dies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.parts.asterisk_once import asterisk_once
from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.killed_parts import kill
from tests.lab.parts.observed_edge import Wire
from tests.lab.parts.replicated_edges import NATIVE_PAGE, SETTINGS, added, native
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Call, Peer, UserAgent
from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT, Stack

PAGE = (ROOT / "docs/how-to/dispatcher.md").read_text(encoding="utf-8")
EDGE, SECOND = 15, 22
"""The last numbers of their addresses."""
TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


@pytest.fixture
def edge(stack: Stack, tmp_path: Path) -> Iterator[EdgeOnce]:
    """With both Asterisks behind it."""
    folder, settings = tmp_path / "etc", tmp_path / "settings"
    folder.mkdir()
    settings.mkdir()
    own = stack.address(EDGE)
    stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    config = native(stock, NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", own))
    (folder / "kamailio.cfg").write_text(added(config, PAGE), encoding="utf-8")
    (listed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    gateways = "".join(f"{line.strip()}\n" for line in listed.splitlines())
    lab = gateways.replace("198.18.0.21", stack.address(SECOND)).replace("198.18.0", stack.network)
    assert lab.count(stack.network) == 2
    (folder / "dispatcher.list").write_text(lab, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "edge" / "health", folder)
    for each in (ROOT / "kamailio").glob("session-timer*"):
        shutil.copy(each, folder)
    for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
        shutil.copytree(package, folder / package.name)
    both = f'{stack.asterisk}", "{stack.address(SECOND)}'
    (settings / "session-timer.yaml").write_text(
        SETTINGS.format(asterisk=both, name="edge"), encoding="utf-8"
    )
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")
    found = EdgeOnce(stack, folder, settings / "session-timer.yaml", {}, EDGE)
    with asterisk_once(stack, tmp_path / "second", SECOND, "asterisk-of-two", {}), found.running():
        yield found


def answered(agent: UserAgent) -> tuple[Call, SipMessage]:
    """A call that is up, and its 2xx."""
    call = agent.call(f"sip:+49301000@{agent.edge}")
    answer = call.final(call.invite(*TIMER), timeout=15)
    assert answer.status == 200, answer.start_line
    call.establish(answer)
    call.send("ACK", cseq=answer.cseq[0])
    return call, answer


def who(answer: SipMessage) -> str:
    """The address of the Asterisk that has answered."""
    contact = answer.header("Contact") or ""
    return re.sub(r"^.*sip:(?:[^@>]*@)?([\d.]+).*$", r"\1", contact)


def test_calls_are_shared_and_timed_and_a_dead_asterisk_is_passed_over(
    edge: EdgeOnce, stack: Stack, sockets: LabSockets, wire: Wire, peer: Peer
) -> None:
    agent = UserAgent(sockets, peer(41).address, edge.address, wire, stock=True)
    small = agent.call(f"sip:+49301000@{agent.edge}")
    refused = small.final(small.invite("Supported: timer", "Session-Expires: 60", "Min-SE: 60"))
    assert (refused.status, refused.header("Min-SE")) == (422, "90")
    small.send("ACK", cseq=refused.cseq[0], branch=small.invite_branch)

    taken = set()
    for _ in range(2):
        call, answer = answered(agent)
        taken.add(who(answer))
        assert answer.header("Session-Expires") == "1800;refresher=uac"
        assert call.bye().status == 200
    assert taken == {stack.asterisk, stack.address(SECOND)}

    kill(stack, "asterisk-of-two")
    for _ in range(2):
        call, answer = answered(agent)
        assert who(answer) == stack.asterisk
        assert answer.header("Session-Expires") == "1800;refresher=uac"
        assert call.bye().status == 200
