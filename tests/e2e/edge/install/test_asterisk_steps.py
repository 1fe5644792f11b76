"""The steps of asterisk/README.md on Debian's own Asterisk, each command as it is written there."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.install_steps import fenced, step, typed
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until

CHECKOUT = [word for name in ("asterisk", "pylib") for word in ("-v", f"{ROOT / name}:/checkout/{name}:ro")]

Run = Callable[..., str]


def image(stack: Stack, service: str) -> str:
    inspect = ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container(service)]
    return subprocess.check_output(inspect, text=True).strip()


@pytest.fixture
def container(stack: Stack) -> Iterator[str]:
    """Asterisk as Debian configures it, under Debian's user, with the checkout at hand and no network."""
    name = f"{stack.project}-asterisk-{secrets.token_hex(3)}"
    start = ["--entrypoint", "asterisk", image(stack, "asterisk"), "-f", "-U", "asterisk", "-G", "asterisk"]
    given = ["--network", "none", "-v", "/etc/session-timer", *CHECKOUT, "-w", "/checkout"]
    subprocess.run(["docker", "run", "-d", "--name", name, *given, *start], check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "rm", "-f", "-v", name], check=True, capture_output=True)


@pytest.fixture
def run(container: str) -> Run:
    def said(script: str, given: str = "") -> str:
        command = ["docker", "exec", "-i", container, "bash", "-euc", script]
        done = subprocess.run(command, capture_output=True, text=True, input=given, check=False, timeout=60)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    wait_until(
        lambda: (
            subprocess.run(
                ["docker", "exec", container, "asterisk", "-rx", "core waitfullybooted"],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        ),
        30,
        "Asterisk to start",
    )
    return said


def test_account_and_endpoint_are_there_as_the_doctor_sees_them(
    container: str, run: Run, stack: Stack
) -> None:
    make_account, ask = typed(step(2))
    run(make_account)
    rows = [row.replace(" ", "") for row in run("cat /etc/asterisk/manager.conf").splitlines()]
    assert [row for row in fenced(step(2), "ini").splitlines() if row.replace(" ", "") not in rows] == []
    assert "write perm: call" in run(ask)
    assert (
        run("stat -c '%a %U:%G' /etc/asterisk/manager.d/session-timer.secret.conf") == "640 root:asterisk\n"
    )
    assert run("stat -c '%a %U:%G' /etc/session-timer/ami") == "600 root:root\n"

    copy, load = typed(step(3))
    run(copy)
    run("cat >/etc/asterisk/pjsip.conf", given=fenced(step(3), "ini"))
    assert re.search(r"trust_id_outbound +: true", run(load))

    run("cat >/etc/session-timer/session-timer.yaml", given=fenced(step(5), "yaml"))
    (make_key,), (look,) = typed(step(4)), typed(step(6))
    given = ["--network", f"container:{container}", "--volumes-from", container]
    given += ["-e", "PYTHONPATH=/checkout/pylib:/checkout/asterisk", "--entrypoint", "bash"]
    # What the page calls session-timer where it came by apt.
    script = f'session-timer() {{ python3 -m session_timer_companion "$@"; }}\n{make_key}\n{look}'
    said = subprocess.run(
        ["docker", "run", "--rm", *given, image(stack, "companion"), "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout
    for well in (
        "Asterisk ast1: logged in at 127.0.0.1:5038",
        "Asterisk ast1: the account may CoreShowChannels, Status, Getvar, Setvar, Hangup",
        "Asterisk ast1, endpoint carrier: timers=no, and every form of refresh leaves",
    ):
        assert f"ok       {well}\n" in said
    # There is no edge here.
    (problem,) = re.findall(r"^problem  (.*)", said, re.MULTILINE)
    assert problem.startswith("edge edge: its door at http://192.0.2.10:5060 cannot be read")
