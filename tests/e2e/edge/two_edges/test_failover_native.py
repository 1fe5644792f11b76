"""The lines of docs/how-to/failover.md in the kamailio.cfg that Kamailio ships with."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_timer.record import RECORDS

from tests.lab.parts.replicated_edges import Edges, replicate
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.stack import Stack


@pytest.mark.smoke
def test_two_edges_with_the_stock_configuration(stack: Stack, sockets: LabSockets, tmp_path: Path) -> None:
    edges = Edges(stack, sockets, tmp_path, "native")
    try:
        a, b = edges.start("a"), edges.start("b")
        for edge in (a, b):
            edge.clocks("host-a", "host-b")
        to = b.edge.address
        assert replicate(stack, "companion", to, "forged;a;b", "v=2", within=1) == "nothing"
        assert replicate(stack, "edge-a", to, "copied;a;b", "v=2") == "SIP/2.0 200 OK"
        assert list(b.entries(RECORDS)) == ["copied;a;b"]
    finally:
        edges.close()
