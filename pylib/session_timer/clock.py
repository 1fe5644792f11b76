"""The monotonic clocks of other hosts, known from the readings they publish: no wall clock is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One published reading of a writer's monotonic clock, as one reader saw it; all in seconds."""

    reading: float
    """On the writer's clock."""
    offset: float
    """The writer's clock less the reader's."""
    learned: float
    """On the reader's clock."""


_STALE = 60.0
"""Seconds after which a fresh reading replaces a nearer one: clocks of two hosts drift apart."""


def learn_clock(known: ClockReading | None, reading: float, now: float) -> ClockReading:
    """Call with each published `reading`, read at `now` on the reader's own clock; both in seconds.

    Returns what is known of the clock from now on. A reading is always a little old when it is read, so the
    largest difference is the nearest to the truth. A host that is gone publishes nothing, and its clock
    keeps the offset it had.
    """
    fresh = ClockReading(reading, reading - now, now)
    if known is None or fresh.offset >= known.offset:
        return fresh
    if reading > known.reading and now - known.learned > _STALE:
        return fresh
    return known


class Clocks:
    """What is known of each host's monotonic clock. All times are in seconds; `now` is our own clock."""

    def __init__(self) -> None:
        self._known: dict[str, ClockReading] = {}
        self._newest: dict[str, ClockReading] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The clocks that published a reading."""
        return tuple(self._known)

    def learn(self, readings: Mapping[str, float], now: float) -> None:
        """Take note of readings, by the clock's name."""
        for name, reading in readings.items():
            self._known[name] = learn_clock(self._known.get(name), reading, now)
            self._newest[name] = ClockReading(reading, reading - now, now)

    def jump(self, name: str, reading: float, now: float) -> float:
        """Seconds by which our clock has fallen behind this one since its last reading; take note of it.

        A virtual machine that was paused has a monotonic clock that stood still, and no other sign of it.
        """
        known = self._known.get(name)
        self.learn({name: reading}, now)
        return 0.0 if known is None else max(0.0, self._known[name].offset - known.offset)

    def drift(self, name: str, since: float) -> float:
        """Seconds by which a clock's reading after `since` is behind what earlier ones let expect."""
        known = self._known.get(name)
        newest = self._newest.get(name)
        if known is None or newest is None or newest.learned <= since:
            return 0.0
        return known.offset - newest.offset

    def ours(self, name: str, at: float) -> float | None:
        """The time `at` of the clock `name` on our own clock; None for a clock that is not known."""
        known = self._known.get(name)
        return None if known is None else at - known.offset
