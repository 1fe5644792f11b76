"""The companion as a service of a real systemd: what its unit and docs/reference/companion.md promise."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.companion.systemd.systemd_host import CONFIG, HERE, UNIT, SystemdHost, booted, install
from tests.e2e.install_steps import step, typed
from tests.lab.parts.killed_parts import kill, start
from tests.lab.peers.refreshed_calls import agree, received
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

REFERENCE = ROOT / "docs" / "reference" / "companion.md"
STRICT = 41
"""The address of a peer with the RFC's own intervals."""
DYNAMIC = range(61184, 65520)
"""The users that systemd makes up for `DynamicUser=`."""
CREDENTIAL = f"/run/credentials/{UNIT}.service/ami"

SHORT_WATCHDOG = "[Service]\nWatchdogSec=3\n"


@pytest.fixture(scope="module")
def host(stack: Stack) -> Iterator[SystemdHost]:
    """Installed, and started as the README's last step says."""
    with booted(stack) as found:
        install(found)
        found.shell("\n".join(typed(step(7))))
        yield found


@pytest.fixture(autouse=True)
def runs(host: SystemdHost) -> Iterator[None]:
    """Each test finds the service running, and nothing in its journal is an error of ours."""
    cursor = host.cursor()
    host.shell(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    yield
    assert "internal_error" not in host.journal(f"--after-cursor={cursor}")


@contextmanager
def edited(host: SystemdHost, lines: str) -> Iterator[None]:
    """The service, started anew with what `systemctl edit` was given."""
    folder = f"/run/systemd/system/{UNIT}.service.d"
    anew = f"systemctl daemon-reload; systemctl restart {UNIT}"
    host.shell(f"mkdir {folder}")
    host.put(f"{folder}/override.conf", lines)
    try:
        host.shell(anew)
        yield
    finally:
        host.shell(f"rm -r {folder}; {anew}")


def readiness(host: SystemdHost) -> dict[str, object]:
    """What /readyz of the service says."""
    said = host.shell(
        "python3 -c 'from session_timer_companion.http.client import Client;"
        ' import json; print(json.dumps(Client("http://127.0.0.1:8080").readiness()))\''
    )
    report: dict[str, object] = json.loads(said)
    return report


def test_a_start_returns_when_every_call_is_under_watch(host: SystemdHost, stage: Stage) -> None:
    call, _ = received(stage, STRICT, "1800;refresher=uas")
    cursor = host.cursor()
    listed = host.shell(f"systemctl restart {UNIT}; session-timer sessions --json")
    calls = json.loads(listed)
    assert call.call_id in {each["call_id"] for each in calls}
    in_step = re.search(r"ts=(\S+)Z", host.logged(cursor, "in_sync"))
    active = re.search(r"(\S+) (\S+) UTC", host.unit("ActiveEnterTimestamp")[0])
    assert in_step
    assert active
    assert in_step[1] <= "T".join(active.groups())
    status = host.shell(f"systemctl status --no-pager {UNIT}")
    assert "Active: active (running)" in status
    assert f'Status: "{len(calls)} call{"s" * (len(calls) != 1)} tracked"' in status
    assert "in_sync" in status  # the last lines of its log
    assert readiness(host)["asterisk"] == {"ast1": "ready"}
    assert call.bye().status == 200


def test_it_outlives_asterisk_and_the_watchdog_is_fed_meanwhile(host: SystemdHost, stage: Stage) -> None:
    with edited(host, SHORT_WATCHDOG):
        before = host.unit("MainPID", "NRestarts")
        kill(stage.stack, "asterisk")
        try:
            wait_until(
                lambda: host.unit("StatusText")[0],
                20,
                "its status",
                holds=lambda seen: seen.endswith("tracked; waiting for Asterisk ast1"),
            )
            (fed,) = host.unit("WatchdogTimestampMonotonic")
            # Longer than the watchdog would have let it be.
            wait_until(
                lambda: int(host.unit("WatchdogTimestampMonotonic")[0]) - int(fed),
                PATIENCE,
                "microseconds for which the watchdog was fed",
                holds=lambda seen: seen > 4_000_000,
            )
            assert host.unit("ActiveState") == ("active",)
            assert readiness(host)["asterisk"] != {"ast1": "ready"}
        finally:
            start(stage.stack, "asterisk")
        host.becomes("0 calls tracked", of=("StatusText",), timeout=30)
        assert host.unit("MainPID", "NRestarts") == before
    stage.companion.ready()
    call, _ = received(stage, STRICT, "1800;refresher=uas")
    assert call.call_id in wait_until(
        lambda: host.shell("session-timer sessions --json"),
        PATIENCE,
        "the call",
        holds=lambda seen: call.call_id in seen,
    )
    assert call.bye().status == 200


def test_a_process_that_hangs_is_killed_and_started_again(host: SystemdHost) -> None:
    with edited(host, SHORT_WATCHDOG):
        (old,) = host.unit("MainPID")
        cursor = host.cursor()
        host.shell(f"kill -STOP {old}")
        for words in (
            ("systemd[1]", "Watchdog timeout"),
            (f"[{old}]", "Fatal Python error: Aborted"),
            (f"[{old}]", "most recent call first"),
        ):
            host.logged(cursor, *words)
        new, _ = wait_until(
            lambda: host.unit("MainPID", "ActiveState"),
            20,
            "another process",
            holds=lambda seen: seen[0] not in ("0", old) and seen[1] == "active",
        )
        host.logged(cursor, f"[{new}]", "in_sync")
        assert readiness(host)["asterisk"] == {"ast1": "ready"}


def test_a_stop_is_clean_and_quick(host: SystemdHost) -> None:
    cursor = host.cursor()
    begun = time.monotonic()
    host.shell(f"systemctl stop {UNIT}")
    # Long before systemd would kill it.
    assert time.monotonic() - begun < 5
    # 1: it ended by itself, by no signal.
    assert host.unit("ActiveState", "Result", "ExecMainCode", "ExecMainStatus") == (
        "inactive",
        "success",
        "1",
        "0",
    )
    host.logged(cursor, "event=stopping")
    assert "no companion answers" in host.fails("session-timer sessions")


def test_a_reload_reads_the_configuration_and_a_broken_one_changes_nothing(host: SystemdHost) -> None:
    before = host.unit("MainPID")
    text = host.shell(f"cat {CONFIG}")
    try:
        cursor = host.cursor()
        host.put(CONFIG, text.replace("default_expires: 1800", "default_expires: 3600"))
        host.shell(f"systemctl reload {UNIT}")
        host.logged(cursor, "event=reloaded")
        cursor = host.cursor()
        host.put(CONFIG, text.replace("default_expires", "default_expire"))
        host.shell(f"systemctl reload {UNIT}")
        host.logged(cursor, "event=reload_refused", CONFIG, "session_timer.default_expire", "unknown key")
    finally:
        host.put(CONFIG, text)
    assert (*host.unit("MainPID"), *host.unit("ActiveState")) == (*before, "active")
    assert readiness(host)["asterisk"] == {"ast1": "ready"}


def test_a_start_that_cannot_succeed_fails_and_the_journal_says_why(host: SystemdHost) -> None:
    secret = "/etc/session-timer/ami"  # noqa: S105  # where it is
    host.shell(f"cp -p {secret} /tmp/ami; echo wrong >{secret}")
    cursor = host.cursor()
    try:
        said = host.fails(f"systemctl restart {UNIT}")
        assert "failed" in said
        line = host.logged(cursor, "refused the login of user 'session-timer'")
        assert "manager.conf" in line
    finally:
        host.shell(f"cp -p /tmp/ami {secret}")
    # It is not tried for ever: an Asterisk that sees one wrong password after the other may lock us out.
    host.becomes("failed", of=("ActiveState",))
    assert host.unit("NRestarts") == ("0",)
    host.shell(f"systemctl start {UNIT}")
    assert "Traceback" not in host.journal(f"--after-cursor={cursor}")


def test_the_password_is_a_credential_that_nobody_else_reads(host: SystemdHost) -> None:
    (process,) = host.unit("MainPID")
    password = host.shell("cat /etc/session-timer/ami").strip()
    assert host.shell("stat -c '%a %U' /etc/session-timer/ami").split() == ["600", "root"]
    assert host.shell(f"cat {CREDENTIAL}").strip() == password
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    for path in ("/etc/session-timer/ami", CREDENTIAL):
        assert "Permission denied" in host.fails(f"{nobody} cat {path}")
    told = (
        host.shell(f"tr '\\0' '\\n' </proc/{process}/environ; systemctl show {UNIT}"),
        host.shell(f"tr '\\0' ' ' </proc/{process}/cmdline"),
        host.journal(),
    )
    assert f"CREDENTIALS_DIRECTORY={CREDENTIAL.rpartition('/')[0]}" in told[0]
    assert not [each for each in told if password in each]


def test_it_is_confined_and_everything_works(host: SystemdHost, stage: Stage) -> None:
    """AMI, the edge's door and the pages on loopback are all needed for a refresh by hand."""
    (process,) = host.unit("MainPID")
    status = dict(re.findall(r"^(\w+):\s*(.*)$", host.shell(f"cat /proc/{process}/status"), re.MULTILINE))
    assert {int(each) for each in status["Uid"].split()} <= set(DYNAMIC)
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = [line.split() for line in host.shell(f"cat /proc/{process}/mountinfo").splitlines()]
    # The last of several mounts at one place is the one that is seen.
    options = {row[4]: row[5].split(",") for row in mounts}
    assert "ro" in options["/"]
    assert "/proc" in options

    call, _ = received(stage, STRICT, "1800;refresher=uas")
    docker = ["docker", "exec", host.stack.container(HERE), "python3", "-m", "session_timer_companion"]
    wait_until(
        lambda: call.call_id in host.shell("session-timer sessions --json"), PATIENCE, "the tracked call"
    )
    with subprocess.Popen([*docker, "refresh", call.call_id], stdout=subprocess.PIPE, text=True) as command:
        agree(call, call.expect("UPDATE"))
        said, _ = command.communicate(timeout=15)
    assert command.returncode == 0, said
    assert "confirmed" in said
    assert call.bye().status == 200


def test_systemd_finds_nothing_to_say_about_the_unit(host: SystemdHost) -> None:
    assert host.shell(f"systemd-analyze verify /etc/systemd/system/{UNIT}.service 2>&1") == ""


def test_exposure_is_what_the_reference_says(host: SystemdHost) -> None:
    said = host.shell(f"systemd-analyze security --no-pager {UNIT}")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    claimed = re.search(r"exposure level of ([\d.]+) or less", REFERENCE.read_text(encoding="utf-8"))
    assert found
    assert claimed
    print(found[0])
    assert float(found[1]) <= float(claimed[1])
