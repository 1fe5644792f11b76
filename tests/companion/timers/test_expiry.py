"""Calls that the peer must refresh: asked about, probed, hung up on evidence only."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, answers, key, silence, world

THEIRS = Agreement(12, Side.REMOTE)


@pytest.mark.requirement("REF-10-07", "REF-10-08")
@in_virtual_time
async def test_a_silent_peer_is_asked_about_then_probed_then_hung_up(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        answered = it.now
        call = it.call("call-1", THEIRS)
        await it.until(lambda: not it.alive(call))
        assert 9.0 <= it.now - answered < 13.0
        assert it.refreshes(call), "the peer was not probed"
        assert it.edge.read(key(call))
        told = [action for action in it.asterisk.seen("Setvar") if action["Variable"] == "CDR(session_timer)"]
        assert [action["Value"] for action in told] == ["session-timer: the peer sent no refresh"]


@in_virtual_time
async def test_a_peer_that_keeps_its_word_is_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", THEIRS)
        for refreshes in range(1, 5):
            written = it.now
            await it.until_after(written + 6)
            it.edge.refresh(key(call))
            assert it.edge.records[key(call)].refreshes == refreshes
        await it.until(lambda: it.tracked(call).refreshes == 4)
        assert it.alive(call)
        assert not it.refreshes(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_peer_that_is_late_but_answers_the_probe_lives(tmp_path: Path) -> None:
    async with world(tmp_path, peer=answers(200)) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert it.alive(call)
        assert len(it.refreshes(call)) == 2


@in_virtual_time
async def test_a_profile_without_probe_has_no_evidence_and_only_reports(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence(), policy={"probe": False}) as it:
        call = it.call("call-1", THEIRS)
        assert it.companion is not None
        registry = it.companion.metrics.registry
        reported = (
            "session_timer_expiries_total",
            {"peer": "default", "reason": "silent", "action": "reported"},
        )
        await it.until(lambda: (registry.get_sample_value(*reported) or 0) >= 2)
        assert it.alive(call)
        assert not it.refreshes(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_profile_that_only_reports_hangs_nothing_up(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence(), policy={"expiry": "report"}) as it:
        call = it.call("call-1", THEIRS)
        reported = (
            "session_timer_expiries_total",
            {"peer": "default", "reason": "silent", "action": "reported"},
        )
        assert it.companion is not None
        registry = it.companion.metrics.registry
        await it.until(lambda: (registry.get_sample_value(*reported) or 0) >= 2)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_an_edge_that_does_not_answer_never_costs_a_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        theirs = it.call("call-1", THEIRS)
        ours = it.call("call-2", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.is_tracked(theirs) and it.is_tracked(ours))
        it.edge.silent = True
        began = it.now
        await it.until(lambda: len(it.refreshes(theirs)) >= 2, 300)
        await it.until(lambda: it.now > began + 100, 300)
        assert it.alive(theirs)
        assert it.alive(ours)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_that_the_edge_cannot_say_is_told_once_for_each_time_it_is_asked(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, peer=silence()) as it:
            call = it.call("call-1", THEIRS)
            await it.until(lambda: it.is_tracked(call))
            it.edge.silent = True
            await it.until(lambda: any(line["event"] == "refresh_outlived" for line in logged))
    asked = [line for line in logged if line["event"] == "no_evidence"]
    # Before the probe, after it, after the re-INVITE that followed, and when that was outlived.
    assert sum(line["log_level"] == "warning" for line in asked) == 4
    assert len(asked) > 4  # it was asked at each poll after that


@in_virtual_time
async def test_an_edge_that_lost_its_records_never_costs_a_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        began = it.now
        await it.until(lambda: it.now > began + 60)
        assert it.alive(call)
        assert it.refreshes(call)


@in_virtual_time
async def test_a_record_of_another_version_never_costs_a_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        it.edge.texts[key(call)] = "v=99;whatever"
        began = it.now
        await it.until(lambda: it.now > began + 60)
        assert it.alive(call)


@in_virtual_time
async def test_a_hang_up_that_ami_lost_is_made_up_for(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        it.asterisk.drop_on = frozenset({"Hangup"})
        call = it.call("call-1", THEIRS)
        await it.until(lambda: bool(it.asterisk.seen("Hangup")))
        it.asterisk.drop_on = frozenset()
        await it.until(lambda: not it.alive(call))


@pytest.mark.parametrize("side", [Side.LOCAL, Side.REMOTE])
@in_virtual_time
async def test_a_dead_call_that_still_stands_after_its_hang_up_is_hung_up_again(
    tmp_path: Path, side: Side
) -> None:
    """Asterisk says Success once it has told the channel; one at work in an application may not hear."""
    deaf = b"Response: Success\r\n{id}Message: Channel Hungup\r\n\r\n"
    async with world(tmp_path, peer=silence()) as it:
        it.asterisk.on_action = lambda action: deaf if action.name == "Hangup" else None
        call = it.call("call-1", Agreement(12, side))
        await it.until(lambda: bool(it.asterisk.seen("Hangup")))
        told = it.now
        await it.until(lambda: len(it.asterisk.seen("Hangup")) == 2, 90)
        assert it.now - told > 5
        it.asterisk.on_action = lambda _action: None
        await it.until(lambda: not it.alive(call), 90)
        await it.until(lambda: not it.is_tracked(call))
