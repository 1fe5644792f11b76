"""Who is to be woken when: one timer of the event loop for any number of calls."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from session_timer_companion.timers.tracked_call import TrackedCall

TICK = 0.05
"""Seconds. Calls whose time comes within one tick are woken together, at its end."""

AFTER_A_FAULT = 1.0
"""Seconds after which calls are woken again that a fault of ours kept from what was due."""

SPARE = 1_000
"""Ticks that nobody waits for any more, and that are kept until there are more of them."""

_NOBODY: tuple[int, list[TrackedCall]] = (0, [])

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
        self._of: dict[int, tuple[int, list[TrackedCall]]] = {}
        """By tick: the tick's number, one object for all that wait for it, and who waits."""
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def put(self, tracked: TrackedCall, at: float | None) -> None:
        """Wake `tracked` at `at` and no more at the time set before; None: not at all."""
        tick = None if at is None else math.ceil(at / TICK)
        if tracked.wake == tick:
            return
        if tracked.wake is not None:
            _, waiting = self._of[tracked.wake]
            waiting.remove(tracked)
            if not waiting:
                self._drop(tracked.wake)
        if tick is None:
            tracked.wake = None
            return
        found = self._of.get(tick)
        if found is None:
            found = self._of[tick] = (tick, [])
            heapq.heappush(self._ticks, tick)
            if self._running and self._ticks[0] == tick:
                self._arm()
        tracked.wake = found[0]
        found[1].append(tracked)

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

    def _drop(self, tick: int) -> None:
        """Nobody waits for this tick, which may be years away; its number stays in the heap for a while."""
        del self._of[tick]
        if len(self._ticks) > SPARE + 2 * len(self._of):
            self._ticks = sorted(self._of)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._ticks[0] * TICK, self._wake_up) if self._ticks else None

    def _wake_up(self) -> None:
        now = self._loop.time()
        while self._ticks and self._ticks[0] * TICK <= now:
            tick, waiting = self._of.pop(heapq.heappop(self._ticks), _NOBODY)
            for tracked in waiting:
                tracked.wake = None
            if waiting:
                try:
                    self._on_wake(waiting, now - tick * TICK)
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
