"""An edge or a profile that the configuration does not have: it costs what it would tell, and no call."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)


@in_virtual_time
async def test_a_call_of_an_unknown_edge_is_refreshed_and_not_hung_up_and_the_name_is_logged_once(
    tmp_path: Path,
) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            ours = it.call("call-1", OURS, known=False, edge="elsewhere")
            theirs = it.call("call-2", THEIRS, known=False, edge="elsewhere")
            await it.until(lambda: len(it.refreshes(ours)) >= 3 and len(it.refreshes(theirs)) >= 1, 300)
            assert it.alive(ours)
            assert it.alive(theirs)
            assert not it.asterisk.seen("Hangup")
    told = [line for line in logged if line["event"] == "edge_unknown"]
    assert [(line["name"], line["log_level"]) for line in told] == [("elsewhere", "error")]


@in_virtual_time
async def test_a_profile_that_only_the_edge_has_is_logged_once(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            calls = [it.call(f"call-{n}", OURS, peer="carrier-of-the-edge") for n in range(3)]
            await it.until(lambda: all(it.is_tracked(call) for call in calls))
    told = [line for line in logged if line["event"] == "profile_unknown"]
    assert [line["name"] for line in told] == ["carrier-of-the-edge"]


@in_virtual_time
async def test_settings_that_differ_are_logged_once_and_measured(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.edge.digest = "other-settings"
            await it.start()
            began = it.now
            await it.until_after(began + 10)
            assert it.companion is not None
            registry = it.companion.metrics.registry
            assert registry.get_sample_value("session_timer_settings_differ", {"edge": "edge"}) == 1
    told = [line for line in logged if line["event"] == "settings_differ"]
    assert [line["theirs"] for line in told] == ["other-settings"]
