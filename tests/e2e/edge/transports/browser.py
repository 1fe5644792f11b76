"""JsSIP in a real Chromium calls by WebSocket: signalling, media and a hold, seen at the edge."""

from __future__ import annotations

import subprocess

from tests.e2e.edge.transports.every_transport import EDGE_SERVICE, HTTP, EveryTransport
from tests.lab.observed import ObservedCall
from tests.lab.peers.expectations import INTERNAL
from tests.lab.stack import ROOT
from tests.lab.waiting import PATIENCE, wait_until
from tests.stacks.container import Container
from tests.stacks.line import Line

HOST = 34
"""The last number of its address: no profile asks for it."""
INTERVAL = 90
"""Seconds. JsSIP takes no shorter ones."""
AGREED = f"{INTERVAL};refresher=uac"


def build() -> None:
    """The image, with the library from npm; there already, if `make` has begun this."""
    subprocess.run([ROOT / "docker" / "build-stacks", "chromium"], check=True, timeout=1200)


def browser(lab: EveryTransport) -> None:
    """It calls, media passes, it holds: its re-INVITE is a refresh. Asterisk ends the call."""
    address = lab.stack.address(HOST)
    arguments = ["--local", address, "--edge", lab.stack.edge, "--expires", str(INTERVAL)]
    arguments += ["--refresher", "uac", "--call", "wait", "--hold-after", "1"]
    kept_in = ROOT / "out" / "e2e" / f"{lab.stack.project}-browser.pcap"
    with lab.stack.capture(kept_in, EDGE_SERVICE, f"udp port 5060 or tcp port {HTTP}") as path:
        line = Line(lab.stack, path)
        image = "session-timer/stack-chromium:trixie"
        started = Container.start(
            lab.stack, "browser", image, HOST, ["bash", "/opt/stacks/chromium/agent", *arguments]
        )
        try:
            started.ready()
            wait_until(
                started.printed, 60, "media of the browser", holds=lambda text: "media connected" in text
            )
            held = wait_until(lambda: line.call(address), 60, "its hold", holds=_held)
            lab.edge.record(held.call_id, interval=str(INTERVAL), refresher="remote", refreshes="1")
            lab.stack.ami("Hangup", Channel=lab.stack.channels()[held.call_id], Cause="16")
            over = wait_until(lambda: line.call(address), PATIENCE, "BYE to be answered", holds=_ended)
        finally:
            started.remove()
            line.close()
    assert over.agreed == AGREED
    assert [each.agreed for each in over.refreshes] == [AGREED]
    assert b"a=sendonly" in over.refreshes[0].request.message.body
    assert not [each for each in over.outside if each.message.rows(INTERNAL)]
    lab.edge.records(over.call_id, 0)


def _held(call: ObservedCall) -> bool:
    return any(each.answered for each in call.refreshes)


def _ended(call: ObservedCall) -> bool:
    return call.bye is not None and call.response(call.bye) is not None
