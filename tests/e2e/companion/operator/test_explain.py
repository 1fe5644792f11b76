"""``session-timer explain`` on captures of real calls: lawful ones have no finding, a fault has one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.peers.refreshed_calls import BY_THEM, BY_UPDATE, INTERVAL, TIMER, keep, placed, received
from tests.lab.peers.user_agent import Call
from tests.lab.stack import ROOT
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, wait_until

together = Together()


def explained(trace: Path, call: Call) -> dict[str, Any]:
    """What the command says of one call; the lab's intervals are below 90 seconds."""
    asked = subprocess.run(
        [sys.executable, "-m", "session_timer_companion", "explain", str(trace),
         "--call", call.call_id, "--minimum", "10", "--json"],
        env={"PYTHONPATH": f"{ROOT}/asterisk:{ROOT}/pylib"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert asked.returncode in (0, 1), asked.stderr
    (found,) = json.loads(asked.stdout)
    assert found["broken"] is (asked.returncode == 1)
    return dict(found)


def captured(stage: Stage, call: Call) -> dict[str, Any]:
    """The same of the edge's capture, once it has the end of the call."""

    def is_over() -> bool:
        return any(
            packet.message.method == "BYE" and packet.message.status == 200
            for packet in stage.wire.packets(call.call_id)
        )

    wait_until(is_over, PATIENCE, f"the end of {call.call_id} in the capture")
    return explained(stage.wire.path, call)


def rules(found: dict[str, Any]) -> list[str]:
    return [verdict["rule"] for verdict in found["verdicts"]]


@together.test("UAC-7.2-15", "UAC-7.4-08", "UAS-9-16")
def test_a_call_that_we_refresh_has_no_finding(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    keep(call, "UPDATE", 2)
    call.bye()

    found = captured(stage, call)

    assert rules(found) == []
    outside = next(one for one in found["dialogs"] if one["ends"][0]["address"] == call.agent.address)
    assert [one["by"] for one in outside["refreshes"]] == [stage.stack.edge] * 2
    assert {end["address"] for one in found["dialogs"] for end in one["ends"] if end["ours"]} == {
        stage.stack.edge,
        stage.stack.asterisk,
    }


@together.test("UAC-7.3-01")
def test_a_call_that_we_place_has_no_finding(stage: Stage) -> None:
    call = placed(stage, BY_UPDATE)
    keep(call, "UPDATE", 1)
    call.bye()

    assert rules(captured(stage, call)) == []


@together.test("REF-10-07")
def test_a_carrier_that_does_not_refresh_is_named(stage: Stage) -> None:
    """It agreed to, answers no probe either, but does answer the BYE."""
    call, _ = received(stage, BY_THEM, f"{INTERVAL};refresher=uac")
    call.answer(call.expect("BYE", timeout=3 * INTERVAL), 200)

    found = captured(stage, call)

    assert "no-refresh" in rules(found)
    assert set(rules(found)) <= {"no-refresh", "refresh-unanswered"}
    assert {verdict["by"]["address"] for verdict in found["verdicts"]} == {call.agent.address}


@together.test("UAS-9-16")
def test_an_answer_without_require_is_the_one_finding(stage: Stage) -> None:
    call, invite = stage.originate(stage.peer(BY_UPDATE))
    call.accept(invite, TIMER, f"Session-Expires: {INTERVAL};refresher=uac")
    call.expect("ACK")
    keep(call, "UPDATE", 1)
    call.bye()

    found = captured(stage, call)

    assert rules(found) == ["require-missing"]
    assert found["verdicts"][0]["by"]["address"] == call.agent.address


@pytest.fixture
def logger(stage: Stage) -> Any:
    """Asterisk writes every SIP message that it sends and receives."""
    stage.stack.asterisk_cli("pjsip set logger on")
    yield
    stage.stack.asterisk_cli("pjsip set logger off")


@pytest.mark.usefixtures("logger")
def test_asterisks_own_log_of_a_call(stage: Stage, tmp_path: Path) -> None:
    """The hop between edge and Asterisk, as Asterisk's logger writes it."""
    call = stage.peer(45).call()
    call.dial(TIMER, "Session-Expires: 1800")
    call.bye()
    log = tmp_path / "console.log"

    def is_over() -> bool:
        log.write_text(stage.stack.logs("asterisk"))
        return f"Call-ID: {call.call_id}" in log.read_text().rpartition("SIP/2.0 200 OK")[2]

    wait_until(is_over, PATIENCE, "the call in Asterisk's log")
    found = explained(log, call)

    assert rules(found) == []
    (dialog,) = found["dialogs"]
    assert {end["address"] for end in dialog["ends"]} == {stage.stack.edge, "Asterisk"}
    assert found["ended"]["how"] == "BYE"
