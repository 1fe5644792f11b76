"""What an operator can get wrong, on the real programs: a message that says what to do, and no traceback."""

from __future__ import annotations

import subprocess

import pytest
from session_timer_companion.tracking.tracker import EVENTS

from tests.lab.parts import ami_accounts
from tests.lab.parts.companion_run import CONFIG, assert_told, beside, heard, put, ran
from tests.lab.peers.refreshed_calls import TIMER
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage


def test_wrong_password_is_said_and_ends_it(stack: Stack) -> None:
    wrong = "/tmp/wrong"  # noqa: S108 - in a container of our own
    put(stack, "companion", wrong, "not-the-password\n")
    done = ran(
        stack,
        "run",
        SESSION_TIMER_COMPANION__AMI__0__SECRET_FILE=wrong,
        SESSION_TIMER_COMPANION__HTTP__PORT="8099",
    )
    assert_told(done, f"{stack.asterisk}:5038", "session-timer", "manager")
    assert "not-the-password" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["run", "check-config"])
def test_unknown_key_is_named_with_its_place(stack: Stack, command: str) -> None:
    text = stack.exec("companion", "cat", CONFIG)
    bad = "/tmp/unknown-key.yaml"  # noqa: S108 - in a container of our own
    put(
        stack, "companion", bad, text.replace("use_update: true", "use_updates: true", 1) + "  colour: blue\n"
    )
    assert_told(
        ran(stack, command, "--config", bad), bad, "session_timer.use_updates", "companion.colour", "unknown"
    )


def test_unknown_key_stops_the_edge_with_its_place(stack: Stack) -> None:
    """Kamailio does not start with settings that nobody meant."""
    container = stack.container("edge")
    image = subprocess.check_output(
        ["docker", "inspect", "-f", "{{.Config.Image}}", container], text=True
    ).strip()
    network = f"{stack.project}_sip"
    settings = {
        "EDGE_ADDRESS": stack.edge,
        "ASTERISK_ADDRESS": stack.asterisk,
        "LAB_NET": stack.network,
        "SESSION_TIMER_CONFIG": "/run/bad.yaml",
        "PYTHONPATH": "/opt/session-timer/pylib:/opt/session-timer/kamailio",
    }
    given = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    script = (
        'sed "s/@LAB_NET@/$LAB_NET/g; s/use_update: true/use_updates: true/" '
        "/opt/lab/config/session-timer.yaml >/run/bad.yaml; exec timeout 15 /etc/kamailio/start"
    )
    docker = ["docker", "run", "--rm", "--network", network, "--volumes-from", container, *given]
    done = subprocess.run(
        [*docker, "--entrypoint", "sh", image, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode not in (0, 124), said[-2000:]
    assert "/run/bad.yaml" in said
    assert "session_timer.use_updates" in said
    assert "Traceback" not in said


def test_port_in_use_is_said_with_the_key_to_change(stack: Stack) -> None:
    assert_told(ran(stack, "run"), "127.0.0.1:8080", "companion.http.port")


def test_config_file_that_is_not_there(stack: Stack) -> None:
    assert_told(ran(stack, "run", "--config", "/nowhere.yaml"), "/nowhere.yaml", "cannot be read")


# Each privilege of asterisk/manager.d/session-timer.conf: without it something fails that has a name.


@pytest.fixture(scope="module")
def accounts(stack: Stack) -> None:
    ami_accounts.make(stack)


@pytest.mark.usefixtures("accounts")
def test_without_write_call_the_channels_are_not_listed(stack: Stack) -> None:
    with beside(stack, AMI__0__USERNAME="without-write-call") as process:
        said = "".join(heard(process, "sync_refused", "write = call"))
    assert "AMI account needs write = call,reporting" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(("username", "arms"), [("session-timer", True), ("without-read-call", False)])
def test_without_read_call_a_new_call_is_not_taken_under_watch(
    stage: Stage, username: str, arms: bool
) -> None:
    """The first is the account that we ship."""
    stack = stage.stack
    with beside(stack, AMI__0__USERNAME=username) as process:
        assert "in_sync" in heard(process, "in_sync")[-1]
        call = stage.peer(41).call()
        call.dial(TIMER, "Session-Expires: 1800;refresher=uac")
        stage.companion.session(call.call_id)
        assert call.bye().status == 200
        said = "".join(heard(process, "call_untracked"))
    assert (call.call_id in said) is arms


def test_shipped_account_has_no_other_privilege() -> None:
    rows = (ROOT / "asterisk/manager.d/session-timer.conf").read_text(encoding="utf-8").splitlines()
    given = [
        row.replace(" ", "") for row in rows if row.startswith(("read", "write")) and "timeout" not in row
    ]
    assert given == ["read=call", "write=call,reporting"]
    filters = [row for row in rows if row.startswith("eventfilter")]
    assert filters == [f"eventfilter(action(include),name({name})) =" for name in EVENTS]
