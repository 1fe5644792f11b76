"""The ways of kamailio/README.md to put our files where Kamailio finds them, each as it is written there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import ADDRESS, EdgeOnce
from tests.lab.parts.observed_edge import Wire
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Peer, UserAgent
from tests.lab.stack import ROOT, Stack

pytestmark = pytest.mark.smoke

README = ROOT / "kamailio" / "README.md"
SETTINGS = 'session_timer: {enabled: true}\nasterisk: ["198.18.0.20"]\nedge: {key_file: session-timer.key}\n'
OFF = "session timers are off"
KEMI_PAGE = ROOT / "docs" / "how-to" / "kemi.md"
SCRIPT = 'modparam("app_python3", "load", "/etc/kamailio/kamailio.py")'
LINE_OF_THE_LAB = 'include_file "/opt/session-timer/kamailio/session-timer.cfg"\n'
"""In its place comes that of the page."""
KEY = "a-key-for-one-test-that-opens-nothing-else\n"

Installed = Callable[..., EdgeOnce]


def readable(folder: Path) -> None:
    """Kamailio in a container may be another user."""
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else each.stat().st_mode | 0o444)


@pytest.fixture
def installed(stack: Stack, tmp_path: Path) -> Installed:
    """An edge whose folder has a script and a configuration, and what of ours is asked for."""

    def make(*ours: Path, settings: str = SETTINGS, environment: dict[str, str] | None = None) -> EdgeOnce:
        folder, written = tmp_path / "etc", tmp_path / "settings"
        folder.mkdir()
        written.mkdir()
        config = (ROOT / "docker" / "edge" / "kamailio.cfg").read_text(encoding="utf-8")
        assert LINE_OF_THE_LAB in config
        config = config.replace(LINE_OF_THE_LAB, "")
        config = config.replace(SCRIPT, f"{shown('include_file .*', KEMI_PAGE)}\n{SCRIPT}")
        (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
        shutil.copy(ROOT / "docker" / "edge" / "kamailio.py", folder)
        shutil.copy(ROOT / "docker" / "edge" / "health", folder)
        shutil.copy(ROOT / "kamailio" / "session-timer.cfg", folder)
        for package in ours:
            shutil.copytree(package, folder / package.name)
        (written / "session-timer.yaml").write_text(settings, encoding="utf-8")
        (written / "session-timer.key").write_text(KEY, encoding="utf-8")
        readable(tmp_path)
        return EdgeOnce(stack, folder, written / "session-timer.yaml", environment or {})

    return make


KEMI = ROOT / "kamailio" / "session_timer_kemi"
PYLIB = ROOT / "pylib" / "session_timer"


def assert_good(edge: EdgeOnce, prepare: str = "true") -> None:
    with edge.running(prepare) as written:
        text = written()
    assert "config file ok" in text
    assert OFF not in text
    assert "Traceback" not in text


def shown(pattern: str, page: Path = README) -> str:
    """What the README, or another page, shows for a reader to type."""
    found = re.search(pattern, page.read_text(encoding="utf-8"))
    assert found, f"{page} does not show {pattern}"
    return found[0]


def test_folders_beside_the_script(installed: Installed) -> None:
    shown(r"cp -r kamailio/session-timer\*\.cfg .*session_timer_kemi pylib/session_timer /etc/kamailio/")
    assert_good(installed(KEMI, PYLIB))


def test_settings_are_checked_without_kamailio(installed: Installed) -> None:
    pages = (README, *(ROOT / "docs" / "how-to" / name for name in ("kemi.md", "native.md")))
    line = r"cd /etc/kamailio && python3 -m session_timer_kemi\.check \S+"
    (command,) = {shown(line, each) for each in pages}
    making = r"cd /etc/kamailio && python3 -m session_timer_kemi\.make_key \S+"
    (making_a_key,) = {shown(making, each) for each in pages[1:]}
    edge = installed(KEMI, PYLIB)
    (edge.folder / "session-timer.yaml").write_text(SETTINGS, encoding="utf-8")
    readable(edge.folder)
    # The folder is not to be written to here: hence a copy.
    copied = f"cp -r /etc/kamailio /tmp/k; ({making_a_key}; {command})".replace(
        "cd /etc/kamailio", "cd /tmp/k"
    )
    with edge.running(copied) as written:
        first, second = written().splitlines()[:2]
    assert first.startswith("session-timer.key: made.")
    assert second == "session-timer.yaml: ok"


def test_an_edge_without_a_key_says_how_to_make_one(installed: Installed) -> None:
    said = installed(KEMI, PYLIB, settings='asterisk: ["198.18.0.20"]\n').refuses()
    assert "edge.key_file: is missing" in said
    assert "python3 -m session_timer_kemi.make_key FILE" in said


def test_python_path_of_the_service(installed: Installed) -> None:
    line = shown(r"PYTHONPATH=\S+")
    assert line == "PYTHONPATH=/opt/session-timer/pylib:/opt/session-timer/kamailio"
    unit = "/usr/lib/systemd/system/kamailio.service"
    prepare = (
        # The service reads these files as systemd does: NAME=value, one a line.
        f"grep -q '^EnvironmentFile=-/etc/default/kamailio.d/\\*' {unit};"
        f" mkdir -p /opt /etc/default/kamailio.d; ln -s /checkout /opt/session-timer;"
        f" echo '{line}' >/etc/default/kamailio.d/session-timer;"
        " set -a; . /etc/default/kamailio.d/session-timer; set +a"
    )
    assert_good(installed(), prepare)


def test_pip_into_a_folder(installed: Installed, tmp_path: Path) -> None:
    shown(r"pip install --target /opt/session-timer-edge ./pylib ./kamailio")
    sources = tmp_path / "checkout"
    for name in ("pylib", "kamailio"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Everything it needs is at hand: this test asks nobody.
    offline = ["--no-build-isolation", "--no-deps", "--no-index"]
    target = tmp_path / "etc" / "installed"
    edge = installed(environment={"PYTHONPATH": "/etc/kamailio/installed"})
    subprocess.run(
        [*pip, *offline, "--target", str(target), str(sources / "pylib"), str(sources / "kamailio")],
        check=True,
        capture_output=True,
        timeout=300,
    )
    readable(target)
    assert_good(edge)


def test_without_our_package_kamailio_says_so(installed: Installed) -> None:
    assert "No module named 'session_timer_kemi'" in installed().refuses()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            "session_timer: {min_se: 30}\n",
            "/settings/session-timer.yaml: session_timer.min_se: expected 90 to",
        ),
        (
            "session_timer: {min_sec: 90}\n",
            "/settings/session-timer.yaml: session_timer.min_sec: unknown key",
        ),
        ("session_timer: [\n", ": is no YAML: "),
    ],
)
def test_wrong_settings_stop_the_start_with_words(installed: Installed, settings: str, says: str) -> None:
    said = installed(KEMI, PYLIB, settings=settings).refuses()
    assert says in said
    assert "Kamailio does not start with this configuration" in said
    assert "Traceback" not in said


def test_missing_settings_stop_the_start_with_words(installed: Installed) -> None:
    edge = installed(KEMI, PYLIB, environment={"SESSION_TIMER_CONFIG": "/settings/other.yaml"})
    said = edge.refuses()
    assert "/settings/other.yaml: (file): cannot be read" in said
    assert "Traceback" not in said


def test_without_the_library_calls_go_on_and_one_line_tells(
    installed: Installed, stack: Stack, sockets: LabSockets, wire: Wire, peer: Peer
) -> None:
    with installed(KEMI).running() as written:
        edge = stack.address(ADDRESS)
        caller = UserAgent(sockets, peer(41).address, edge, wire)
        callee = UserAgent(sockets, peer(49).address, edge, wire)
        call = caller.call(callee.reachable("nolibrary"))
        call.invite("Session-Expires: 60", "Supported: timer", "Min-SE: 5")
        other, invite = callee.called("nolibrary")
        assert invite.rows("Session-Expires") == ("60",)
        assert invite.rows("Min-SE") == ("5",)
        other.accept(invite)
        answer = call.final(1)
        assert answer.status == 200
        assert answer.rows("Session-Expires") == ()
        call.establish(answer)
        call.send("ACK", cseq=1)
        other.expect("ACK")
        call.send("BYE")
        other.accept(other.expect("BYE"))
        assert call.final(2).status == 200
        text = written()
    told = [line for line in text.splitlines() if OFF in line]
    assert len(told) == 1, told
    assert "Put pylib/session_timer beside the script or into PYTHONPATH" in told[0]
    assert "Traceback" not in text
