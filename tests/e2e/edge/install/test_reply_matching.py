"""tm's `reply_matching`: switched off where tm has it, and where it was not, the log says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

HOST = 19
"""The last number of this edge's address."""
SWITCHED_OFF = 'modparam("tm", "reply_matching", 0)\n'
WARNING = "session timer: this tm takes no response for a transaction that has had its final one"
INCLUDED = "/opt/session-timer/kamailio/session-timer.cfg"
SERVICE = "edge-matching"
SETTINGS = 'session_timer: {enabled: true}\nasterisk: ["198.18.0.20"]\nedge: {key_file: key}\n'


def tm_has_it(stack: Stack) -> bool:
    """Whether tm of this release has the name of the parameter among its texts."""
    looking = r"grep -cPa '\0reply_matching\0' /usr/lib/*/kamailio/modules/tm.so"
    command = ["docker", "exec", stack.container("edge"), "sh", "-c", looking]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.smoke
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_tm_that_takes_no_late_response_is_told_of(
    stack: Stack, tmp_path: Path, *, forgotten: bool
) -> None:
    folder, settings = tmp_path / "etc", tmp_path / "settings"
    folder.mkdir()
    settings.mkdir()
    (settings / "session-timer.yaml").write_text(SETTINGS, encoding="utf-8")
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", settings / "key")
    for name in ("kamailio.py", "health"):
        shutil.copy(ROOT / "docker" / "edge" / name, folder)
    ours = (ROOT / "kamailio" / "session-timer.cfg").read_text(encoding="utf-8")
    assert SWITCHED_OFF in ours
    written = ours.replace(SWITCHED_OFF, "") if forgotten else ours
    (folder / "session-timer.cfg").write_text(written, encoding="utf-8")
    config = (ROOT / "docker" / "edge" / "kamailio.cfg").read_text(encoding="utf-8")
    assert INCLUDED in config
    (folder / "kamailio.cfg").write_text(config.replace(INCLUDED, "session-timer.cfg"), encoding="utf-8")
    for package in (ROOT / "kamailio" / "session_timer_kemi", ROOT / "pylib" / "session_timer"):
        shutil.copytree(package, folder / package.name)
    edge = EdgeOnce(stack, folder, settings / "session-timer.yaml", {}, HOST, SERVICE)
    dump = ["docker", "exec", stack.container(SERVICE), "kamcmd", "htable.dump", "session_timer_ours"]

    def has_ticked() -> bool:
        return b":enough" in subprocess.run(dump, check=False, capture_output=True).stdout

    with edge.running() as said:
        wait_until(has_ticked, PATIENCE, "the edge's first tick")
        if forgotten and tm_has_it(stack):
            wait_until(lambda: WARNING in said(), PATIENCE, "the warning")
        else:
            assert WARNING not in said()
