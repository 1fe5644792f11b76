"""The quick part of ``make soak``: its load made small and its sessions short, looked at and judged."""

from __future__ import annotations

from pathlib import Path

from tests.bench.soak import samples
from tests.bench.soak.__main__ import Sessions, run
from tests.bench.soak.judge import Soak
from tests.bench.soak.samples import Sample
from tests.lab.stack import Stack

CALLS = 30
SECONDS = 12
"""Of the whole load; then live calls wait for one refresh, and dead ones stand for up to an interval."""
NEW = 2.0
SESSIONS = Sessions(interval=24, carrier=42)


def test_a_small_load_loses_no_call_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    seen: list[Sample] = []
    path = tmp_path / "soak.csv"

    def told(sample: Sample) -> None:
        seen.append(sample)
        samples.append(path, sample)

    run(stack, SECONDS, told, calls=CALLS, new=NEW, every=5.0, sessions=SESSIONS)
    soak = Soak.of(samples.read(path))
    assert soak.good, soak
    assert soak.calls > CALLS + NEW * SECONDS
    assert soak.dead >= 2
    *during, last = seen
    assert len(during) == 3
    assert max(sample.calls for sample in during) >= CALLS
    # Half the interval less the tenth over which refreshes are spread; two forms of a refresh of the dead.
    assert 10.5 < max(sample.refresh_latest for sample in seen) < SESSIONS.interval
    assert 14 < max(sample.dead_longest for sample in seen) <= SESSIONS.interval
    assert last.last
    assert (last.calls, last.sessions, last.records) == (0, 0, 0)
