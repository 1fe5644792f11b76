"""The far end's view of a request that is sent once more after a 422: same Call-ID, From tag and CSeq.

RFC 4028 7.3 wants CSeq + 1, which a proxy cannot give. A UAS that still has the first transaction may take
the second for one that came on two ways, and answer 482 (RFC 3261 8.2.2.2); within a dialog it may answer 500
to a CSeq that does not grow (12.2.2).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import asterisk_orders
from e2e.observed_edge import Kamailio, Wire
from e2e.user_agent import Originate, Peer
from lab.sip import SipMessage
from lab.stack import ROOT, Stack
from lab.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_learned")

FAR = 16
"""The last number of the far Asterisk's address."""
MIN_SE = 2000


@pytest.fixture
def far_asterisk(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """An Asterisk that runs session timers by itself and wants long ones; gives its address."""
    lab, name, address = tmp_path / "lab", stack.container("far-asterisk"), stack.address(FAR)
    shutil.copytree(ROOT / "docker" / "asterisk", lab)
    pjsip = lab / "etc" / "pjsip.conf"
    endpoint = "[edge](session-timer)\ntype = endpoint\n"
    text = pjsip.read_text(encoding="utf-8")
    assert endpoint in text
    timers = f"timers = yes\ntimers_min_se = {MIN_SE}\ntimers_sess_expires = {MIN_SE + 500}\n"
    pjsip.write_text(text.replace(endpoint, endpoint + timers), encoding="utf-8")
    mounts = {
        lab: "/opt/lab",
        ROOT / "asterisk": "/opt/session-timer/asterisk",
        ROOT / "docker" / "config" / "ami-secret": "/run/secrets/ami",
    }
    volumes = [word for host, inside in mounts.items() for word in ("-v", f"{host}:{inside}:ro")]
    image = subprocess.check_output(
        ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("asterisk")], text=True
    ).strip()
    network = ["--network", f"{stack.project}_sip", "--ip", address]
    environment = ["-e", f"LAB_NET={stack.network}", "--entrypoint", "/opt/lab/start"]
    subprocess.run(
        ["docker", "run", "-d", "--name", name, *network, *environment, *volumes, image],
        check=True,
        capture_output=True,
        timeout=60,
    )
    health = ["docker", "exec", name, "/opt/lab/health"]
    try:
        wait_until(
            lambda: subprocess.run(health, check=False, capture_output=True).returncode == 0,
            30,
            f"{name} to have booted",
        )
        yield address
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True, timeout=60)


def place(stack: Stack, address: str) -> str:
    """Make Asterisk call the far one; the Call-ID."""
    before = stack.channels().keys()
    stack.ami(
        "Originate",
        Channel=f"PJSIP/edge/sip:wait@{address}",
        Context="calls",
        Exten="wait",
        Priority="1",
        Async="true",
    )
    (call_id,) = wait_until(lambda: stack.channels().keys() - before, 8, f"a call to {address}")
    return call_id


def sent(wire: Wire, call_id: str, to: str, method: str) -> list[SipMessage]:
    return [
        each.message
        for each in wire.packets(call_id)
        if each.destination.address == to and each.message.is_request(method)
    ]


@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-05")
def test_a_far_asterisk_takes_the_second_try(
    far_asterisk: str, stack: Stack, edge: Kamailio, wire: Wire
) -> None:
    """pjproject is a UAS of its own: it answers 422 by itself, and the same INVITE once more with 200."""
    call_id = place(stack, far_asterisk)
    assert wire.reached(stack.edge, call_id, 422).rows("Min-SE") == (str(MIN_SE),)
    wire.reached_asterisk(call_id, 200)
    first, second = sent(wire, call_id, far_asterisk, "INVITE")
    assert (first.cseq, first.from_tag) == (second.cseq, second.from_tag)
    assert first.rows("Session-Expires") == ("1800",)
    assert second.rows("Session-Expires") == (str(MIN_SE),)
    assert second.rows("Min-SE") == (str(MIN_SE),)
    assert edge.record(call_id)["interval"] == str(MIN_SE)
    assert not [each for each in wire.to_asterisk(call_id) if each.status == 422]
    stack.ami("Hangup", Channel=stack.channels()[call_id], Cause="16")
    wire.reached_asterisk(call_id, 200, count=2)

    another = place(stack, far_asterisk)
    wire.reached_asterisk(another, 200)
    (only,) = sent(wire, another, far_asterisk, "INVITE")
    assert only.rows("Min-SE") == (str(MIN_SE),)
    stack.ami("Hangup", Channel=stack.channels()[another], Cause="16")
    wire.reached_asterisk(another, 200, count=2)


@pytest.mark.requirement("UAC-7.4-05", "REF-10-06")
def test_a_far_end_that_takes_the_second_try_for_a_loop(
    peer: Peer, originate: Originate, stack: Stack, edge: Kamailio, wire: Wire
) -> None:
    """One call is lost, at once and with a final answer; the log says why; the next one succeeds."""
    retried = edge.counter("422_retried")
    call, first = originate(peer(49))
    call.answer(first, 422, f"Min-SE: {MIN_SE}", "Supported: timer")
    call.expect("ACK")
    second = call.expect("INVITE")
    call.answer(second, 482)
    call.expect("ACK")
    final = wire.reached_asterisk(call.call_id, 482)
    assert final.cseq == first.cseq
    assert edge.counter("422_retried") == retried + 1
    wait_until(lambda: call.call_id not in stack.channels(), 8, "Asterisk to have ended the call")
    assert len(sent(wire, call.call_id, call.agent.address, "INVITE")) == 2
    finals = [each.status for each in wire.to_asterisk(call.call_id) if (each.status or 0) >= 200]
    assert finals == [482]
    told = [line for line in stack.logs("edge").splitlines() if call.call_id in line and "482" in line]
    assert len(told) == 1, told
    assert f"default_expires: {MIN_SE}" in told[0]

    other, invite = originate(peer(49))
    assert invite.rows("Session-Expires") == (str(MIN_SE),)
    assert invite.rows("Min-SE") == (str(MIN_SE),)
    other.accept(invite, "Supported: timer", "Require: timer", f"Session-Expires: {MIN_SE};refresher=uac")
    other.expect("ACK")
    assert other.bye().status == 200


@pytest.mark.requirement("UAC-7.4-05")
def test_a_far_end_that_refuses_the_same_cseq_within_a_dialog(
    peer: Peer, originate: Originate, stack: Stack, edge: Kamailio
) -> None:
    """The refusal is on record, the Min-SE remembered: the next refresh has another CSeq and succeeds."""
    timer = ("Supported: timer", "Require: timer")
    call, invite = originate(peer(49))
    call.accept(invite, *timer, "Session-Expires: 1800;refresher=uac")
    call.expect("ACK")
    asterisk_orders.update(stack, call)
    first = call.expect("UPDATE")
    call.answer(first, 422, f"Min-SE: {MIN_SE}", "Supported: timer")
    second = call.expect("UPDATE")
    assert second.cseq == first.cseq
    assert second.rows("Min-SE") == (str(MIN_SE),)
    call.answer(second, 500)
    failed = edge.record(call.call_id, failure="500", min_se=str(MIN_SE))
    assert (failed["failed_by"], failed["interval"], failed["refreshes"]) == ("local", "1800", "0")
    asterisk_orders.update(stack, call)
    third = call.expect("UPDATE")
    assert third.cseq > first.cseq
    assert third.rows("Session-Expires") == (f"{MIN_SE};refresher=uac",)
    call.answer(third, 200, *timer, f"Session-Expires: {MIN_SE};refresher=uac")
    kept = edge.record(call.call_id, interval=str(MIN_SE), refreshes="1")
    assert "failure" not in kept
    assert call.bye().status == 200
