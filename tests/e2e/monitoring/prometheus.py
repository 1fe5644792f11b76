"""Debian's Prometheus and its promtool in a container: they judge the alerts and the dashboard."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from tests.lab.stack import ROOT

IMAGE = "session-timer/prometheus:trixie"
ALERTS = ROOT / "asterisk/alerts/session-timer.yml"
DASHBOARD = ROOT / "asterisk/dashboards/session-timer.json"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}


def promtool(*words: str, given: str = "", timeout: float = 60) -> str:
    """What promtool prints, in a folder with ``alerts`` and ``given``. AssertionError if it fails."""
    script = 'cd /mnt; cat >given; exec promtool "$@"'
    docker = ["docker", "run", "--rm", "-i", "--network", "none", "-v", f"{ALERTS}:/mnt/alerts:ro", IMAGE]
    done = subprocess.run(
        [*docker, "sh", "-c", script, "sh", *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def unit_tests(cases: list[dict[str, Any]]) -> str:
    """The cases as promtool's `test rules` reads them."""
    tests = [_unit_test(case) for case in cases]
    return json.dumps({"rule_files": ["alerts"], "evaluation_interval": "1m", "tests": tests})


def _unit_test(case: Mapping[str, Any]) -> dict[str, Any]:
    rule = RULES[case["alert"]]
    expected = [
        {
            "exp_labels": {**labels, **rule["labels"]},
            "exp_annotations": {name: filled(text, labels) for name, text in rule["annotations"].items()},
        }
        for labels in case["fires"]
    ]
    series = [{"series": name, "values": values} for name, values in case["series"].items()]
    looked = {"eval_time": f"{case['at']}m", "alertname": case["alert"], "exp_alerts": expected}
    return {"interval": "1m", "input_series": series, "alert_rule_test": [looked]}


def filled(text: str, labels: Mapping[str, str]) -> str:
    """An annotation with the labels in it, as Prometheus writes it."""
    return re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", lambda found: labels.get(found[1], ""), text)
