"""What docs/reference/edge.md says can be seen, under the names that it gives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.observed_edge import Kamailio, fields
from tests.lab.peers.user_agent import Peer
from tests.lab.stack import ROOT, Stack

PAGE = (ROOT / "docs" / "reference" / "edge.md").read_text(encoding="utf-8")
NAMES = frozenset(re.findall(r"^\| `(session_timer_\w+)` \|", PAGE, re.MULTILINE))
TABLE = "session_timer"

_GET = """
import urllib.request
straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # by no proxy of Docker's client
with straight.open("http://127.0.0.1:5060/metrics", timeout=5) as answer:
    print(answer.read().decode())
"""


def counted(text: str, prefix: str, separator: str) -> dict[str, int]:
    """The statistics with this prefix in lines of ``<prefix><name><separator><number>``."""
    rows = re.findall(rf"^\s*{re.escape(prefix)}(session_timer_\w+){separator}(\d+)\b", text, re.MULTILINE)
    return {name: int(number) for name, number in rows}


def shown(command: str) -> str:
    assert f"    {command}\n" in PAGE, command
    return command


def test_the_page_names_every_statistic_that_we_define() -> None:
    config = (ROOT / "kamailio" / "session-timer.cfg").read_text(encoding="utf-8")
    assert set(re.findall(r'modparam\("statistics", "variable", "(\w+)"\)', config)) == NAMES


@pytest.mark.smoke
def test_kamcmd_shows_them_all(stack: Stack) -> None:
    said = stack.exec("edge", "sh", "-c", shown("kamcmd stats.get_statistics all | grep session_timer"))
    assert counted(said, "script:", " = ").keys() == NAMES


@pytest.mark.smoke
def test_json_rpc_shows_them_all(edge: Kamailio) -> None:
    listed = edge.rpc("stats.get_statistics", "script:")["result"]
    assert counted("\n".join(listed), "script:", " = ").keys() == NAMES
    fetched = edge.rpc("stats.fetch", "script:")["result"]
    assert {f"script.{name}" for name in NAMES} <= fetched.keys()
    assert {str(value).isdecimal() for value in fetched.values()} == {True}


@pytest.mark.smoke
def test_a_record_is_seen_by_kamcmd_and_json_rpc(stack: Stack, edge: Kamailio, peer: Peer) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 600")
    ((key, text),) = edge.record_texts(call.call_id).items()
    kamcmd = shown(f"kamcmd htable.dump {TABLE}").split()
    assert re.search(rf"name: {re.escape(key)}\s+value: {re.escape(text)}\s", stack.exec("edge", *kamcmd))
    kamcmd = shown(f'kamcmd htable.get {TABLE} "<key>"').split()
    assert f"value: {text}\n" in stack.exec("edge", *kamcmd[:-1], key)
    assert edge.rpc("htable.get", TABLE, key)["result"]["item"]["value"] == text
    documented = set(re.findall(r"`(\w+)`", PAGE.partition("| Field |")[2].partition("\n\n")[0]))
    assert fields(text).keys() <= documented
    assert call.bye().status == 200


@pytest.fixture
def exporting(stack: Stack, tmp_path: Path) -> EdgeOnce:
    """An edge with the page's lines for Prometheus."""
    folder, settings = tmp_path / "etc", tmp_path / "settings"
    folder.mkdir()
    settings.mkdir()
    (lines,) = re.findall(
        r"^```\n(#!define SESSION_TIMER_HAVE_XHTTP.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    stock = stack.exec("edge", "cat", "/usr/share/session-timer-lab/kamailio.cfg")
    include = 'include_file "/checkout/kamailio/session-timer-native.cfg"\n'
    lines += 'modparam("jsonrpcs", "dgram_socket", "udp:0.0.0.0:8090")\n'
    (folder / "kamailio.cfg").write_text(f"{stock}\n{lines}\n{include}", encoding="utf-8")
    shutil.copy(ROOT / "kamailio" / "session-timer.py", folder)
    shutil.copy(ROOT / "docker" / "edge" / "health", folder)
    (settings / "session-timer.yaml").write_text("session_timer: {enabled: true}\n", encoding="utf-8")
    path = {"PYTHONPATH": "/checkout/pylib:/checkout/kamailio"}
    return EdgeOnce(stack, folder, settings / "session-timer.yaml", path, service="edge-exporting")


def test_prometheus_is_shown_them_all(exporting: EdgeOnce, stack: Stack) -> None:
    with exporting.running():
        said = stack.exec("edge-exporting", "python3", "-", given=_GET)
    assert counted(said, "kamailio_script_", " ") == dict.fromkeys(NAMES, 0)
