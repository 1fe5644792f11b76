"""Two companions for one Asterisk: the one that leads dies, and the other one refreshes within seconds.

It stops in the end, and the first one, which has been started again meanwhile, has the lead at once.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.killed_parts import kill, start
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    HALF,
    INTERVAL,
    NO_UPDATE,
    in_a_row,
    received,
)
from tests.lab.stack import ROOT
from tests.lab.together import Stage
from tests.lab.waiting import wait_until

LEADER, STANDBY = "companion", "companion-standby"
"""What the stack calls their containers."""
STANDBY_HOST = 32
TAKEOVER = 6 + 2 + 3
"""Seconds: the lead's life, a round of asking for it, and a round of the standby's looks at what is due."""
TOO_SOON = HALF * 0.7
"""Seconds between two refreshes of a call; one that came sooner was sent twice."""
IN_A_ROW = 1.0
"""Seconds within which re-INVITEs leave that make one refresh."""


@contextmanager
def standing_by(stage: Stage, folder: Path) -> Iterator[Companion]:
    """A second companion on a host of its own, with the settings of the first."""
    text = (ROOT / "docker/config/session-timer.yaml").read_text(encoding="utf-8")
    (folder / "session-timer.yaml").write_text(text.replace("@LAB_NET@", stage.stack.network))
    with companion_once(stage.stack, folder, STANDBY_HOST, STANDBY) as found:
        yield found


def leads(companion: Companion) -> bool:
    """Whether it says so of its Asterisk."""
    status, body = companion.get("/readyz")
    return status == 200 and set(json.loads(body)["role"].values()) == {"leading"}


def times(stage: Stage, peer: LivePeer) -> list[float]:
    """When Asterisk's refreshes of a call passed the edge; the wall clock of this machine.

    Where re-INVITEs in a row make one refresh (`in_a_row`) its time is that of the first.
    """
    found: list[float] = []
    row, left = in_a_row(stage.stack), 0
    for packet in stage.wire.packets(peer.call.call_id):
        message = packet.message
        if packet.source.address != stage.stack.asterisk or message.to_tag is None:
            continue
        if left and message.is_request("INVITE") and packet.time - found[-1] < IN_A_ROW:
            left -= 1
        elif message.is_request("UPDATE", "INVITE"):
            found.append(packet.time)
            left = row - 1
    return found


@pytest.mark.requirement("UAC-7.2-15")
def test_the_standby_refreshes_within_seconds_and_nothing_twice(stage: Stage, tmp_path: Path) -> None:
    ours = [
        LivePeer(received(stage, BY_UPDATE)[0]),
        LivePeer(received(stage, BY_REINVITE, allow=NO_UPDATE)[0]),
        LivePeer(received(stage, BY_UPDATE)[0]),
    ]
    theirs = LivePeer(received(stage, BY_THEM, f"{INTERVAL};refresher=uac")[0], refreshes=True)
    everybody = [*ours, theirs]
    for peer in everybody:
        peer.begin()
    first = stage.companion
    with standing_by(stage, tmp_path) as standby:
        takes_over(stage, standby, ours)
        assert not times(stage, theirs), "the peer refreshes, and was in time"
        assert {peer.call.call_id for peer in everybody} <= standby.sessions().keys()
        assert not standby.metric("session_timer_faults_total")
        # Who led before follows now, and has the lead back when the other one stops.
        first.ready()
        assert not leads(first)
        stop = ["docker", "stop", "--time", "5", stage.stack.container(STANDBY)]
        subprocess.run(stop, check=True, capture_output=True)
        wait_until(lambda: leads(first), 20, "the first one to lead")
    for peer in everybody:
        peer.end()
        assert not peer.hung_up
        assert peer.call.bye().status == 200
    assert not first.metric("session_timer_faults_total")


def takes_over(stage: Stage, standby: Companion, ours: list[LivePeer]) -> None:
    """The leader is killed: the other one refreshes our calls, each of them once when it is due."""
    assert (leads(stage.companion), leads(standby)) == (True, False)
    for peer in ours:
        if not peer.refreshed:
            peer.is_refreshed(INTERVAL)
    kill(stage.stack, LEADER)
    died = time.time()
    wait_until(lambda: leads(standby), TAKEOVER, "the standby to lead")
    start(stage.stack, LEADER)
    for peer in ours:
        peer.is_refreshed(TAKEOVER + HALF)
        at = times(stage, peer)
        assert min(each for each in at if each > died) - died < TAKEOVER + HALF
        assert min(later - sooner for sooner, later in pairwise(at)) > TOO_SOON
