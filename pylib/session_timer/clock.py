"""Another host's monotonic clock, known from the readings it publishes: no wall clock is asked."""

from __future__ import annotations

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
