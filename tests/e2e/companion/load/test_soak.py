"""The quick part of ``make soak``: its load made small, looked at as often as a minute allows, and judged."""

from __future__ import annotations

from pathlib import Path

from tests.bench.soak import samples
from tests.bench.soak.__main__ import run
from tests.bench.soak.judge import Soak
from tests.bench.soak.samples import Sample
from tests.lab.stack import Stack

CALLS = 30
SECONDS = 20
"""Of the whole load; then live calls wait for one refresh, and dead ones stand for some 60 seconds."""
NEW = 2.0


def test_a_small_load_loses_no_call_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    seen: list[Sample] = []
    path = tmp_path / "soak.csv"

    def told(sample: Sample) -> None:
        seen.append(sample)
        samples.append(path, sample)

    run(stack, SECONDS, told, calls=CALLS, new=NEW, every=8.0)
    soak = Soak.of(samples.read(path))
    assert soak.good, soak
    assert soak.calls > CALLS + NEW * SECONDS
    assert soak.dead >= 2
    *during, last = seen
    assert len(during) == 3
    assert max(sample.calls for sample in during) >= CALLS
    assert max(sample.refresh_latest for sample in seen) > 40
    assert max(sample.dead_longest for sample in seen) > 55
    assert last.last
    assert (last.calls, last.sessions, last.records) == (0, 0, 0)
