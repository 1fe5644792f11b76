"""An edge that hides the topology, by the lines of docs/how-to/topology-hiding.md, and what is behind it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab.parts.asterisk_once import asterisk_once
from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import UserAgent
from tests.lab.stack import ROOT, Stack

PAGE = (ROOT / "docs" / "how-to" / "topology-hiding.md").read_text(encoding="utf-8")
_BLOCKS = dict(re.findall(r"^```(topo\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
WAYS = {way: lines for way, lines in _BLOCKS.items() if not way.endswith("-bye")}
"""The lines of each way, by what the page calls it."""
BYE = {way.removesuffix("-bye"): lines for way, lines in _BLOCKS.items() if way not in WAYS}
"""What `bye_on_expiry` needs besides."""

EDGE, ASTERISK, COMPANION, PEER, ANOTHER = 24, 25, 26, 41, 49
"""The last numbers of their addresses."""
INTERVAL = 8
"""Seconds of a session."""

INCLUDED = 'include_file "/opt/session-timer/kamailio/session-timer.cfg"\n'
SETTINGS = f"""
unsafe_lab_intervals: true
session_timer: {{{{default_expires: {INTERVAL}, min_se: 4, prefer_refresher: uas}}}}
asterisk: ["{{asterisk}}"]
edge: {{{{name: hiding, door: "http://{{edge}}:5060", key_file: key, bye_on_expiry: true}}}}
peers:
  - name: ended
    match: {{{{domain: [ended.example]}}}}
    session_timer: {{{{mode: proxy, default_expires: 4, min_se: 4}}}}
companion:
  brake: {{{{hangups_a_minute: 0}}}}
  ami: [{{{{name: asterisk, host: "{{asterisk}}", username: session-timer, secret_file: /run/secrets/ami}}}}]
"""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What calls are played with."""

    stack: Stack
    """Its AMI is that of the Asterisk here."""
    edge: Kamailio
    peer: UserAgent
    another: UserAgent
    companion: Companion


@contextmanager
def behind(stack: Stack, folder: Path) -> Iterator[Companion]:
    """An Asterisk and its companion, which use the edge that is not there yet; ``folder`` is empty."""
    settings = folder / "settings"
    settings.mkdir()
    asterisk, edge = stack.address(ASTERISK), stack.address(EDGE)
    text = SETTINGS.format(asterisk=asterisk, edge=edge)
    (settings / "session-timer.yaml").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")

    def by_our_edge(pjsip: str) -> str:
        assert "@LAB_NET@.10" in pjsip
        return pjsip.replace("@LAB_NET@.10", edge)

    with ExitStack() as kept:
        changes = {"pjsip.conf": by_our_edge}
        kept.enter_context(asterisk_once(stack, folder / "lab", ASTERISK, "asterisk-hidden", changes))
        yield kept.enter_context(companion_once(stack, settings, COMPANION, "companion-hidden"))


@contextmanager
def hiding(
    stack: Stack, sockets: LabSockets, companion: Companion, way: str, folder: Path, settings: Path
) -> Iterator[Hidden]:
    """The edge with the page's lines for ``way``; ``folder`` is empty."""
    lab = ROOT / "docker" / "edge"
    config = (lab / "kamailio.cfg").read_text(encoding="utf-8")
    assert INCLUDED in config
    lines = WAYS[way] + BYE.get(way, "")
    config = config.replace(INCLUDED, INCLUDED.replace("/opt/session-timer", "/checkout") + lines)
    (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
    for name in ("kamailio.py", "health"):
        shutil.copy(lab / name, folder)
    environment = {
        "PYTHONPATH": "/checkout/pylib:/checkout/kamailio",
        "ASTERISK_ADDRESS": stack.address(ASTERISK),
    }
    once = EdgeOnce(stack, folder, settings, environment, host=EDGE, service="edge-hiding")
    with once.running():
        kamailio = Kamailio(sockets, (stack.address(40), 7092), (once.address, 8090))
        peer, another = (
            UserAgent(sockets, stack.address(host), once.address, None) for host in (PEER, ANOTHER)
        )
        yield Hidden(replace(stack, asterisk_host=ASTERISK), kamailio, peer, another, companion)
