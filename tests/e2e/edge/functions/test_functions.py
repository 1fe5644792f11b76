"""The section on app_python3s of docs/how-to/kemi.md: a script of functions, run as it stands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.expectations import INTERNAL
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.refreshed_calls import TIMER
from tests.lab.peers.user_agent import UserAgent
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import PATIENCE, wait_until

PAGE = (ROOT / "docs" / "how-to" / "kemi.md").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("script.py")
EDGE, PEER = 15, 41
"""The last numbers of their addresses."""
SETTINGS = 'session_timer: {{enabled: true}}\nasterisk: ["{}"]\nedge: {{name: functions, key_file: key}}\n'
KNOCK = """
import http.client
door = http.client.HTTPConnection("{}", 5060, timeout=20)
door.request("POST", "/session-timer", "[]")
print(door.getresponse().status)
"""
"""Asks at the door without the key."""
OF_THE_CLASS = re.compile(r'^loadmodule "app_python3.so"\n|^modparam\("app_python3", .*\n', re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def edge(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeOnce]:
    lab, tmp_path = ROOT / "docker" / "edge", tmp_path_factory.mktemp("functions")
    config = (lab / "kamailio.cfg").read_text(encoding="utf-8")
    config = config.replace("#!define SESSION_TIMER_BYE\n", "").replace("/opt/session-timer/", "/checkout/")
    config, took = OF_THE_CLASS.subn("", config)
    (lines,) = blocks("functions-cfg")
    ends = 'cfgengine "python"\n'
    assert (took, config.count(ends), lines.count(ends)) == (2, 1, 1)
    # The script names the settings beside it, as the page does.
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "kamailio.cfg").write_text(config.replace(ends, lines), encoding="utf-8")
    shutil.copy(SCRIPT, folder / "kamailio.py")
    shutil.copy(lab / "health", folder)
    (folder / "session-timer.yaml").write_text(SETTINGS.format(stack.asterisk), encoding="utf-8")
    shutil.copy(ROOT / "docker" / "config" / "session-timer-key", folder / "key")
    path = {"PYTHONPATH": "/checkout/pylib:/checkout/kamailio"}
    found = EdgeOnce(stack, folder, tmp_path / "session-timer.yaml", path, EDGE)
    with found.running():
        yield found


def test_the_script_has_the_lines_of_the_page() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    for block in blocks("functions"):
        assert block in script, block
    of_ours = [line for line in script.splitlines() if "timers" in line.lower()]
    shown = "".join(blocks("functions"))
    assert [line for line in of_ours if line not in shown] == []


@pytest.mark.smoke
def test_calls_have_timers(edge: EdgeOnce, stack: Stack, sockets: LabSockets) -> None:
    kamailio = Kamailio(sockets, (stack.address(40), 7093), (edge.address, 8090))
    peer = UserAgent(sockets, stack.address(PEER), edge.address, None)

    small = peer.call()
    refused = small.final(small.invite(TIMER, "Session-Expires: 60", "Min-SE: 60"))
    assert (refused.status, refused.header("Min-SE")) == (422, "90")

    call = peer.call()
    answer = call.dial(TIMER, "Session-Expires: 1800;refresher=uac")
    assert answer.rows("Session-Expires") == ("1800;refresher=uac",)
    assert answer.rows(INTERNAL) == ()
    kamailio.record(call.call_id, interval="1800", refresher="remote", on_path="1")
    again = call.ask("UPDATE", TIMER, "Session-Expires: 1800;refresher=uac")
    assert again.rows("Session-Expires") == ("1800;refresher=uac",)
    kamailio.record(call.call_id, refreshes="1")
    assert call.bye().status == 200
    kamailio.records(call.call_id, 0)
    assert kamailio.counter("faults") == 0
    wait_until(
        lambda: "clock;" in str(kamailio.rpc("htable.dump", "session_timer_changes")),
        PATIENCE,
        "a published clock",
    )
    assert stack.exec("companion", "python3", "-", given=KNOCK.format(edge.address)).strip() == "401"


def test_wrong_settings_end_the_start(edge: EdgeOnce, tmp_path: Path) -> None:
    folder = shutil.copytree(edge.folder, tmp_path / "etc")
    settings = folder / "session-timer.yaml"
    settings.write_text(f"{settings.read_text(encoding='utf-8')}timers: true\n", encoding="utf-8")
    said = replace(edge, folder=folder, host=EDGE + 1).refuses()
    assert "timers" in said
    assert "unknown" in said, said


def test_what_is_no_utf_8_is_read_all_the_same(edge: EdgeOnce, stack: Stack, sockets: LabSockets) -> None:
    kamailio = Kamailio(sockets, (stack.address(40), 7093), (edge.address, 8090))
    call = UserAgent(sockets, stack.address(PEER), edge.address, None).call()
    answer = call.dial("Supported: timer, \udcff", "Session-Expires: 1800;refresher=uac", 'x-other: "\udcff"')
    assert answer.rows("Session-Expires") == ("1800;refresher=uac",)
    kamailio.record(call.call_id, refresher="remote")
    assert call.bye().status == 200
    assert kamailio.counter("faults") == 0


def test_a_reload_reads_the_settings_again(edge: EdgeOnce, stack: Stack, sockets: LabSockets) -> None:
    kamailio = Kamailio(sockets, (stack.address(40), 7093), (edge.address, 8090))
    peer = UserAgent(sockets, stack.address(PEER), edge.address, None)
    settings = edge.folder / "session-timer.yaml"
    before = settings.read_text(encoding="utf-8")
    try:
        settings.write_text(before.replace("enabled: true", "enabled: true, min_se: 300"), encoding="utf-8")
        assert "error" not in kamailio.rpc("app_python3s.reload")
        small = peer.call()
        refused = small.final(small.invite(TIMER, "Session-Expires: 200", "Min-SE: 200"))
        assert (refused.status, refused.header("Min-SE")) == (422, "300")
    finally:
        settings.write_text(before, encoding="utf-8")
        kamailio.rpc("app_python3s.reload")
