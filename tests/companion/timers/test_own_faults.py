"""Faults of our own: counted, told, and the calls go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from session_timer.session import Action
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.edge.replies import Found, RecordReply
from session_timer_companion.timers.tracked_call import TrackedCall, place
from structlog.testing import capture_logs

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.fake_edge import FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, world

OURS = Agreement(12, Side.LOCAL)


def refuses(it: World, call_id: str) -> None:
    """From now on taking up this call meets a fault of ours."""
    driver = it.tracker.driver
    begin = driver.begin

    def faulty(tracked: TrackedCall, reply: RecordReply | None) -> None:
        if tracked.call_id == call_id:
            raise ZeroDivisionError
        begin(tracked, reply)

    driver.begin = faulty  # type: ignore[method-assign]


@in_virtual_time
async def test_a_fault_of_ours_in_a_resync_is_counted_and_costs_no_other_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        faults = it.companion.metrics.faults
        calls = [it.call(f"call-{n}", OURS) for n in range(3)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        refuses(it, "call-new")
        await it.asterisk.stop()
        await it.until(lambda: not it.tracker.ready)
        new = it.call("call-new", OURS)
        before, down = [it.confirmed(call) for call in calls], it.now
        await it.asterisk.start()
        # A traceback takes longer to be written than all that led to it.
        with capture_logs() as logged:
            await it.until_after(down + 60)
        assert any(line["event"] == "internal_error" for line in logged)
        assert 3 <= faults._value.get() < 20
        assert all(it.confirmed(call) >= known + 3 for call, known in zip(calls, before, strict=True))
        del it.tracker.driver.begin
        await it.until(lambda: it.tracker.ready and it.confirmed(new) > 0)


@in_virtual_time
async def test_a_fault_of_ours_with_a_new_call_costs_no_other_that_is_answered_in_the_same_moment(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        refuses(it, "call-0")
        calls = [it.call(f"call-{n}", OURS) for n in range(3)]
        await it.until(lambda: all(it.confirmed(call) > 0 for call in calls[1:]), 30)
        assert it.companion.metrics.faults._value.get() == 1


@in_virtual_time
async def test_a_fault_of_ours_with_one_edge_is_counted_and_the_next_round_comes(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it, FakeEdge("other") as other:
        it.edges = [
            {"name": "edge", "door": it.edge.address},
            {"name": "other", "door": other.address},
        ]
        await it.start()
        assert it.companion is not None
        faults = it.companion.metrics.faults
        broken = it.companion.edges.named("other")
        assert broken is not None
        broken.changes = None  # type: ignore[assignment,method-assign]
        call = it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.is_tracked(call) and faults._value.get() >= 3)
        it.edge.refresh(key(call), OURS)
        await it.until(lambda: it.confirmed(call) == 1, 5)


async def test_what_goes_on_beside_is_heard_of_when_it_fails_and_ends_with_the_rest() -> None:
    faults: list[BaseException] = []
    beside = BackgroundTasks(faults.append)
    for_ever = beside.spawn(asyncio.Event().wait())  # type: ignore[arg-type]

    async def fails() -> None:
        raise ZeroDivisionError

    await asyncio.wait({beside.spawn(fails())})
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    await beside.aclose()
    assert for_ever.cancelled()
    assert len(faults) == 1


def twins(it: World) -> tuple[Channel, Channel]:
    """Two calls of ours that are always served together, the first one first."""
    one = "call-0"
    other = next(name for n in range(1, 10_000) if place(named(name := f"call-{n}")) == place(named(one)))
    return it.call(one, OURS), it.call(other, OURS)


def named(call_id: str) -> str:
    return key(Channel("", "", call_id))


def fault_with(it: World, call: Channel) -> None:
    """The next record that is read of this call meets a fault of ours."""
    evidence = it.tracker.driver.evidence
    apply_record = evidence.apply_record

    def faulty(tracked: TrackedCall, reply: RecordReply) -> Action | None:
        if tracked.key == key(call) and isinstance(reply, Found) and tracked.attempt is not None:
            del evidence.apply_record
            raise ZeroDivisionError
        return apply_record(tracked, reply)

    evidence.apply_record = faulty  # type: ignore[method-assign]


@in_virtual_time
async def test_a_fault_with_one_call_does_not_wake_another_that_was_switched_off(tmp_path: Path) -> None:
    """It has no time at which it could be due, and would be woken without end."""
    async with world(tmp_path) as it:
        assert it.companion is not None
        faults = it.companion.metrics.faults
        off, other = twins(it)

        def answer(_world: World, channel: Channel, _refresh: Refresh) -> int | None:
            if channel is other:
                return 200
            it.edge.refresh(key(off), None, listed=False)
            return None

        it.peer = answer
        await it.until(lambda: it.is_tracked(off) and it.is_tracked(other))
        fault_with(it, other)
        await it.until(lambda: faults._value.get() == 1)
        assert str(it.tracked(off).current_session().state) == "off"
        assert it.tracked(off).current_session().wake is None
        await it.until(lambda: it.confirmed(other) == 2)


@in_virtual_time
async def test_a_fault_with_one_call_does_not_keep_another_that_is_dead(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        dead, other = twins(it)
        it.peer = lambda _world, channel, _refresh: 481 if channel is dead else 200
        await it.until(lambda: it.is_tracked(dead) and it.is_tracked(other))
        fault_with(it, other)
        await it.until(lambda: not it.alive(dead), 60)
        await it.until(lambda: it.confirmed(other) == 2)


@in_virtual_time
async def test_a_fault_in_what_hears_events_is_counted_where_the_alert_looks(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        faults = it.companion.metrics.faults
        it.tracker.look_at = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
        call = it.call("call-1", OURS)
        await it.until(lambda: faults._value.get() == 1)
        assert it.tracker.ready
        assert it.alive(call)


@in_virtual_time
async def test_a_fault_in_the_wake_up_of_one_call_wakes_all_others_and_it_again(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        faults = it.companion.metrics.faults
        calls = twins(it)
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        metrics = it.companion.metrics
        lag = metrics.lag

        class Broken:
            def observe(self, _lag: float) -> None:
                metrics.lag = lag
                raise ZeroDivisionError

        metrics.lag = Broken()  # type: ignore[assignment]
        await it.until(lambda: all(it.confirmed(call) == 2 for call in calls))
        assert faults._value.get() == 1
