"""The alerts as Prometheus itself reads them: well-formed, firing when they should and silent when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.monitoring.prometheus import RULES, promtool, unit_tests

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "alert_cases.yml").read_text(encoding="utf-8")
)


def test_prometheus_reads_every_rule() -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in promtool("check", "rules", "alerts")


@pytest.mark.parametrize("alert", RULES)
def test_each_alert_fires_and_is_silent_when_it_should(alert: str) -> None:
    cases = [case for case in CASES if case["alert"] == alert]
    assert {bool(case["fires"]) for case in cases} == {True, False}
    promtool("test", "rules", "given", given=unit_tests(cases))


def test_every_case_is_of_an_alert_that_there_is() -> None:
    assert {case["alert"] for case in CASES} == set(RULES)
