"""How fast one Asterisk is made to refresh: what waits leaves by urgency, so many a second."""

from __future__ import annotations

import heapq
import itertools

from session_timer_companion.timers.tracked_call import TrackedCall

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
