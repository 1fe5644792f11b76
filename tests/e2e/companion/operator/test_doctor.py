"""What the doctor says of the real Asterisk and the real edge, and that the line it names is the cure."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from demo.operator import with_endpoints
from session_timer_companion.doctor.asterisk import NEEDED

from tests.lab.parts import ami_accounts
from tests.lab.parts.companion_run import CONFIG, put, ran
from tests.lab.parts.killed_parts import kill, start
from tests.lab.peers.refreshed_calls import BY_UPDATE, INTERVAL, TIMER, agree, received
from tests.lab.peers.user_agent import ALLOW
from tests.lab.stack import Stack
from tests.lab.together import Stage

PJSIP = "/etc/asterisk/pjsip.conf"
MANAGER = "/etc/asterisk/manager.d/session-timer.conf"


@dataclass(frozen=True, slots=True)
class Told:
    """What one run of the doctor found."""

    status: int
    findings: list[dict[str, str]]

    def of(self, level: str) -> list[dict[str, str]]:
        return [each for each in self.findings if each["level"] == level]

    @property
    def problem(self) -> dict[str, str]:
        """The only problem."""
        assert self.status == 1
        (found,) = self.of("problem")
        return found


def doctor(stack: Stack, *arguments: str, **environment: str) -> Told:
    done = ran(stack, "doctor", "--json", "--listen", "0.5", *arguments, **environment)
    assert "Traceback" not in done.stderr
    return Told(done.returncode, json.loads(done.stdout))


def while_calls_come_and_go(stage: Stage, **environment: str) -> Told:
    """The doctor's findings, that listens while calls are answered and end, never without one that is up."""
    call, _ = received(stage, 41, "1800;refresher=uac")
    with ThreadPoolExecutor(1) as pool:
        found: Future[Told] = pool.submit(doctor, stage.stack, "--listen", "3", **environment)
        while not found.done():
            following, _ = received(stage, 41, "1800;refresher=uac")
            assert call.bye().status == 200
            call = following
        assert call.bye().status == 200
        return found.result()


def test_all_is_well(stage: Stage) -> None:
    # What the companion has counted since its start may be the doings of other tests.
    kill(stage.stack, "companion")
    start(stage.stack, "companion")
    stage.companion.ready()
    call, _ = received(stage, 41, "1800;refresher=uac")
    told = while_calls_come_and_go(stage)
    assert call.bye().status == 200
    assert told.of("problem") == []
    assert told.status == 0
    stack = stage.stack
    well = [f"{each['about']}: {each['what']}" for each in told.of("ok")]
    for what in (
        f"configuration: {CONFIG} is valid",
        f"Asterisk asterisk: logged in at {stack.asterisk}:5038",
        "Asterisk asterisk: the account may CoreShowChannels, Status, Getvar, Setvar, Hangup",
        "Asterisk asterisk: events of channels arrive",
        "Asterisk asterisk, endpoint edge: timers=no, and every form of refresh leaves",
        f"edge edge: replies at http://{stack.edge}:5060",
        "companion: running at http://127.0.0.1:8080",
    ):
        assert any(each.startswith(what) for each in well), (what, well)


def test_lines_that_an_endpoint_lacks_are_told_and_cure_it(stack: Stack) -> None:
    """An endpoint as Asterisk's defaults make it."""
    endpoint = "[trunk]\ntype = endpoint\ncontext = calls\n"
    with with_endpoints(stack, endpoint):
        told = doctor(stack, "--endpoint", "trunk")
    assert told.status == 1
    problems = told.of("problem")
    assert {each["what"] for each in problems} == {"timers=yes", "send_pai=no", "trust_id_outbound=no"}
    assert {each["file"] for each in problems} == {f"{PJSIP}, [trunk]"}
    lines = [each["change"].partition("   ")[0] for each in problems]
    with with_endpoints(stack, endpoint + "\n".join([*lines, ""])):
        told = doctor(stack, "--endpoint", "trunk")
    assert (told.status, told.of("problem")) == (0, [])


def test_endpoint_that_does_not_exist(stack: Stack) -> None:
    found = doctor(stack, "--endpoint", "nowhere").problem
    assert "endpoint nowhere" in found["about"]
    assert "there is no [nowhere]" in found["why"]


def test_lacking_privileges_are_named_with_their_line(stage: Stage) -> None:
    ami_accounts.make(stage.stack)
    username = "SESSION_TIMER_COMPANION__AMI__0__USERNAME"
    told = doctor(stage.stack, **{username: "without-write-call"})
    assert [each["what"] for each in told.of("problem")] == [
        f"the account may not {action}" for action in NEEDED
    ]
    lines = {(each["change"], each["file"]) for each in told.of("problem")}
    assert lines == {("write = call,reporting", MANAGER)}
    found = while_calls_come_and_go(stage, **{username: "without-read-call"}).problem
    assert found["what"] == "channels came and went, and no event told of it"
    assert (found["change"], found["file"]) == ("read = call", MANAGER)


def test_edge_that_cannot_be_asked(stack: Stack) -> None:
    elsewhere = "/tmp/elsewhere.yaml"  # noqa: S108 - in a container of our own
    text = stack.exec("companion", "cat", CONFIG)
    put(stack, "companion", elsewhere, text.replace(f"{stack.edge}:5060", f"{stack.edge}:8099"))
    found = doctor(stack, "--config", elsewhere).problem
    assert found["about"] == "edge edge"
    assert f"its door at http://{stack.edge}:8099 cannot be read" in found["what"]
    assert found["change"].startswith("the door's lines in Kamailio's configuration")
    assert found["file"] == "/etc/kamailio/kamailio.cfg"


@pytest.mark.requirement("UAC-7.2-15")
def test_refresh_that_asterisk_swallows_is_made_up_for_and_told_of(stage: Stage) -> None:
    """AMI says Success to the UPDATE and nothing leaves; the call lives by a refresh with SDP."""
    endpoint = "[bare]\ntype = endpoint\ntimers = no\ncontext = calls\nallow = !all,ulaw\naors = edge\n"
    identify = "[bare]\ntype = identify\nendpoint = bare\nmatch_header = From: /sip:bare@/\n"
    proxy = f"outbound_proxy = sip:{stage.stack.edge}\\;lr\n"
    before = stage.companion.metric("session_timer_refreshes_swallowed_total")
    with with_endpoints(stage.stack, endpoint + proxy + identify):
        call = stage.peer(BY_UPDATE).call(f"sip:wait@{stage.stack.edge}")
        call.local = f"<sip:bare@{call.agent.address}>"
        call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uas", allow=ALLOW)
        came = call.agent.sockets.receive(
            lambda each: (
                each.message is not None
                and each.message.call_id == call.call_id
                and each.message.is_request("INVITE", "UPDATE")
            ),
            "a refresh",
            INTERVAL,
        )
        assert came.message is not None
        assert came.message.body
        agree(call, came.message)
        stage.companion.session(call.call_id, lambda seen: seen["refreshes"] == 1)
        told = doctor(stage.stack)
        assert call.bye().status == 200
    assert stage.companion.metric("session_timer_refreshes_swallowed_total") == before + 1
    assert told.status == 1
    problems = {each["what"]: each for each in told.of("problem")}
    assert problems["send_pai=no"]["file"] == f"{PJSIP}, [bare]"
    (swallowed,) = [each for what, each in problems.items() if "Asterisk said Success" in what]
    assert swallowed["about"] == "companion"
