"""docs/interop.md, made from what a run has seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from tests.lab.stack import ROOT
from tests.stacks.agents import AGENTS
from tests.stacks.results import RESULTS, Row
from tests.stacks.scenarios import SCENARIOS, Case

PAGE = ROOT / "docs" / "interop.md"
_HEAD = """# Other user agents

Calls with software that nobody here wrote. Each user agent stands in a container of its own and calls
Asterisk through the edge, or is called by it, with an interval of 90 s for three refreshes. What is written
here was seen on the wire at the edge. The run makes this page, and no line of it is written by hand; the
images are built from packages of Debian, PyPI and npm (`docker/build-stacks`):

    make test-stacks

| User agent | Release |
|---|---|
"""


_COLUMNS = "| User agent | Result | Seen |\n|---|---|---|\n"


def page(releases: Mapping[str, str], rows: list[Row], again: int = 0) -> str:
    """The whole page; `again` is how many calls were played once more because the case had failed.

    Raises `ValueError` where a case that can be played has no row.
    """
    seen = {(row.agent, row.scenario): row for row in rows}
    text = _HEAD + "".join(f"| {agent.title} | {releases[agent.name]} |\n" for agent in AGENTS)
    if again:
        text += f"\nOn a busy machine cases had failed, and {again} calls were played once more.\n"
    for scenario in SCENARIOS:
        text += f"\n## {scenario.title[0].upper()}{scenario.title[1:]}\n\n{_COLUMNS}"
        for agent in AGENTS:
            case = Case(agent, scenario)
            row = seen.get((agent.name, scenario.name))
            if case.why_not:
                text += f"| {agent.title} | not played | {case.why_not} |\n"
            elif row is None:
                raise ValueError(f"{case.name} was not played: the page is made of a whole run")
            else:
                result = "failed" if row.complaints else "passed"
                why = f"; FAILED: {', '.join(row.complaints)}" if row.complaints else ""
                text += f"| {agent.title} | {result} | {row.seen}{why} |\n"
    return text


def main() -> int:
    """Write the page of the last run."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = [Row.of(each) for each in found["rows"]]
    PAGE.write_text(page(found["releases"], rows, found["again"]), encoding="utf-8")
    failed = sum(bool(row.complaints) for row in rows)
    print(f"stacks: {len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
