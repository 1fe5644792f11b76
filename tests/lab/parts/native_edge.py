"""The edge that runs Debian's own kamailio.cfg with the lines of docs/how-to/native.md."""

from __future__ import annotations

import os

from tests.lab.parts.observed_edge import Kamailio
from tests.lab.stack import Stack

NATIVE = os.environ.get("EDGE_CONFIG") == "native"


def tell_gateway(edge: Kamailio, stack: Stack) -> None:
    """Numbers go to Asterisk: the stock configuration is told so at run time, and a restart forgets it."""
    if NATIVE:
        answer = edge.rpc("cfg.set_now_string", "pstn", "gw_ip", stack.asterisk)
        assert "result" in answer, answer
