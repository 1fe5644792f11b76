"""A refresh that an operator asks for goes the way of all others: never doubled, followed, counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

from session_timer_companion.timers import manual_refresh

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, silence, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(40, Side.REMOTE)


def counted(it: World, outcome: str) -> float:
    assert it.companion is not None
    labels = {"peer": "default", "method": "UPDATE", "outcome": outcome}
    return it.companion.metrics.registry.get_sample_value("session_timer_refreshes_total", labels) or 0.0


@in_virtual_time
async def test_two_operators_at_once_put_one_refresh_on_the_wire(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(1800, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        tracked = it.tracked(call)
        reports = await asyncio.gather(*[manual_refresh.refresh(it.tracker, tracked) for _ in range(3)])
        assert sorted(report["outcome"] for report in reports) == ["confirmed", "not_sent", "not_sent"]
        assert len(it.refreshes(call)) == 1
        assert counted(it, "confirmed") == 1


@in_virtual_time
async def test_the_automatic_refresh_that_becomes_due_meanwhile_is_not_sent_too(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        tracked = it.tracked(call)
        wake = tracked.current_session().wake
        assert wake is not None
        await it.until_after(wake - 0.5)

        def slow(*_: object) -> None:
            asyncio.get_running_loop().call_later(1.0, it.edge.refresh, tracked.key)

        it.peer = slow
        report = await manual_refresh.refresh(it.tracker, tracked)
        assert report["outcome"] == "confirmed"
        assert len(it.refreshes(call)) == 1
        assert tracked.refreshes == 1


@in_virtual_time
async def test_a_silent_peer_of_an_operators_refresh_is_no_reason_to_end_the_call_early(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert report["outcome"] == "unanswered"
        assert counted(it, "unanswered") == 1
        assert it.alive(call)
        it.edge.refresh(it.tracked(call).key)
        asked = it.now
        await it.until_after(asked + 20)
        assert it.alive(call)


@in_virtual_time
async def test_a_call_that_ends_meanwhile_is_reported_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        asking = asyncio.create_task(manual_refresh.refresh(it.tracker, it.tracked(call)))
        await it.until(lambda: len(it.refreshes(call)) == 1)
        it.asterisk.hangup(call)
        report = await asking
        assert (report["outcome"], report["reason"]) == ("unknown", "the call has ended")
        assert report["seconds"] < 2
