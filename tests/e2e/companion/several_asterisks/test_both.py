"""One companion has two Asterisks. When one stops, the calls of the other go on; and it is reached by TLS."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.lab.parts.companion_run import beside, heard
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.killed_parts import kill, start
from tests.lab.parts.several_asterisks import (
    ALONE,
    AT_ALONE,
    AT_COMPANION,
    AT_SECOND,
    CARRIER,
    called_alone,
    placed,
)
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import BY_UPDATE, HALF, INTERVAL, LATE, TIMER
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def stage(stage: Stage, of_both: Companion) -> Stage:
    """With the companion that has the two Asterisks."""
    return replace(stage, companion=of_both)


def has_second(stage: Stage) -> bool:
    status, body = stage.companion.get("/readyz")
    return status in (200, 503) and json.loads(body)["asterisk"]["second"] == "ready"


@pytest.mark.requirement("UAC-7.2-15", "UAC-7.2-16")
def test_calls_of_the_other_are_refreshed_all_the_same(stage: Stage) -> None:
    stack, companion = stage.stack, stage.companion
    ours, invite = placed(stack, AT_SECOND, "edge", stage.peer(BY_UPDATE))
    ours.accept(invite, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    ours.expect("ACK")
    live = LivePeer(ours)
    live.begin()
    lost, _ = called_alone(stage, CARRIER)
    assert companion.session(ours.call_id)["asterisk"] == "second"
    assert companion.session(lost.call_id)["asterisk"] == "alone"
    lost.accept(lost.expect("INVITE", timeout=HALF + LATE))
    live.is_refreshed(HALF + LATE)

    kill(stack, AT_ALONE)
    live.is_refreshed(HALF + LATE)

    # Anew, with one of its Asterisks away from the start.
    kill(stack, AT_COMPANION)
    start(stack, AT_COMPANION)
    wait_until(lambda: has_second(stage), PATIENCE, "a companion in step with the Asterisk that is there")
    companion.session(ours.call_id)
    live.is_refreshed(HALF + LATE)

    start(stack, AT_ALONE)
    companion.ready(40)
    found, _ = called_alone(stage, CARRIER)
    assert companion.session(found.call_id)["asterisk"] == "alone"
    assert lost.call_id not in companion.sessions()
    live.is_refreshed(HALF + LATE)
    live.end()
    stage.edge.record(ours.call_id, refresher="local", refreshes=str(len(live.refreshed)))
    for call in (ours, found):
        assert call.bye().status == 200
    assert companion.metric("session_timer_faults_total") == 0


def told(stage: Stage, **tls: str) -> str:
    """What a companion with other settings says of the lone Asterisk, up to the first word that decides."""
    given = {f"AMI__0__TLS__{name}": value for name, value in tls.items()}
    with beside(stage.stack, AT_COMPANION, **given) as process:
        lines = heard(process, f"{stage.stack.address(ALONE)}:5039")
    assert "Traceback" not in "".join(lines)
    return lines[-1]


def test_certificate_of_the_ca_that_is_configured_is_accepted(stage: Stage) -> None:
    assert "logged in as session-timer" in told(stage, CA_FILE="/settings/ca.pem")


@pytest.mark.parametrize(
    "wrong",
    [{"CA_FILE": "/settings/other.pem"}, {"SERVER_NAME": "another.example"}],
    ids=["another CA", "another name"],
)
def test_wrong_certificate_is_refused_with_the_keys_to_look_at(stage: Stage, wrong: dict[str, str]) -> None:
    said = told(stage, **wrong)
    assert "certificate not accepted" in said
    assert "tls.ca_file" in said
    assert "tls.server_name" in said
