"""A stream of mutated INVITE, UPDATE and 2xx meets the edge while healthy calls go on.

``HOSTILE`` is how many messages are sent, 480 unless set; the same ones in each run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.lab.parts.observed_edge import Kamailio, fields
from tests.lab.peers.hostile_messages import HOSTILE, Hostile
from tests.lab.peers.hostile_sender import HostileSender
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import BY_UPDATE, INTERVAL, received
from tests.lab.peers.user_agent import Call
from tests.lab.stack import Stack
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

BATCH = 6
MESSAGES = int(os.environ.get("HOSTILE", "480"))
BAD_WORDS = ("traceback", "exception", "fault in our code", "core dumped", "segfault", "signal 11", "bug:")


@dataclass(slots=True)
class Healthy:
    """Two calls that nothing may disturb: one we refresh, one is refreshed from Asterisk's side."""

    stage: Stage
    ours: Call
    theirs: Call
    live: LivePeer
    """Answers the refreshes of theirs, whatever this process does meanwhile."""
    refreshes: int = 0
    """Of ours, so far."""

    @property
    def kept(self) -> dict[str, str]:
        """The record of the call that we refresh; the whole table is too large for one datagram by now."""
        tags = sorted((self.ours.local_tag, self.ours.remote_tag or ""))
        answer = self.stage.edge.rpc("htable.get", "session_timer", ";".join((self.ours.call_id, *tags)))
        assert "result" in answer, answer
        return fields(str(answer["result"]["item"]["value"]))

    def refresh(self) -> None:
        """Refresh ours, and see that the record moves."""
        answer = self.ours.ask("UPDATE", "Supported: timer", "Session-Expires: 1800;refresher=uac")
        assert (answer.status, answer.rows("Session-Expires")) == (200, ("1800;refresher=uac",))
        self.refreshes += 1
        wait_until(
            lambda: self.kept.get("refreshes"),
            PATIENCE,
            f"refresh {self.refreshes} in the record",
            holds=lambda seen: seen == str(self.refreshes),
            pause=0.02,
        )


@pytest.fixture
def healthy(stage: Stage) -> Iterator[Healthy]:
    ours = stage.peer(45).call()
    ours.dial("Supported: timer", "Session-Expires: 1800;refresher=uac")
    theirs, _ = received(stage, BY_UPDATE)
    live = LivePeer(theirs)
    live.begin()
    yield Healthy(stage, ours, theirs, live)
    live.end()


@pytest.fixture
def sender(stage: Stage) -> Iterator[HostileSender]:
    """Its records are cleared away: later tests read the whole table in one datagram."""
    hostile = HostileSender(stage.wire.sockets, stage.stack)
    yield hostile
    hostile.close()
    stage.edge.rpc("htable.flush", "session_timer")
    stage.edge.rpc("htable.flush", "session_timer_min_se")


def processes(edge: Kamailio) -> list[int]:
    """The numbers of Kamailio's processes."""
    return [each["PID"] for each in edge.rpc("core.psx")["result"]]


def started(stack: Stack) -> str:
    form = "{{.State.StartedAt}} {{.RestartCount}}"
    return subprocess.check_output(
        ["docker", "inspect", "-f", form, stack.container("edge")], text=True
    ).strip()


@pytest.mark.smoke
@pytest.mark.requirement("SE-4-02", "SE-4-12", "S61-20-01")
def test_mutated_messages_disturb_nothing(stage: Stage, healthy: Healthy, sender: HostileSender) -> None:
    begun = datetime.now(UTC).isoformat()
    before = (stage.edge.counter("faults"), processes(stage.edge), started(stage.stack))
    outcomes = ("negotiations", "malformed", "422_sent")
    counted = [stage.edge.counter(name) for name in outcomes]
    batches = 0

    @settings(
        max_examples=-(-MESSAGES // BATCH),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(HOSTILE, min_size=BATCH, max_size=BATCH))
    def stream(batch: list[Hostile]) -> None:
        nonlocal batches
        for each in batch:
            sender.send(each)
        sender.is_answered()
        sender.drain()
        batches += 1
        if batches % 20 == 0:
            healthy.refresh()

    stream()
    wait_until(lambda: healthy.live.refreshed, 2 * INTERVAL, "a refresh from Asterisk's side")
    assert not healthy.live.hung_up
    healthy.refresh()
    # Before all else that takes long: their peers are threads of this process, and must answer in time.
    for call in (healthy.ours, healthy.theirs):
        assert call.bye().status == 200
    written = stage.stack.log_lines("edge", since=begun)
    assert [line for line in written if any(word in line.lower() for word in BAD_WORDS)] == []
    assert (stage.edge.counter("faults"), processes(stage.edge), started(stage.stack)) == before
    # The stream reached our code, and by every way: not all of it was refused before.
    grown = [stage.edge.counter(name) - was for name, was in zip(outcomes, counted, strict=True)]
    negotiated, malformed, small = grown
    # Few intervals are too small and all else well-formed: whether any is depends on which calls are up.
    assert negotiated, grown
    assert malformed + small, grown
    assert all(sender.sent.values()), sender.sent
    print(
        f"{sum(sender.sent.values())} hostile messages:", {k.name: n for k, n in sender.sent.items()}, grown
    )
