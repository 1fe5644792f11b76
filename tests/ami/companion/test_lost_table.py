"""An edge that lost its table writes records anew, and nobody's live call ends for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ami.companion.virtual_time import in_virtual_time
from ami.companion.world import Agreement, Side, World, key, silence, world

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
        await it.until(lambda: it.watched(call))
        name = key(call)
        it.edge.records[name] = replace(it.edge.records[name], clock="a-host-that-just-booted")
        began = it.now
        await it.until(lambda: it.now > began + 30)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_without_records_the_edge_is_not_asked_without_pause(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.watched(call))
        it.edge.records.clear()
        it.edge.asked.clear()
        began = it.now
        await it.until(lambda: it.now > began + 30)
        asked = [params for method, *params in it.edge.asked if method == "htable.get"]
        assert 1 <= len(asked) <= 40
