"""An edge that lost its table writes records anew, and nobody's live call ends for it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, silence, swallowed_updates, world

OURS = Agreement(12, Side.LOCAL)


@in_virtual_time
async def test_a_record_that_starts_anew_shows_that_the_refresh_took_place(tmp_path: Path) -> None:
    """Its count is the one that we know, its time is not."""

    def forgetful(it: World, channel: object, _refresh: object) -> None:
        it.edge.write(key(channel), OURS)  # type: ignore[arg-type]

    async with world(tmp_path, peer=forgetful) as it:
        call = it.call("call-1", OURS)
        began = it.now
        await it.until(lambda: it.now > began + 60)
        assert it.alive(call)
        assert 9 <= len(it.refreshes(call)) <= 12


@in_virtual_time
async def test_a_record_by_a_clock_that_nobody_published_is_no_evidence(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        name = key(call)
        it.edge.records[name] = it.edge.records[name]._replace(clock="a-host-that-just-booted")
        began = it.now
        await it.until(lambda: it.now > began + 30)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_without_records_the_edge_is_not_asked_without_pause(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        it.edge.asked_for.clear()
        began = it.now
        await it.until(lambda: it.now > began + 30)
        asked = it.edge.read(key(call))
        assert 1 <= asked <= 40


@pytest.mark.requirement("D-01", "UAC-7.2-16")
@pytest.mark.parametrize(
    ("interval", "method", "outcome"),
    [(12, "UPDATE", "unknown"), (90, "UPDATE", "unknown"), (180, "INVITE", "outlived")],
)
@in_virtual_time
async def test_without_a_record_no_peer_waits_for_a_refresh_that_asterisk_swallowed(
    tmp_path: Path, interval: int, method: str, outcome: str
) -> None:
    """A peer whose session runs out hangs up, though it lives."""
    async with world(tmp_path, peer=swallowed_updates) as it:
        call = it.call("call-1", Agreement(interval, Side.LOCAL))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        await it.until_after(answered + 4 * interval)
        assert it.alive(call)
        left = [sent.at for sent in it.refreshes(call) if sent.refresh.sdp]
        waits = [later - earlier for earlier, later in pairwise([answered, *left])]
        assert len(left) > 4
        assert max(waits) < interval
        assert it.companion is not None
        counted = it.companion.metrics.registry.get_sample_value(
            "session_timer_refreshes_total", {"peer": "default", "method": method, "outcome": outcome}
        )
        assert counted


@pytest.mark.requirement("D-01", "REF-10-07")
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("interval", [12, 90, 1800])
@in_virtual_time
async def test_a_dead_peer_is_found_by_what_the_edge_has_seen_since(
    tmp_path: Path, side: Side, interval: int
) -> None:
    """The edge writes down what becomes of our request, though it has lost what was agreed."""
    async with world(tmp_path, peer=silence(), writes_anew=True) as it:
        call = it.call("call-1", Agreement(interval, side))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        await it.until(lambda: not it.alive(call), 2 * interval)
        assert it.asterisk.seen("Hangup")
        assert it.now - answered < interval + 1.5


@pytest.mark.requirement("D-01", "UAC-7.2-16")
@pytest.mark.parametrize("side", list(Side))
@in_virtual_time
async def test_a_live_peer_is_refreshed_and_has_its_record_again(tmp_path: Path, side: Side) -> None:
    async with world(tmp_path, writes_anew=True) as it:
        call = it.call("call-1", Agreement(12, side))
        await it.until(lambda: it.is_tracked(call))
        it.edge.records.clear()
        began = it.now
        await it.until_after(began + 60)
        assert it.alive(call)
        assert it.confirmed(call) >= 3


@pytest.mark.requirement("D-01")
@pytest.mark.parametrize("side", list(Side))
@in_virtual_time
async def test_a_request_that_timed_out_before_ours_is_no_evidence(tmp_path: Path, side: Side) -> None:
    """A hold of the other party's met a lost record, and nobody has asked for a refresh yet."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, side))
        await it.until(lambda: it.is_tracked(call))
        it.edge.begin_anew(key(call))
        it.edge.time_out(key(call), it.edge.asked(key(call), "INVITE"))
        began = it.now
        await it.until_after(began + 60)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_start_goes_by_what_the_call_has_and_not_by_a_record_without_2xx(tmp_path: Path) -> None:
    async with world(tmp_path, start=False, writes_anew=True) as it:
        call = it.call("call-1", OURS)
        it.edge.begin_anew(key(call))
        it.edge.time_out(key(call), it.edge.asked(key(call)))
        await it.start()
        await it.until(lambda: it.is_tracked(call))
        assert it.tracked(call).dialog.agreement == OURS
        await it.until(lambda: it.confirmed(call) >= 1, 30)
        assert it.alive(call)


@pytest.mark.requirement("D-01")
@pytest.mark.parametrize("side", list(Side))
@in_virtual_time
async def test_without_a_record_a_dead_peer_is_found_by_asterisk_and_never_called_alive(
    tmp_path: Path, side: Side
) -> None:
    """A refresh that has left, and its BYE, have 32 seconds each; then the channel is gone."""

    def dead(it: World, channel: Channel, refresh: Refresh) -> None:
        def end() -> None:
            if it.alive(channel):
                it.asterisk.hangup(channel)

        if refresh.sdp:
            asyncio.get_running_loop().call_later(64, end)

    with capture_logs() as logged:
        async with world(tmp_path, peer=dead) as it:
            call = it.call("call-1", Agreement(180, side))
            await it.until(lambda: it.is_tracked(call))
            it.edge.records.clear()
            await it.until(lambda: not it.alive(call), 300)
            await it.until(lambda: not it.is_tracked(call))
            assert not it.asterisk.seen("Hangup")
    assert not [line for line in logged if line["event"] == "refresh_outlived"]
