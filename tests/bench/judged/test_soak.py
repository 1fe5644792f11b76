"""The judge of a soak: noise passes, a leak fails, and a run that is too short says so."""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.bench.soak import samples
from tests.bench.soak.judge import MIB, SERIES, WARM_UP, Growth, Soak, Verdict, fitted, judged
from tests.bench.soak.look import metrics
from tests.bench.soak.picture import drawn
from tests.bench.soak.samples import Sample

QUIET = Sample(
    run="first",
    second=0.0,
    calls=1225,
    sessions=1224,
    records=1226,
    changes=1,
    transactions=600,
    companion_memory=48 * 2**20,
    companion_files=10,
    companion_cpu=0.0,
    edge_memory=40 * 2**20,
    edge_shared=9 * 2**20,
    edge_files=182,
    edge_cpu=0.0,
    asterisk_memory=440 * 2**20,
    asterisk_files=4 * 1225 + 20,
    asterisk_cpu=0.0,
    lag=0.001,
    refresh_latest=45.1,
    dead_longest=77.0,
    faults=0,
    live=1000,
    dead=10,
    live_lost=0,
    dead_standing=0,
)


def an_hour(
    change: Callable[[Sample, float], Sample] = lambda sample, _: sample,
    *,
    run: str = "first",
    minutes: int = 75,
    seed: int = 1,
) -> list[Sample]:
    """A look each minute, with noise as it was seen; `change` is told the hours since the start."""
    draw = Random(seed)  # noqa: S311 - repeatable on purpose
    found = []
    for minute in range(minutes):
        noisy = dataclasses.replace(
            QUIET,
            run=run,
            second=60.0 * minute,
            calls=QUIET.calls + draw.randint(-9, 9),
            transactions=QUIET.transactions + draw.randint(-40, 40),
            companion_memory=QUIET.companion_memory + draw.randint(-60_000, 60_000),
            edge_shared=QUIET.edge_shared + draw.randint(-(10**6), 10**6),
            asterisk_memory=QUIET.asterisk_memory + draw.randint(-(10**6), 10**6),
            lag=abs(draw.gauss(0.001, 0.0005)),
        )
        noisy = dataclasses.replace(
            noisy,
            sessions=noisy.calls - draw.randint(0, 3),
            records=noisy.calls + draw.randint(0, 3),
            asterisk_files=4 * noisy.calls + draw.randint(0, 60),
        )
        found.append(change(noisy, minute / 60))
    return found


def leaking(name: str, an_hour: float) -> Callable[[Sample, float], Sample]:
    def leak(sample: Sample, hours: float) -> Sample:
        more: dict[str, Any] = {name: getattr(sample, name) + round(an_hour * hours)}
        return dataclasses.replace(sample, **more)

    return leak


def that(found: Sequence[Growth], verdict: Verdict) -> list[str]:
    return [growth.series.name for growth in found if growth.verdict is verdict]


@pytest.mark.parametrize("seed", range(20))
def test_steady_noise_never_grows(seed: int) -> None:
    assert that(judged(an_hour(seed=seed)), Verdict.GROWS) == []


def test_hours_of_steady_noise_are_steady() -> None:
    found = judged([s for n in range(6) for s in an_hour(run=str(n), seed=n)])
    assert that(found, Verdict.STEADY) == [series.name for series in SERIES]
    assert str(Soak.of([QUIET, *an_hour(minutes=400)])).endswith("growth none")


@pytest.mark.parametrize(
    ("name", "rate", "series"),
    [
        ("companion_memory", 1.5 * MIB, "companion, memory"),
        ("edge_memory", 3 * MIB, "edge, memory of its processes"),
        ("edge_shared", 2 * MIB, "edge, shared memory"),
        ("asterisk_memory", 12 * MIB, "Asterisk, memory"),
        ("records", 60, "edge, records less calls"),
        ("sessions", 60, "companion, calls tracked less calls"),
        ("companion_files", 6, "companion, open files"),
        ("edge_files", 6, "edge, open files"),
        ("asterisk_files", 150, "Asterisk, open files less four a call"),
    ],
)
def test_a_leak_is_seen_and_named(name: str, rate: float, series: str) -> None:
    found = an_hour(leaking(name, rate))
    assert that(judged(found), Verdict.GROWS) == [series]
    soak = Soak.of(found)
    assert not soak.good
    assert str(soak).endswith(f"growth of {series}")


def test_runs_have_a_level_each_and_one_slope() -> None:
    """A later run whose processes are larger from the start is no growth; a leak in each of several is."""
    level = [
        dataclasses.replace(s, companion_memory=s.companion_memory + number * 9 * 2**20)
        for number in range(4)
        for s in an_hour(run=str(number), minutes=30, seed=number)
    ]
    assert that(judged(level), Verdict.GROWS) == []
    leak = [
        s
        for number in range(4)
        for s in an_hour(leaking("companion_memory", 2 * MIB), run=str(number), minutes=30, seed=number)
    ]
    assert that(judged(leak), Verdict.GROWS) == ["companion, memory"]


def test_what_fills_while_it_is_warming_up_does_not_count() -> None:
    def filling(sample: Sample, hours: float) -> Sample:
        filled = min(1.0, hours * 3600 / WARM_UP)
        return dataclasses.replace(sample, companion_memory=round(sample.companion_memory * filled))

    assert that(judged(an_hour(filling)), Verdict.GROWS) == []


def test_a_short_run_tells_nothing_and_says_so() -> None:
    soak = Soak.of(an_hour(leaking("companion_memory", 100 * MIB), minutes=12))
    assert len(soak.that(Verdict.UNKNOWN)) == len(SERIES)
    assert "too short to tell" in str(soak)


def test_neighbouring_looks_that_resemble_each_other_make_it_less_sure() -> None:
    draw = Random(7)  # noqa: S311 - repeatable on purpose
    independent = [(60.0 * n, draw.gauss(0, 1)) for n in range(60)]
    level, drifting = 0.0, []
    for n in range(60):
        level = 0.8 * level + draw.gauss(0, 0.6)
        drifting.append((60.0 * n, level))
    one, other = fitted([independent]), fitted([drifting])
    assert one is not None
    assert other is not None
    assert other.error > 1.5 * one.error


def test_a_straight_line_is_fitted_exactly() -> None:
    slope = fitted([[(60.0 * n, 5 + n) for n in range(30)]])
    assert slope is not None
    assert math.isclose(slope.an_hour, 60.0)
    assert slope.error < 1e-9
    assert fitted([[(0.0, 1.0)]]) is None
    assert fitted([[(0.0, 1.0)] * 30]) is None


@pytest.mark.parametrize("name", ["live_lost", "dead_standing", "faults"])
def test_a_lost_call_or_a_fault_is_no_good_soak(name: str) -> None:
    found = an_hour(minutes=400)
    assert Soak.of(found).good
    one: dict[str, Any] = {name: 1}
    assert not Soak.of([*found[:-1], dataclasses.replace(found[-1], **one)]).good


def test_what_is_left_in_the_end_is_counted_once_a_run() -> None:
    ends = [dataclasses.replace(QUIET, run=run, second=60.0, last=True, live_lost=2) for run in "ab"]
    begins = [dataclasses.replace(QUIET, run=run, live_lost=1) for run in "ab"]
    soak = Soak.of([begins[0], ends[0], begins[1], ends[1]])
    assert (soak.live_lost, soak.calls, soak.hours) == (4, 2020, 0.0)


def test_samples_go_through_their_file_and_half_a_row_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "new" / "soak.csv"
    written = an_hour(minutes=3)
    for sample in written:
        samples.append(path, sample)
    samples.append(path, dataclasses.replace(QUIET, last=True))
    with path.open("a") as file:
        file.write("second,12")
    found = samples.read(path)
    assert [s.last for s in found] == [False, False, False, True]
    assert [dataclasses.replace(s, lag=0.0) for s in found[:3]] == [
        dataclasses.replace(s, lag=0.0) for s in written
    ]
    assert all(math.isclose(a.lag, b.lag, abs_tol=1e-4) for a, b in zip(found, written, strict=False))


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "soak.csv"
    path.write_text("second,calls\n1,2\n")
    with pytest.raises(ValueError, match="columns are not those"):
        samples.read(path)


def test_the_picture_is_well_formed_and_has_every_run() -> None:
    text = drawn([*an_hour(run="a"), dataclasses.replace(QUIET, run="a", last=True), *an_hour(run="b")])
    root = ET.fromstring(text)  # noqa: S314 - of our own making
    lines = [node for node in root.iter() if node.tag.endswith("polyline")]
    # Four panels of one line, one of three, one of three, one of two, one of one; two runs.
    assert len(lines) == 2 * (4 + 3 + 3 + 2 + 1)
    assert "2.5 h" in text
    assert drawn([])


def test_a_metric_is_summed_over_its_labels() -> None:
    page = '# HELP a x\na{peer="p}q"} 2.0\na{peer="r"} 3.5\nb_sum 1e-05\n'
    assert metrics(page) == {"a": 5.5, "b_sum": 1e-05}
