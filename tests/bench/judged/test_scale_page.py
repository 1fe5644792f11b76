"""The figures of docs/reference/scale.md are those of the runs, and what is on paper follows from them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.bench.scale import paper, picture
from tests.bench.scale.growth import MEASURED
from tests.bench.scale.page import GROWTH_PICTURE, PAGE, SOAK_PICTURE, SOAK_SAMPLES, written
from tests.bench.soak import picture as soak_picture
from tests.bench.soak import samples

COMPANION = [
    {"sessions": 1000, "bytes_a_session": 1500, "microseconds_a_refresh": 500, "armed_seconds": 0.5},
    {"sessions": 100_000, "bytes_a_session": 700, "microseconds_a_refresh": 250, "armed_seconds": 12.0},
]
COMPANION[1] |= {"cpu_share": 0.06, "refreshes_a_second": 120.0}
EDGE = [
    {"records": 0, "microseconds_a_call": 950, "bytes_a_record": 0, "ratio": 1.0},
    {"records": 1_000_000, "microseconds_a_call": 1000, "bytes_a_record": 512, "ratio": 1.04},
]


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MEASURED.read_text())
    return found


def test_the_page_has_the_figures_of_the_runs(measured: dict[str, Any]) -> None:
    page = PAGE.read_text()
    assert written(page, measured, samples.read(SOAK_SAMPLES)) == page, "make scale-page"


def test_the_pictures_are_of_these_runs(measured: dict[str, Any]) -> None:
    assert GROWTH_PICTURE.read_text() == picture.drawn(measured), "make scale-page"
    assert SOAK_PICTURE.read_text() == soak_picture.drawn(samples.read(SOAK_SAMPLES)), "make scale-page"


def test_the_picture_of_growth_is_well_formed(measured: dict[str, Any]) -> None:
    root = ET.fromstring(picture.drawn(measured))  # noqa: S314 - of our own making
    assert len([node for node in root.iter() if node.tag.endswith("polyline")]) == len(picture.PANELS)


def test_every_number_of_calls_was_measured(measured: dict[str, Any]) -> None:
    assert [row["sessions"] for row in measured["companion"]["rows"]] == [1000, 10_000, 100_000, 300_000]
    assert [row["records"] for row in measured["edge"]["rows"]] == [0, 10_000, 100_000, 1_000_000]


def test_a_companion_is_full_at_half_a_processor() -> None:
    one = paper.companion(COMPANION)
    assert one.refreshes == 2000
    assert one.sessions == 2000 * 855
    assert one.at_90 == 85_500
    assert (one.measured, one.armed, one.bytes_a_session) == (100_000, 12.0, 700)


def test_an_edge_is_full_at_half_a_processor() -> None:
    way = paper.edge(EDGE)
    assert way.calls_a_second == 500
    assert way.at_once == 90_000
    assert way.records_in_64_mb == 65_536


def test_a_hundred_asterisks_need_so_much() -> None:
    many = paper.hundred(COMPANION, EDGE)
    assert many.calls == 100_000
    assert many.refreshes == pytest.approx(117, abs=0.1)
    assert many.companion_share == pytest.approx(117 * 0.06 / 120, rel=0.01)
    # 555.6 calls a second, of which one processor at half its load takes 500.
    assert many.edges == 2


def test_a_place_that_nothing_is_known_for_is_an_error(measured: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        written("<!-- nothing -->\n<!-- end -->", measured, samples.read(SOAK_SAMPLES))
