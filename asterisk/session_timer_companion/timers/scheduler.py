"""Who is served when: one timer of the event loop for any number of calls, and a queue that keeps a pace."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from session_timer_companion.timers.tracked_call import Tick, TrackedCall

TICK = 0.05
"""Seconds. Calls whose time comes within one tick are woken together, at its end."""

AFTER_A_FAULT = 1.0
"""Seconds after which calls are woken again that a fault of ours kept from what was due."""

SPARE = 1_000
"""Ticks that nobody waits for any more, and that are kept until there are more of them."""

CALLS_PER_BATCH = 64
"""Calls that are served together at most."""

_Thing = TypeVar("_Thing")


class Scheduler:
    """Wakes each tracked call at its time, in seconds of the event loop's clock, and not before `resume`.

    `on_wake` gets those whose time has come, and the seconds by which they are late beyond the tick. What it
    raises goes to `on_fault`, and the same calls are woken again.
    """

    def __init__(
        self,
        on_wake: Callable[[list[TrackedCall], float], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._on_wake = on_wake
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._ticks: list[int] = []
        self._of: dict[int, Tick] = {}
        """By its number."""
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def put(self, tracked: TrackedCall, at: float | None) -> None:
        """Wake `tracked` at `at` and no more at the time set before; None: not at all."""
        number = None if at is None else math.ceil(at / TICK)
        before = tracked.wake
        if before is not None:
            if before.number == number:
                return
            before.remove(tracked)
            if not before:
                self._drop(before.number)
        tracked.wake = None
        if number is None:
            return
        tick = self._of.get(number)
        if tick is None:
            tick = self._of[number] = Tick(number)
            heapq.heappush(self._ticks, number)
            if self._running and self._ticks[0] == number:
                self._arm()
        tracked.wake = tick
        tick.append(tracked)

    def pause(self) -> None:
        """Wake nobody until `resume`; nothing is forgotten."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        """Wake again, first whoever has become due meanwhile."""
        if not self._running:
            self._running = True
            self._arm()

    def _drop(self, number: int) -> None:
        """Nobody waits for this tick, which may be years away; its number stays in the heap for a while."""
        del self._of[number]
        if len(self._ticks) > SPARE + 2 * len(self._of):
            self._ticks = sorted(self._of)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._ticks[0] * TICK, self._wake_up) if self._ticks else None

    def _wake_up(self) -> None:
        now = self._loop.time()
        while self._ticks and self._ticks[0] * TICK <= now:
            waiting = self._of.pop(heapq.heappop(self._ticks), None)
            if waiting is not None:
                for tracked in waiting:
                    tracked.wake = None
                try:
                    self._on_wake(waiting, now - waiting.number * TICK)
                except Exception as error:  # noqa: BLE001  # the others must be woken all the same
                    self._on_fault(error)
                    for tracked in waiting:
                        if tracked.wake is None and not tracked.gone:
                            self.put(tracked, now + AFTER_A_FAULT)
        if self._running:
            self._arm()


def batches(things: list[_Thing]) -> Iterator[list[_Thing]]:
    """What is due together, in groups that one task serves."""
    for start in range(0, len(things), CALLS_PER_BATCH):
        yield things[start : start + CALLS_PER_BATCH]


BURST = 0.2
"""Seconds' worth of refreshes that may leave in one moment."""


class PacedQueue:
    """Calls that wait to be served; `rate` a second are let go, those that expire first before the others."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate * BURST)
        self._tokens = self._most
        self._at = 0.0
        self._heap: list[tuple[float, int, TrackedCall]] = []
        self._numbers = itertools.count()
        self._waiting: set[TrackedCall] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, tracked: TrackedCall, expires: float) -> None:
        """Let a call wait; `expires` is when its session interval is over. One that waits already stays."""
        if tracked not in self._waiting:
            self._waiting.add(tracked)
            heapq.heappush(self._heap, (expires, next(self._numbers), tracked))

    def take(self, now: float) -> list[TrackedCall]:
        """Those whose turn it is at `now`, most urgent first."""
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        taken: list[TrackedCall] = []
        while self._heap and self._tokens >= 1:
            _, _, tracked = heapq.heappop(self._heap)
            if tracked in self._waiting:
                self._waiting.discard(tracked)
                taken.append(tracked)
                self._tokens -= 1
        return taken

    def wait(self) -> float | None:
        """Seconds until the next one may leave; None while nobody waits."""
        return max(0.0, (1 - self._tokens) / self._rate) if self._waiting else None

    def forget(self, tracked: TrackedCall) -> None:
        """The call is over."""
        self._waiting.discard(tracked)
