"""docs/how-to/switch-off.md on calls that are up: each of them lives on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.parts.edge_once import EdgeOnce
from tests.lab.parts.killed_parts import kill, restart_edge, start_edge
from tests.lab.peers.live_peer import LivePeer
from tests.lab.peers.refreshed_calls import BY_THEM, BY_UPDATE, INTERVAL, TIMER, received
from tests.lab.peers.user_agent import Call
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

PAGE = (ROOT / "docs/how-to/switch-off.md").read_text(encoding="utf-8")
SETTINGS = "/run/session-timer.yaml"
THEIRS = "30;refresher=uac"
NUMBER = "+49301000"
"""Leads to Asterisk in the stock kamailio.cfg too."""


@pytest.fixture
def settings(stage: Stage) -> Iterator[Callable[[str], None]]:
    """Puts a text in place of the edge's settings; in the end they are as they were."""
    stack = stage.stack
    before = stack.exec("edge", "cat", SETTINGS)
    command = "kamcmd app_python.reload"
    assert f"    {command}\n" in PAGE

    def put(text: str) -> None:
        stack.exec("edge", "tee", SETTINGS, given=text)
        assert "new:" in stack.exec("edge", *command.split())

    yield put
    stack.exec("edge", "tee", SETTINGS, given=before)
    # After a mere reload some process may have the other settings for a while yet.
    restart_edge(stage)


def untimed(stage: Stage) -> Call | None:
    """A new call, if it has no timer: a process that finds another in Python reads settings with its next."""
    call, answer = received(stage, BY_UPDATE, to=NUMBER)
    if not answer.rows("Session-Expires"):
        return call
    assert call.bye().status == 200
    return None


@pytest.mark.smoke
def test_with_new_settings_calls_keep_the_timer_that_they_have(
    stage: Stage, settings: Callable[[str], None]
) -> None:
    ours, _ = received(stage, BY_UPDATE, to=NUMBER)
    live = LivePeer(ours)  # it answers in time, however long the rest takes
    live.begin()
    theirs, _ = received(stage, BY_THEM, THEIRS, to=NUMBER)
    general = re.search(r"^ +session_timer: \{(enabled: false)\}$", PAGE, re.MULTILINE)
    assert general
    lab = stage.stack.exec("edge", "cat", SETTINGS)
    assert lab.count("enabled: true") == 1
    settings(lab.replace("enabled: true", general[1]))
    new = wait_until(lambda: untimed(stage), PATIENCE, "a new call has no timer")
    assert new is not None
    before = len(live.refreshed)
    for _ in range(2):
        live.is_refreshed(2 * INTERVAL)
    stage.companion.session(ours.call_id, lambda seen: seen["refreshes"] >= before + 2 and seen["due"] > 0)
    answer = theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}")
    assert answer.rows("Session-Expires") == (THEIRS,)
    assert stage.edge.record_texts(new.call_id) == {}
    live.end()
    for call in (ours, theirs, new):
        assert call.bye().status == 200


@pytest.fixture
def without_us(stack: Stack, tmp_path: Path) -> EdgeOnce:
    """The lab's edge less the lines of docs/how-to/kemi.md, at its address."""
    lab, folder = ROOT / "docker/edge", tmp_path / "etc"
    folder.mkdir()
    script = (lab / "kamailio.py").read_text(encoding="utf-8")
    script = re.sub(
        r"^(.*session_timer_kemi.*|.*self\.timers = .*|.*= every_second)\n", "", script, flags=re.M
    )
    script = re.sub(r"if self\.timers\.\w+\(\):", "if False:", script)
    script = re.sub(r"self\.timers\.\w+\(\)", "pass", script)
    assert "timers." not in script
    config = (lab / "kamailio.cfg").read_text(encoding="utf-8")
    config = re.sub(r'^(include_file.*|.*"dgram_socket".*)\n', "", config, flags=re.M)
    (folder / "kamailio.py").write_text(script, encoding="utf-8")
    (folder / "kamailio.cfg").write_text(config, encoding="utf-8")
    for each in (folder, *folder.iterdir()):
        each.chmod(0o755)
    return EdgeOnce(stack, folder, folder / "none", {}, host=10, health="kamcmd core.uptime")


def test_without_our_lines_calls_live_on_as_long_as_the_companion_runs(
    stage: Stage, without_us: EdgeOnce
) -> None:
    ours, _ = received(stage, BY_UPDATE, to=NUMBER)
    theirs, _ = received(stage, BY_THEM, THEIRS, to=NUMBER)
    for call in (ours, theirs):
        stage.companion.session(call.call_id)
    kill(stage.stack, "edge")
    try:
        with without_us.running():
            refresh = ours.expect("UPDATE", timeout=INTERVAL)
            ours.accept(refresh)
            # This comes long after the interval of the first call is over.
            probe = theirs.expect("UPDATE", timeout=30)
            theirs.accept(probe)
            assert refresh.rows("Session-Expires") == probe.rows("Session-Expires") == ()
            # 481, if it had been hung up.
            assert [call.bye().status for call in (ours, theirs)] == [200, 200]
    finally:
        start_edge(stage)
