"""Asterisk restarts with calls up: they are gone, whoever asks is told so, and nothing is left standing."""

from __future__ import annotations

import calendar
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.lab.peers.refreshed_calls import BY_THEM, BY_UPDATE, INTERVAL, TIMER, agree, received, refresh
from tests.lab.peers.user_agent import Call
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

GRACE = 3600
"""Seconds that a record outlives its session: docs/reference/edge.md."""
THEIRS = f"{INTERVAL};refresher=uac"


def by_order(stage: Stage) -> None:
    """On its way down Asterisk hangs up."""
    stage.stack.exec("asterisk", "asterisk", "-rx", "core restart now")


def by_crash(stage: Stage) -> None:
    """kill -9: nobody is told anything."""
    for verb in (["kill", "-s", "KILL"], ["start"]):
        subprocess.run(["docker", *verb, stage.stack.container("asterisk")], check=True, capture_output=True)


def back_without(stage: Stage, *calls: Call) -> None:
    """Wait until the companion is in step with the Asterisk that runs now, in which these calls are not."""
    names = {call.call_id for call in calls}
    wait_until(
        lambda: (stage.companion.sessions().keys() & names, stage.companion.get("/readyz")[0]),
        30,
        "a ready companion without the calls that are gone",
        holds=lambda seen: seen == (set(), 200),
        pause=0.2,
    )


def has_no_record(stage: Stage, call: Call) -> None:
    wait_until(
        lambda: stage.edge.record_texts(call.call_id),
        PATIENCE,
        f"no record of {call.call_id}",
        holds=lambda seen: not seen,
    )


def lifetime(stage: Stage, call: Call) -> float:
    """Seconds until the edge forgets the call's record by itself; the containers have our clock, in UTC."""
    (key,) = stage.edge.record_texts(call.call_id)
    expire = stage.edge.rpc("htable.get", "session_timer", key)["result"]["item"]["expire"]
    return calendar.timegm(time.strptime(expire, "%Y-%m-%d %H:%M:%S")) - time.time()


def as_before(stage: Stage, *, refreshes: int) -> None:
    """A call that comes now is answered, watched, and refreshed in time."""
    call, _ = received(stage, BY_UPDATE)
    stage.companion.session(call.call_id, lambda seen: seen["state"] == "ours")
    for _ in range(refreshes):
        agree(call, refresh(call, "UPDATE"))
    stage.edge.record(call.call_id, refreshes=str(refreshes))
    assert call.bye().status == 200


@pytest.mark.requirement("S61-12.2.2-02")
@pytest.mark.parametrize("restart", [by_order, by_crash], ids=lambda restart: restart.__name__)
def test_calls_that_asterisk_lost_are_gone(stage: Stage, restart: Callable[[Stage], None]) -> None:
    ours, _ = received(stage, BY_UPDATE)
    theirs, _ = received(stage, BY_THEM, THEIRS)
    silent, _ = received(stage, BY_THEM, THEIRS)
    calls = (ours, theirs, silent)
    for call in calls:
        stage.companion.session(call.call_id)
    restart(stage)
    back_without(stage, *calls)
    if restart is by_order:
        for call in calls:
            call.answer(call.expect("BYE"), 200)
            has_no_record(stage, call)
        as_before(stage, refreshes=0)
    else:
        # Who refreshes learns it from the answer, who hangs up is rid of the record, and that of one who does
        # neither goes in its time.
        assert theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").status == 481
        assert ours.bye().status == 481
        has_no_record(stage, ours)
        (record,) = stage.edge.record_texts(theirs.call_id).values()
        assert ":refused:481:" in record
        for call in (theirs, silent):
            assert 0 < lifetime(stage, call) <= INTERVAL + GRACE
        as_before(stage, refreshes=1)
        # Half an interval has gone by: nobody tried to refresh what is not there.
        assert stage.observed(ours).refreshes_by(stage.stack.edge) == []
    assert stage.companion.metric("session_timer_faults_total") == 0
