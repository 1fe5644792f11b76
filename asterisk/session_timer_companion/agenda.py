"""Who is to be woken when: one timer of the event loop for any number of calls."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from session_timer_companion.watch import Watch

AT_ONCE = 100
"""Calls woken in a row before the event loop gets its turn: Asterisk drops a client that does not read."""


class Agenda:
    """Wakes each watch at its time, in seconds of the event loop's clock, and not before `resume`.

    `on_wake` gets the watch, and must not raise; `on_lag` the seconds by which it came late.
    """

    def __init__(
        self, on_wake: Callable[[Watch], None], on_lag: Callable[[float], None] = lambda _: None
    ) -> None:
        self._on_wake = on_wake
        self._on_lag = on_lag
        self._loop = asyncio.get_running_loop()
        self._entries: list[tuple[float, Watch]] = []
        self._dead = 0
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def put(self, watch: Watch, at: float | None) -> None:
        """Wake `watch` at `at` and no more at the time set before; None: not at all."""
        if watch.wake == at:
            return
        if watch.wake is not None:
            self._dead += 1
        watch.wake = at
        if at is not None:
            heapq.heappush(self._entries, (at, watch))
            if self._running and (self._timer is None or at < self._timer.when()):
                self._arm()
        if self._dead > len(self._entries) // 2 + AT_ONCE:
            self._compact()

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

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._entries[0][0], self._wake_up) if self._entries else None

    def _wake_up(self) -> None:
        now = self._loop.time()
        woken = 0
        while self._entries and self._entries[0][0] <= now and woken < AT_ONCE:
            at, watch = heapq.heappop(self._entries)
            if watch.wake != at or watch.gone:
                self._dead -= 1
                continue
            watch.wake = None
            woken += 1
            self._on_lag(now - at)
            self._on_wake(watch)
        if self._running:
            self._arm()

    def _compact(self) -> None:
        self._entries = [(at, watch) for at, watch in self._entries if watch.wake == at and not watch.gone]
        heapq.heapify(self._entries)
        self._dead = 0
