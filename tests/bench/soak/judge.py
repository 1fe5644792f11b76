"""Whether what was sampled grows, as a pure function of the samples.

A line is fitted to each series; runs that follow one another have one slope in common and a level each,
because each has processes of its own. The slope is known to within two standard errors, which allow for looks
that resemble the one before. It grows if even the lower end is above the bound, it is steady if even the
upper end is not, and between the two the run was too short to tell.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.soak.samples import Sample

WARM_UP = 600.0
"""Seconds in which pools, caches and rings fill; they are drawn and do not count."""
FEWEST = 10
"""Looks after the warm-up without which nothing is said."""
HOUR = 3600.0
MIB = 2.0**20


class Verdict(enum.Enum):
    """What a series does."""

    STEADY = "steady"
    GROWS = "grows"
    UNKNOWN = "too short to tell"


@dataclass(frozen=True, slots=True)
class Series:
    """Something that must not grow: how it is read from a sample, and by how much it may rise in an hour."""

    name: str
    value: Callable[[Sample], float]
    bound: float
    unit: str = ""
    scale: float = 1.0
    """What one unit is."""


SERIES = (
    # 72,000 calls come and go in an hour, so a MiB is 15 bytes of each.
    Series("companion, memory", lambda s: s.companion_memory, 1.0 * MIB, "MiB", MIB),
    Series("edge, memory of its processes", lambda s: s.edge_memory, 2.0 * MIB, "MiB", MIB),
    Series("edge, shared memory", lambda s: s.edge_shared, 0.5 * MIB, "MiB", MIB),
    Series("Asterisk, memory", lambda s: s.asterisk_memory, 8.0 * MIB, "MiB", MIB),
    Series("edge, records less calls", lambda s: s.records - s.calls, 30.0),
    Series("edge, entries in the list of changes", lambda s: s.changes, 60.0),
    Series("edge, SIP transactions", lambda s: s.transactions, 60.0),
    Series("companion, calls tracked less calls", lambda s: s.sessions - s.calls, 30.0),
    Series("companion, open files", lambda s: s.companion_files, 2.0),
    Series("edge, open files", lambda s: s.edge_files, 2.0),
    Series("Asterisk, open files less four a call", lambda s: s.asterisk_files - 4 * s.calls, 60.0),
    Series("companion, calls woken late by", lambda s: s.lag, 0.005, "ms", 0.001),
    Series("longest wait for a refresh of ours", lambda s: s.refresh_latest, 0.5, "s"),
    Series("longest standing of a dead call", lambda s: s.dead_longest, 2.0, "s"),
)


@dataclass(frozen=True, slots=True)
class Slope:
    """A fitted line: by how much it rises in an hour, and the standard error of that."""

    an_hour: float
    error: float

    def verdict(self, bound: float) -> Verdict:
        """What it is, if it may rise by `bound` in an hour."""
        if self.an_hour - 2 * self.error > bound:
            return Verdict.GROWS
        return Verdict.STEADY if self.an_hour + 2 * self.error <= bound else Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Growth:
    """What one series does."""

    series: Series
    level: float
    """Its median after the warm-up."""
    slope: Slope | None
    """None: too few looks."""

    @property
    def verdict(self) -> Verdict:
        return Verdict.UNKNOWN if self.slope is None else self.slope.verdict(self.series.bound)

    def __str__(self) -> str:
        scale, unit = self.series.scale, f" {self.series.unit}" if self.series.unit else ""
        told = f"{self.series.name}: {self.level / scale:.4g}{unit}"
        if self.slope is None:
            return f"{told}, {self.verdict.value}"
        return (
            f"{told}, {self.slope.an_hour / scale:+.2g} ± {2 * self.slope.error / scale:.2g}{unit} an hour "
            f"(bound {self.series.bound / scale:g}): {self.verdict.value}"
        )


def fitted(runs: Iterable[Sequence[tuple[float, float]]]) -> Slope | None:
    """The slope that several runs of (second, value) have in common; None with fewer looks than `FEWEST`."""
    centred = []
    for run in runs:
        if len(run) >= 3:
            middle = sum(second for second, _ in run) / len(run)
            level = sum(value for _, value in run) / len(run)
            centred.append([((second - middle) / HOUR, value - level) for second, value in run])
    looks = sum(len(run) for run in centred)
    spread = sum(x * x for run in centred for x, _ in run)
    if looks < FEWEST or spread == 0.0:
        return None
    slope = sum(x * y for run in centred for x, y in run) / spread
    rest = [[y - slope * x for x, y in run] for run in centred]
    squares = sum(r * r for run in rest for r in run)
    if squares == 0.0:
        return Slope(slope, 0.0)
    alike = sum(a * b for run in rest for a, b in itertools.pairwise(run)) / squares
    alike = min(0.9, max(0.0, alike))
    freedom = max(1, looks - len(centred) - 1)
    return Slope(slope, math.sqrt(squares / freedom / spread * (1 + alike) / (1 - alike)))


def judged(samples: Sequence[Sample]) -> list[Growth]:
    """What every series does, over all runs of the samples."""
    counted = [sample for sample in samples if sample.second >= WARM_UP and not sample.last]
    runs = [list(group) for _, group in itertools.groupby(counted, key=lambda sample: sample.run)]
    found = []
    for series in SERIES:
        values = sorted(series.value(sample) for sample in counted)
        level = values[len(values) // 2] if values else math.nan
        slope = fitted([(s.second, float(series.value(s))) for s in run] for run in runs)
        found.append(Growth(series, level, slope))
    return found


@dataclass(frozen=True, slots=True)
class Soak:
    """What all runs of a file showed."""

    hours: float
    calls: int
    live_lost: int
    dead: int
    dead_standing: int
    faults: int
    growth: tuple[Growth, ...]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Soak:
        runs = [list(group) for _, group in itertools.groupby(samples, key=lambda sample: sample.run)]
        last = [run[-1] for run in runs]
        return cls(
            hours=sum(max((s.second for s in run if not s.last), default=0.0) for run in runs) / HOUR,
            calls=sum(s.live + s.dead for s in last),
            live_lost=sum(s.live_lost for s in last),
            dead=sum(s.dead for s in last),
            dead_standing=sum(s.dead_standing for s in last),
            faults=sum(s.faults for s in last),
            growth=tuple(judged(samples)),
        )

    def that(self, verdict: Verdict) -> list[str]:
        """The names of the series of this verdict."""
        return [growth.series.name for growth in self.growth if growth.verdict is verdict]

    @property
    def good(self) -> bool:
        return not (self.live_lost or self.dead_standing or self.faults or self.that(Verdict.GROWS))

    def __str__(self) -> str:
        """The last line of the command."""
        grows, unknown = self.that(Verdict.GROWS), self.that(Verdict.UNKNOWN)
        told = "none"
        if grows:
            told = "of " + "; ".join(grows)
        elif unknown:
            told = f"none seen, too short to tell of {len(unknown)} series in {len(self.growth)}"
        return (
            f"soak: {self.hours:.2g} hours, {self.calls} calls, live lost {self.live_lost}, "
            f"dead standing {self.dead_standing}, faults {self.faults}, growth {told}"
        )
