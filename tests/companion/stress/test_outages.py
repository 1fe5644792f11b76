"""An edge that is away, a host that stood still, calls by the hundred that are due at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, into_nothing, key, silence, world


def through(it: World, channel: Channel, _refresh: Refresh) -> int | None:
    """A refresh passes an edge that is alive."""
    return into_nothing(it, channel) if it.edge.silent else 200


@pytest.mark.parametrize("side", list(Side))
@in_virtual_time
async def test_an_outage_of_five_minutes_at_1800_s_ends_no_call(tmp_path: Path, side: Side) -> None:
    async with world(tmp_path, peer=through, start=False) as it:
        calls = [
            it.call(f"call-{n}", Agreement(1800, side), age=1800 * 0.6 * n / 180, placed_by_us=n % 2 == 0)
            for n in range(180)
        ]

        async def peers() -> None:
            """The peers that are refreshers keep their word, and the edge sees it when it is there."""
            while True:
                await asyncio.sleep(300)
                for call in calls:
                    if side is Side.REMOTE and it.alive(call):
                        it.edge.refresh(key(call))

        await it.start()
        keeping = asyncio.create_task(peers())
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        it.edge.silent = True
        began = it.now
        await it.until_after(began + 300)
        held = it.tracker.driver.held
        it.edge.silent = False
        back = it.now
        await it.until_after(back + 900)
        keeping.cancel()
        assert sum(it.alive(call) for call in calls) == 180
        if side is Side.LOCAL:
            assert held > 10
            assert it.tracker.driver.held == 0
            assert all(it.confirmed(call) >= 1 for call in calls)


@in_virtual_time
async def test_the_moment_in_which_an_edge_dies_costs_no_call(tmp_path: Path) -> None:
    """Nobody has noticed yet, and twenty refreshes a second are due: as of 18,000 calls at 1800 s."""
    async with world(tmp_path, peer=through, start=False) as it:
        calls = [it.call(f"call-{n}", Agreement(1800, Side.LOCAL), age=790 + n / 4) for n in range(400)]
        await it.start()
        await it.until(lambda: len(it.sent) > 40)
        it.edge.silent = True
        died = it.now
        await it.until_after(died + 300)
        it.edge.silent = False
        await it.until_after(it.now + 100)
        assert sum(it.alive(call) for call in calls) == 400


@in_virtual_time
async def test_what_is_held_leaves_in_the_end_while_a_peer_can_still_answer(tmp_path: Path) -> None:
    """The door is silent and SIP is well: no call must go without its refresh for that."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        it.edge.silent = True
        await it.until(lambda: bool(it.refreshes(call)), 120)
        latest = it.refreshes(call)[0].at - answered
        assert 60 < latest < 90 - 6.75 - 15 + 1


@in_virtual_time
async def test_what_is_overdue_leaves_at_the_pace_that_is_set_most_urgent_first(tmp_path: Path) -> None:
    async with world(tmp_path, start=False, settings={"pace": 50}) as it:
        calls = [
            it.call(f"call-{n}", Agreement(1800, Side.LOCAL), age=1000.0 + 600 * (n % 100) / 100)
            for n in range(1000)
        ]
        await it.start()
        began = it.now
        await it.until(lambda: len(it.sent) == 1000, 60)
        a_second = Counter(int(sent.at - began) for sent in it.sent)
        assert max(a_second.values()) <= 50 + 10 + 5
        assert it.now - began > 15
        age = {call.call_id: 1000.0 + 600 * (n % 100) / 100 for n, call in enumerate(calls)}
        first = [age[sent.call_id] for sent in it.sent[:100]]
        last = [age[sent.call_id] for sent in it.sent[-100:]]
        assert min(first) > max(last)


@in_virtual_time
async def test_a_host_that_stood_still_refreshes_what_is_due_by_the_edges_clock(tmp_path: Path) -> None:
    """A paused virtual machine: its clock stands, the edge's goes on."""
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            call = it.call("call-1", Agreement(1800, Side.LOCAL), age=300)
            await it.start()
            await it.until(lambda: it.is_tracked(call))
            due = it.tracked(call).current_session().wake
            assert due is not None
            assert due - it.now > 500
            it.edge.ahead += 1200
            paused = it.now
            await it.until(lambda: it.confirmed(call) == 1, 30)
            assert it.refreshes(call)[0].at - paused < 10
    (told,) = [line["seconds"] for line in logged if line["event"] == "host_paused"]
    assert told == pytest.approx(1200, abs=2)


@in_virtual_time
async def test_many_hang_ups_at_once_pull_the_brake_until_a_person_says_so(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, settings={"brake": {"hangups_a_minute": 60, "least": 5}}) as it:
            assert it.companion is not None
            it.peer = lambda *_: None
            calls = [it.call(f"call-{n}", Agreement(12, Side.LOCAL)) for n in range(40)]
            began = it.now
            await it.until_after(began + 100)
            assert sum(not it.alive(call) for call in calls) == 5
            assert it.companion.brake.standing == "on for 198.18.0.42", "all calls are with one peer"
            assert it.companion.metrics.registry.get_sample_value("session_timer_brake") == 1
            assert it.companion.brake.release()
            await it.until(lambda: sum(not it.alive(call) for call in calls) >= 8, 120)
    told = [line for line in logged if line["event"] == "brake_on"]
    assert told
    assert told[0]["log_level"] == "error"


@in_virtual_time
async def test_calls_that_the_brake_keeps_cost_little(tmp_path: Path) -> None:
    """Nobody may look for hours, and each of them is judged again and again."""
    async with world(tmp_path, peer=silence(), settings={"brake": {"hangups_a_minute": 1, "least": 1}}) as it:
        assert it.companion is not None
        calls = [it.call(f"call-{n}", Agreement(12, Side.LOCAL)) for n in range(20)]
        await it.until(lambda: it.companion is not None and it.companion.brake.standing != "off", 60)
        await it.until_after(it.now + 60)
        before = len(it.asterisk.received)
        await it.until_after(it.now + 300)
        each = (len(it.asterisk.received) - before) / 300 / sum(it.alive(call) for call in calls)
        assert each < 1, "actions a second and call"


@in_virtual_time
async def test_a_few_hang_ups_a_minute_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        it.peer = lambda *_: None
        for n in range(15):
            call = it.call(f"call-{n}", Agreement(12, Side.LOCAL))
            await it.until(lambda call=call: not it.alive(call), 30)  # type: ignore[misc]
        assert it.companion.brake.standing == "off"
