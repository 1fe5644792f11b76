"""An Asterisk without a function that the companion needs: the log, `/readyz` and the doctor name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.companion.operator.test_doctor import doctor
from tests.lab.peers.refreshed_calls import TIMER, received
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

MODULES = "/etc/asterisk/modules.conf"
HEADERS = "res_pjsip_header_funcs.so"
LONG = 41
"""The address whose profile asks for 1,800 s."""


def restart_asterisk(stage: Stage) -> None:
    """Wait until the companion has logged in to the Asterisk that runs then."""
    logins = stage.companion.metric("session_timer_ami_logins_total")
    stage.stack.exec("asterisk", "asterisk", "-rx", "core restart now")
    wait_until(
        lambda: stage.companion.metric("session_timer_ami_logins_total"),
        30,
        "the companion to log in again",
        holds=lambda seen: seen > logins,
    )
    stage.companion.ready()


@contextmanager
def without(stage: Stage, module: str) -> Iterator[None]:
    """Asterisk without a module. It is restarted, for 22 does not part with a module that calls have used."""
    before = stage.stack.exec("asterisk", "cat", MODULES)
    line = f"load = {module}\n"
    assert line in before
    write = ("asterisk", "sh", "-c", f"cat >{MODULES}")
    stage.stack.exec(*write, given=before.replace(line, ""))
    restart_asterisk(stage)
    try:
        yield
    finally:
        stage.stack.exec(*write, given=before)
        restart_asterisk(stage)


def complete(stage: Stage) -> None:
    """Wait until nothing is lacking: at the login Asterisk may have loaded only some of its modules."""
    wait_until(lambda: release(stage), 20, "all functions", holds=lambda said: "lacks" not in said)


def release(stage: Stage) -> str:
    """What `/readyz` says of Asterisk."""
    said: str = json.loads(stage.companion.get("/readyz")[1])["release"]["asterisk"]
    return said


def test_a_call_whose_header_cannot_be_read_is_an_error_and_not_silently_foreign(stage: Stage) -> None:
    with without(stage, HEADERS):
        complete(stage)
        call, invite = stage.originate(stage.peer(LONG))
        call.accept(invite, TIMER, "Require: timer", "Session-Expires: 1800;refresher=uac")
        call.expect("ACK")
        said = wait_until(
            lambda: release(stage), PATIENCE, "what is lacking", holds=lambda said: "lacks" in said
        )
        assert (
            "PJSIP_RESPONSE_HEADER (res_pjsip_header_funcs.so, Asterisk 16.28, 18.14, 20 and later)" in said
        )
        problems = doctor(stage.stack).of("problem")
        (found,) = [each for each in problems if "has no function" in each["what"]]
        assert found["what"].endswith("has no function PJSIP_RESPONSE_HEADER")
        assert found["why"] == "calls that Asterisk placed are not kept"
        assert found["change"].startswith(f"load = {HEADERS}")
        assert call.call_id not in stage.companion.sessions()
        lines = stage.stack.logs("companion").splitlines()
        assert any("asterisk_lacks" in line and "PJSIP_RESPONSE_HEADER" in line for line in lines)
        came, _ = received(stage, LONG, "1800;refresher=uac")
        wait_until(lambda: " PJSIP_HEADER" in release(stage), PATIENCE, "what else is lacking")
        assert came.bye().status == 200
        assert call.bye().status == 200
    complete(stage)
    call, _ = received(stage, LONG, "1800;refresher=uac")
    stage.companion.session(call.call_id)
    assert not [each for each in doctor(stage.stack).findings if "has no function" in each["what"]]
    assert call.bye().status == 200


def test_a_function_that_needs_no_call_is_lacking_from_the_login_on(stage: Stage) -> None:
    with without(stage, "func_callerid.so"):
        wait_until(
            lambda: release(stage),
            20,
            "the one that is lacking",
            holds=lambda said: " lacks CONNECTEDLINE (func_callerid.so)" in said,
        )
    complete(stage)
