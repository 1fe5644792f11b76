"""Other hosts' monotonic clocks, as far as their published readings tell: no wall clock is asked."""

from __future__ import annotations

from collections.abc import Mapping

from session_timer.record import ClockReading, learn_clock


class Clocks:
    """What is known of each host's monotonic clock. All times are in seconds; `now` is our own clock."""

    def __init__(self) -> None:
        self._known: dict[str, ClockReading] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._known)

    def learn(self, readings: Mapping[str, float], now: float) -> None:
        """Take note of published readings, by the clock's name."""
        for name, reading in readings.items():
            self._known[name] = learn_clock(self._known.get(name), reading, now)

    def ours(self, name: str, at: float) -> float | None:
        """The time `at` of the clock `name` on our own clock; None for a clock that has published nothing."""
        known = self._known.get(name)
        return None if known is None else at - known.offset
