"""What an operator looks back at, holds back and ends, on a real call."""

from __future__ import annotations

import pytest
from demo.operator import printed

from tests.lab.peers.user_agent import Call
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until


@pytest.fixture
def call(stage: Stage) -> Call:
    """A call that we refresh, tracked."""
    up = stage.peer(45).call()
    up.dial("Supported: timer", "Session-Expires: 90;refresher=uas")
    stage.companion.session(up.call_id)
    return up


def test_a_call_is_hung_up_on_the_operators_word_and_its_cdr_and_history_say_so(
    stage: Stage, call: Call
) -> None:
    said = printed(stage.stack, f"session-timer hangup {call.call_id} --yes")
    assert said.endswith(": hung up"), said
    bye = call.expect("BYE")
    call.answer(bye, 200)
    (row,) = wait_until(
        lambda: [row for row in stage.stack.cdr() if row.get("call_id") == call.call_id], PATIENCE, "its CDR"
    )
    assert "an operator hung up" in row["userfield"]
    wait_until(lambda: call.call_id not in stage.companion.sessions(), PATIENCE, "it is no longer tracked")
    told = printed(stage.stack, f"session-timer log {call.call_id}")
    for event in ("armed", "hung_up_by_operator", "call_untracked"):
        assert event in told
    wait_until(
        lambda: "hung_up_by_operator" in stage.companion.log(call.call_id), PATIENCE, "its line in the log"
    )


def test_an_excluded_call_shows_it_and_is_refreshed_by_nobody_until_it_is_included(
    stage: Stage, call: Call
) -> None:
    assert "excluded" in printed(stage.stack, f"session-timer exclude {call.call_id}")
    assert "an operator has excluded this call" in printed(stage.stack, f"session-timer show {call.call_id}")
    assert "not_sent" in printed(stage.stack, f"session-timer refresh {call.call_id}")
    assert "goes on" in printed(stage.stack, f"session-timer resume {call.call_id}")
    stage.companion.session(call.call_id)
    assert call.bye().status == 200
