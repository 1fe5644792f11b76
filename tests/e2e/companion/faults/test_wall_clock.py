"""The wall clock of the companion's host jumps to and fro: no refresh is early or late, no live call ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.lab.parts.companion_once import companion_once, set_clock
from tests.lab.parts.killed_parts import kill, start
from tests.lab.peers.refreshed_calls import (
    BY_THEM,
    BY_UPDATE,
    EARLY,
    GIVEN_UP,
    HALF,
    INTERVAL,
    LATE,
    TIMER,
    agree,
    received,
    refresh,
)
from tests.lab.together import Stage
from tests.lab.waiting import wait_until

HOST, THERE = 32, "companion-elsewhen"
THEIRS = f"{INTERVAL};refresher=uac"
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Elsewhen:
    """A companion in the place of the lab's, on a host with a clock of its own."""

    stage: Stage
    clock: Path

    def jump(self, seconds: int) -> None:
        """Its wall clock is so far ahead from now on."""
        set_clock(self.clock, seconds)
        now = self.stage.stack.exec(THERE, "date", "+%s")
        assert abs(int(now) - time.time() - seconds) < 10


@pytest.fixture
def elsewhen(stage: Stage, tmp_path: Path) -> Iterator[Elsewhen]:
    settings = stage.stack.exec("companion", "cat", "/run/session-timer.yaml")
    (tmp_path / "session-timer.yaml").write_text(settings, encoding="utf-8")
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    kill(stage.stack, "companion")
    try:
        with companion_once(stage.stack, tmp_path, HOST, THERE, "session-timer/clock:trixie") as companion:
            # The one that was killed had the lead, which passes when its lifetime is over.
            wait_until(
                lambda: json.loads(companion.get("/readyz")[1])["role"],
                20,
                "the lead",
                holds=lambda role: set(role.values()) == {"leading"},
            )
            yield Elsewhen(replace(stage, companion=companion), clock)
    finally:
        start(stage.stack, "companion")
        stage.companion.ready()


@pytest.mark.requirement("UAC-7.2-16", "REF-10-02", "REF-10-07")
def test_nothing_depends_on_it(elsewhen: Elsewhen) -> None:
    stage = elsewhen.stage
    ours, _ = received(stage, BY_UPDATE)
    theirs, _ = received(stage, BY_THEM, THEIRS)
    for jump in (HOUR, -HOUR, 0):
        elsewhen.jump(jump)
        agree(ours, refresh(ours, "UPDATE"))
        assert theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").status == 200
    seen = stage.observed(ours)
    sent = seen.refreshes_by(stage.stack.edge)
    assert len(sent) == 3
    for before, each in zip([seen.established, *(each.response for each in sent)], sent, strict=False):
        assert before is not None
        assert HALF - EARLY <= each.request.time - before.time <= HALF + LATE
    silent, _ = received(stage, BY_THEM, THEIRS)
    since = time.monotonic()
    elsewhen.jump(24 * HOUR)
    stage.companion.session(silent.call_id)
    agree(ours, refresh(ours, "UPDATE"))
    assert theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").status == 200
    wait_until(
        stage.companion.sessions, INTERVAL, "a dead call", holds=lambda seen: silent.call_id not in seen
    )
    assert GIVEN_UP - LATE <= time.monotonic() - since <= INTERVAL + LATE
    for call in (ours, theirs):
        assert call.bye().status == 200
    assert stage.companion.metric("session_timer_faults_total") == 0
