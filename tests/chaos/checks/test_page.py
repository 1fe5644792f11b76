"""docs/reference/faults.md is what a run has shown, of every fault there is."""

from __future__ import annotations

import json

import pytest

from tests.chaos import page
from tests.chaos.faults.listed import FAULTS

KEPT = json.loads(page.KEPT.read_text(encoding="utf-8"))


def test_the_page_is_made_of_the_run_that_is_kept() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.written(KEPT)


def test_the_page_has_every_fault_and_no_other() -> None:
    rows = page.PAGE.read_text(encoding="utf-8").partition("## One by one")[2].partition("\n## ")[0]
    named = [row.split(" | ")[0].removeprefix("| ") for row in rows.splitlines() if row.startswith("| ")]
    assert named[1:] == [fault.name for fault in FAULTS]


def test_results_without_one_of_them_make_no_page() -> None:
    rounds = [each for each in KEPT["rounds"] if each["faults"] != [FAULTS[0].name]]
    with pytest.raises(ValueError, match=rf"not played: {FAULTS[0].name}"):
        page.written({**KEPT, "rounds": rounds})


def test_a_call_that_was_lost_shows_on_the_page() -> None:
    rounds = [
        {**each, "lost": 7, "whole": None} if each["faults"] == [FAULTS[0].name] else each
        for each in KEPT["rounds"]
    ]
    text = page.written({**KEPT, "rounds": rounds})
    assert f"| {FAULTS[0].does} | 7 |" in text
    assert "| never |" in text
    assert f"**Missed**: {FAULTS[0].name} ended 7 of {rounds[0]['live']} live calls" in " ".join(text.split())
