"""Where calls are played: through the lab's edge over UDP, or through one that has every transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.e2e.edge.transports.every_transport import EDGE_SERVICE, HTTP, every_transport
from tests.lab.stack import ROOT, Stack
from tests.stacks.line import Line
from tests.stacks.play import Stage

SETTINGS = ROOT / "docker" / "config" / "session-timer.yaml"


@contextmanager
def over_udp(stack: Stack) -> Iterator[Stage]:
    """The lab as it is; what passes its edge is kept in out/stacks.pcap."""
    with stack.capture(ROOT / "out" / "stacks.pcap") as path:
        line = Line(stack, path)
        yield Stage(stack, line)
        line.close()


@contextmanager
def by_websocket(stack: Stack, folder: Path) -> Iterator[Stage]:
    """An edge, an Asterisk and a companion of its own, with the same profiles; out/browsers.pcap.

    ``folder`` is empty.
    """
    text = SETTINGS.read_text(encoding="utf-8").replace("@LAB_NET@", stack.network)
    peers = [each for each in yaml.safe_load(text)["peers"] if each["name"].startswith("stacks-")]
    with (
        every_transport(stack, folder, peers) as lab,
        lab.stack.capture(
            ROOT / "out" / "browsers.pcap", EDGE_SERVICE, f"udp port 5060 or tcp port {HTTP}"
        ) as path,
    ):
        line = Line(lab.stack, path)
        yield Stage(lab.stack, line)
        line.close()
