"""Parts fail while calls go on: nobody's live call ends, no dead one stays, and the state is back.

Each fault meets a crowd: live peers that answer us, a live peer that refreshes, and peers that have died.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab.parts.killed_parts import kill, restart_edge, start
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    HALF,
    INTERVAL,
    NO_UPDATE,
    received,
)
from tests.lab.peers.user_agent import Call
from tests.lab.stack import Stack
from tests.lab.together import Stage
from tests.lab.waiting import wait_until

SELF_ENDING = 64
"""Seconds after a refresh by which Asterisk has ended a call whose peer does not answer: 32 for the
refresh and as many for the BYE, until which it keeps the channel. All that is left where nobody can tell."""


@dataclass(slots=True)
class Crowd:
    """Calls that were answered a moment ago."""

    stage: Stage
    live: list[LivePeer]
    dead: list[Call]
    began: float

    @classmethod
    @contextmanager
    def gathered(cls, stage: Stage) -> Iterator[Crowd]:
        began = time.monotonic()
        answers = [
            LivePeer(received(stage, BY_UPDATE)[0]),
            LivePeer(received(stage, BY_REINVITE, allow=NO_UPDATE)[0]),
            LivePeer(received(stage, BY_THEM, f"{INTERVAL};refresher=uac")[0], refreshes=True),
        ]
        dead = [received(stage, BY_UPDATE)[0], received(stage, BY_THEM, f"{INTERVAL};refresher=uac")[0]]
        for peer in answers:
            peer.begin()
        for call in [*(peer.call for peer in answers), *dead]:
            stage.companion.session(call.call_id)
        try:
            yield cls(stage, answers, dead, began)
        finally:
            for peer in answers:
                peer.end()

    def dead_are_gone(self, bound: float) -> None:
        """Within ``bound`` seconds from the start Asterisk has no channel of a dead peer any more."""
        names = {call.call_id for call in self.dead}
        wait_until(
            self.stage.stack.channels,
            max(1.0, self.began + bound - time.monotonic()),
            f"no channel of {sorted(names)}",
            holds=lambda seen: not names & seen.keys(),
            pause=0.5,
        )

    def live_are_kept(self) -> None:
        """The companion has every live call again, and refreshes are confirmed as if nothing had been."""
        for peer in self.live:
            if not peer.refreshes:
                peer.is_refreshed(2 * INTERVAL)
            assert not peer.hung_up, peer.call.call_id
            self.stage.companion.session(
                peer.call.call_id,
                lambda seen: seen["deadline"] > 0 and seen["state"] in ("ours", "theirs"),
                INTERVAL,
            )

    def leave(self) -> None:
        """Everybody hangs up; live calls must still have been there."""
        for peer in self.live:
            peer.end()
            assert not peer.hung_up
            assert peer.call.bye().status == 200


@contextmanager
def unreachable(stack: Stack, service: str, address: str) -> Iterator[None]:
    """Whatever this service sends to the address is lost."""
    image = subprocess.check_output(
        ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("carrier")], text=True
    ).strip()

    def route(verb: str) -> None:
        network = f"container:{stack.container(service)}"
        docker = [
            "docker",
            "run",
            "--rm",
            "--cap-add",
            "NET_ADMIN",
            "--network",
            network,
            "--entrypoint",
            "ip",
        ]
        subprocess.run([*docker, image, "route", verb, "blackhole", f"{address}/32"], check=True)

    route("add")
    try:
        yield
    finally:
        route("del")


def past(crowd: Crowd, seconds: float) -> None:
    """Wait until that long after the crowd's calls were answered: a fault has to last for a while."""
    wait_until(
        lambda: time.monotonic() >= crowd.began + seconds, seconds + 1, "the fault has lasted long enough"
    )


def edge_says_nothing(stage: Stage, crowd: Crowd) -> float:
    """Its RPC is cut off over two refreshes of each call; Asterisk alone shows who is alive."""
    with unreachable(stage.stack, "edge", stage.stack.address(30)):
        past(crowd, 15)
    # From then on the records tell again, and a dead peer's refresh has been out for long.
    return 15 + INTERVAL


def asterisk_is_cut_off(stage: Stage, crowd: Crowd) -> float:
    """The AMI connection is dead without a word, over the time of a refresh."""
    with unreachable(stage.stack, "asterisk", stage.stack.address(30)):
        past(crowd, 7)
    # A dead connection is noticed by a Ping: 10 seconds to the next, 5 for its answer; then it is made again.
    return INTERVAL + 7 + 15


def companion_is_killed(stage: Stage, crowd: Crowd) -> float:
    """kill -9, and gone over the time of a refresh."""
    kill(stage.stack, "companion")
    past(crowd, 7)
    start(stage.stack, "companion")
    stage.companion.ready()
    return INTERVAL + 10


def all_at_once(stage: Stage, crowd: Crowd) -> float:
    """The companion is killed, the edge restarts without its table, and AMI and RPC are cut off at first.

    The next 2xx of a live peer writes a record again. For a dead one there is none: Asterisk alone can tell.
    """
    stack, own = stage.stack, stage.stack.address(30)
    kill(stack, "companion")
    with unreachable(stack, "asterisk", own):
        start(stack, "companion")
        restart_edge(stage)
        with unreachable(stack, "edge", own):
            wait_until(lambda: knows_neither(stage), 20, "a companion that reaches neither Asterisk nor edge")
            past(crowd, 7)
    stage.companion.ready()
    return time.monotonic() - crowd.began + HALF + SELF_ENDING + 10


def knows_neither(stage: Stage) -> bool:
    status, body = stage.companion.get("/readyz")
    if status != 503:
        return False
    report = json.loads(body)
    return "ready" not in {*report["asterisk"].values(), *report["edge"].values()}


@pytest.mark.requirement("REF-10-02", "REF-10-07", "UAC-7.2-15")
@pytest.mark.parametrize(
    "fault",
    [edge_says_nothing, asterisk_is_cut_off, companion_is_killed, all_at_once],
    ids=lambda fault: fault.__name__,
)
def test_live_calls_live_and_dead_calls_end(stage: Stage, fault: Callable[[Stage, Crowd], float]) -> None:
    with Crowd.gathered(stage) as crowd:
        bound = fault(stage, crowd)
        crowd.live_are_kept()
        crowd.dead_are_gone(bound)
        crowd.live_are_kept()
        crowd.leave()
    assert stage.companion.metric("session_timer_faults_total") == 0
