"""A channel that does not answer holds up the connection that asks about it, and no other call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, key, world

OURS = Agreement(12, Side.LOCAL)
LONG = Agreement(1800, Side.LOCAL)


@in_virtual_time
async def test_a_start_takes_up_every_call_but_the_one_that_is_stuck_and_that_one_when_it_answers(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, start=False) as it:
        calls = [it.call(f"call-{n}", Agreement(40, Side.LOCAL)) for n in range(300)]
        stuck = calls[270]
        it.asterisk.stuck.add(stuck.name)
        began = it.now
        await it.start()
        assert it.now - began < 20
        assert set(it.tracker.by_key) == {key(call) for call in calls if call is not stuck}
        refreshed = it.now
        await it.until(lambda: all(it.confirmed(call) > 0 for call in calls if call is not stuck))
        logins = it.asterisk.connections
        await it.until_after(refreshed + 60)
        assert it.tracker.ready
        assert it.asterisk.connections - logins < 6
        it.asterisk.stuck.clear()
        await it.until(lambda: it.is_tracked(stuck) and it.confirmed(stuck) > 0)


@in_virtual_time
async def test_a_call_that_gets_stuck_is_not_forgotten_and_costs_the_others_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", LONG) for n in range(5)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        stuck, tracked = calls[2], it.tracked(calls[2])
        it.asterisk.stuck.add(stuck.name)
        it.asterisk.drop()
        await it.until(lambda: not it.tracker.ready)
        await it.until(lambda: it.tracker.ready)
        assert it.tracked(stuck) is tracked
        it.asterisk.hangup(stuck)
        await it.until(lambda: not it.is_tracked(stuck))


@in_virtual_time
async def test_a_refresh_that_gets_stuck_does_not_keep_other_refreshes_waiting_for_ever(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        stuck, *others = [it.call(f"call-{n}", OURS) for n in range(5)]
        await it.until(lambda: it.is_tracked(stuck) and all(it.is_tracked(call) for call in others))
        it.asterisk.stuck.add(stuck.name)
        began = it.now
        await it.until_after(began + 120)
        assert all(it.edge.records[key(call)].refreshes >= 10 for call in others)
        assert all(it.alive(call) for call in (stuck, *others))
        it.asterisk.stuck.clear()
        known = it.edge.records[key(stuck)].refreshes
        await it.until(lambda: it.edge.records[key(stuck)].refreshes > known)


@in_virtual_time
async def test_a_new_call_that_is_stuck_does_not_keep_the_next_one_waiting(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        stuck = it.call("stuck", OURS, ring=True)
        it.asterisk.stuck.add(stuck.name)
        it.asterisk.answer(stuck)
        await it.until_after(it.now + 1)
        following = it.call("following", OURS)
        answered = it.now
        await it.until(lambda: it.is_tracked(following))
        assert it.now - answered < 10
        it.asterisk.stuck.clear()
        await it.until(lambda: it.is_tracked(stuck))


@in_virtual_time
async def test_an_asterisk_that_is_only_slow_is_asked_once(tmp_path: Path) -> None:
    """What waits behind other questions waits for more than one deadline, and is no reason to begin anew."""
    async with world(tmp_path, start=False) as it:
        calls = [it.call(f"call-{n}", LONG) for n in range(500)]
        it.asterisk.pace = 0.02
        await it.start()
        assert len(it.tracker.by_key) == 500
        assert it.asterisk.connections == 1
        asked = Counter(action["Channel"] for action in it.asterisk.seen("Getvar") if action["Channel"])
        assert asked == {call.name: 5 for call in calls[1:]} | {calls[0].name: 7}
