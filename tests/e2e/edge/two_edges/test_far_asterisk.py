"""An Asterisk at the far end wants longer sessions: a UAS that is none of ours, and how it takes a retry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.parts.asterisk_once import asterisk_once
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("nothing_learned")

FAR = 16
"""The last number of the far Asterisk's address."""
MIN_SE = 2000


@pytest.fixture
def far_asterisk(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """An Asterisk that runs session timers by itself and wants long ones; gives its address."""
    endpoint = "[edge](session-timer)\ntype = endpoint\n"
    timers = f"timers = yes\ntimers_min_se = {MIN_SE}\ntimers_sess_expires = {MIN_SE + 500}\n"

    def with_timers(pjsip: str) -> str:
        assert endpoint in pjsip
        return pjsip.replace(endpoint, endpoint + timers)

    with asterisk_once(stack, tmp_path / "lab", FAR, "far-asterisk", {"pjsip.conf": with_timers}) as address:
        yield address


def place(stack: Stack, address: str) -> str:
    """Make Asterisk call the far one; the Call-ID."""
    before = stack.channels().keys()
    stack.place_call(f"sip:wait@{address}")
    (call_id,) = wait_until(lambda: stack.channels().keys() - before, PATIENCE, f"a call to {address}")
    return call_id


@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-05")
def test_a_far_asterisk_takes_the_second_try(
    far_asterisk: str, stack: Stack, edge: Kamailio, wire: Wire
) -> None:
    """pjproject is a UAS of its own: it answers 422 by itself, and the same INVITE once more with 200."""
    call_id = place(stack, far_asterisk)
    if stack.asterisk_release() < (18, 0):
        # 16.28 does not answer what it should refuse, and the edge ends the wait.
        wait_until(
            lambda: [each.status for each in wire.to_asterisk(call_id) if (each.status or 0) >= 200],
            45,
            "the edge's 408",
            holds=lambda seen: seen == [408],
        )
        assert not [each for each in wire.packets(call_id) if each.message.status == 422]
        return
    assert wire.reached(stack.edge, call_id, 422).rows("Min-SE") == (str(MIN_SE),)
    wire.reached_asterisk(call_id, 200)
    first, second = wire.requests(far_asterisk, call_id, "INVITE")
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
    (only,) = wire.requests(far_asterisk, another, "INVITE")
    assert only.rows("Min-SE") == (str(MIN_SE),)
    stack.ami("Hangup", Channel=stack.channels()[another], Cause="16")
    wire.reached_asterisk(another, 200, count=2)
