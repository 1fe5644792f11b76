"""The scheduler: everybody is woken at their time, once, and nobody is kept who has gone."""

from __future__ import annotations

import asyncio
import math
import random
import tracemalloc

from session_timer import Agreement, DialogTimer, Policy, Side
from session_timer_companion.timers.scheduler import TICK, Scheduler
from session_timer_companion.timers.tracked_call import Terms, TrackedCall


def tracked(name: str) -> TrackedCall:
    dialog = DialogTimer(Agreement(1800, Side.LOCAL))
    return TrackedCall(name, f"{name};a;b", Terms(None, Policy()), dialog=dialog, since=0.0)


class Woken:
    def __init__(self) -> None:
        self.order: list[str] = []
        self.late: list[float] = []
        self.faults: list[BaseException] = []
        self.scheduler = Scheduler(self._on_wake, self.faults.append)

    def _on_wake(self, tracked_calls: list[TrackedCall], lag: float) -> None:
        self.order += [each.channel for each in tracked_calls]
        self.late.append(lag)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.order) < count:
                await asyncio.sleep(0.005)


async def test_each_is_woken_once_in_the_order_of_their_times_and_never_early() -> None:
    woken = Woken()
    now = asyncio.get_running_loop().time()
    times = {str(number): now + 0.1 + number * TICK / 10 for number in range(100)}
    for name in random.Random(7).sample(sorted(times), k=100):  # noqa: S311  # the same each time
        woken.scheduler.put(tracked(name), times[name])
    woken.scheduler.resume()
    await woken.until(100)
    assert sorted(woken.order) == sorted(times)
    ticks = [math.ceil(times[name] / TICK) for name in woken.order]
    assert ticks == sorted(ticks)
    assert min(woken.late) >= 0


async def test_the_last_time_that_was_set_holds() -> None:
    woken = Woken()
    woken.scheduler.resume()
    now = asyncio.get_running_loop().time()
    early, late, never = tracked("early"), tracked("late"), tracked("never")
    for each in (early, late, never):
        woken.scheduler.put(each, now + 0.3)
    woken.scheduler.put(early, now + 0.05)
    woken.scheduler.put(late, now + 5)
    woken.scheduler.put(late, now + 0.4)
    woken.scheduler.put(never, None)
    await woken.until(2)
    assert woken.order == ["early", "late"]
    assert never.wake is None


async def test_nobody_is_woken_while_it_rests_and_nobody_is_forgotten() -> None:
    woken = Woken()
    woken.scheduler.resume()
    now = asyncio.get_running_loop().time()
    woken.scheduler.put(tracked("one"), now + 0.05)
    woken.scheduler.pause()
    other = Woken()
    other.scheduler.put(tracked("other"), now + 0.2)
    other.scheduler.resume()
    await other.until(1)
    assert woken.order == []
    woken.scheduler.resume()
    await woken.until(1)
    assert woken.late[0] > 0.05


async def test_calls_that_end_long_before_their_time_leave_nothing_behind() -> None:
    """A peer may name an interval of 68 years for each of its calls."""
    woken = Woken()
    woken.scheduler.resume()
    now = asyncio.get_running_loop().time()
    stays, ends = tracked("stays"), tracked("ends")
    woken.scheduler.put(stays, now + 0.1)
    tracemalloc.start()
    try:
        for number in range(20_000):
            woken.scheduler.put(ends, now + 2**30 + number)
        woken.scheduler.put(ends, None)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
    await woken.until(1)
    assert woken.order == ["stays"]
