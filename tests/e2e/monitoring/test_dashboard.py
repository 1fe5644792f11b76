"""docs/how-to/monitoring.md on a real Prometheus beside the companion, and the dashboard's queries.

Grafana is in no Debian and in no registry that this project installs from, so none loads the dashboard. What
can go wrong without one is tested here: its form, its variables, and each of its queries.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.e2e.monitoring.prometheus import ALERTS, DASHBOARD, IMAGE, RULES
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import wait_until

PAGE = (ROOT / "docs/how-to/monitoring.md").read_text(encoding="utf-8")
BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel["targets"]
}
COLUMNS = 24
"""The width of a Grafana dashboard."""
GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
START = (
    "cat >/tmp/prometheus.yml; exec prometheus --config.file=/tmp/prometheus.yml --storage.tsdb.path=/tmp/db"
)


class Prometheus:
    """The one beside the companion, by its HTTP API."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def ask(self, path: str) -> Any:
        """The data of an answer. Raises LabError for an error, such as a query that cannot be parsed."""
        said = self._stack.exec("companion", "python3", "-c", GET, f"http://127.0.0.1:9090/api/v1/{path}")
        answer = json.loads(said)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"query?query={quote(expression)}")["result"]
        return found

    def is_up(self) -> bool:
        """Whether it has scraped the companion."""
        try:
            return bool(self.query('up{job="session-timer"} == 1'))
        except LabError:
            return False


@pytest.fixture(scope="module")
def prometheus(stack: Stack) -> Iterator[Prometheus]:
    """With the page's job for the companion, and our alerts."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    jobs = [job for block in blocks for job in block["scrape_configs"] if job["job_name"] == "session-timer"]
    settings = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": jobs}
    settings["rule_files"] = ["/tmp/alerts"]  # noqa: S108  # inside a container
    name = stack.container("prometheus")
    docker = ["docker", "run", "-i", "--rm", "--name", name, "-v", f"{ALERTS}:/tmp/alerts:ro"]
    docker += ["--network", f"container:{stack.container('companion')}", IMAGE, "sh", "-c", START]
    with subprocess.Popen(docker, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(settings))
            process.stdin.close()
            found = Prometheus(stack)
            wait_until(found.is_up, 30, "Prometheus to have scraped the companion")
            yield found
        finally:
            subprocess.run(["docker", "rm", "-f", "-v", name], check=False, capture_output=True)


@pytest.mark.parametrize("name", QUERIES)
def test_prometheus_understands_each_query_of_the_dashboard(prometheus: Prometheus, name: str) -> None:
    expression = QUERIES[name].replace("$__rate_interval", "1m").replace("$asterisk", ".*")
    assert "$" not in expression
    prometheus.query(expression)


def test_the_variable_of_the_dashboard_lists_the_asterisks(prometheus: Prometheus) -> None:
    (asked,) = [each["query"]["query"] for each in BOARD["templating"]["list"] if each["type"] == "query"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", asked).groups()  # type: ignore[union-attr]
    assert [each["metric"][label] for each in prometheus.query(metric)] == ["asterisk"]


def test_the_alerts_are_loaded_and_a_healthy_stack_fires_none(prometheus: Prometheus) -> None:
    groups = prometheus.ask("rules")["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(loaded) == set(RULES)
    wait_until(
        lambda: {
            rule["name"]: rule["health"] for g in prometheus.ask("rules")["groups"] for rule in g["rules"]
        },
        20,
        "every rule evaluated",
        holds=lambda seen: set(seen.values()) == {"ok"},
    )
    assert prometheus.ask("alerts")["alerts"] == []


def test_the_panels_have_a_place_and_a_number_of_their_own() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in panels) <= COLUMNS


def test_every_variable_that_is_used_is_declared() -> None:
    declared = {each["name"] for each in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text(encoding="utf-8")))
    assert used - {"__rate_interval"} == declared
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {"${datasource}"}
