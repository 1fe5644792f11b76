"""Each user agent in each scenario that its interface can play."""

from __future__ import annotations

import pytest

from tests.stacks.agents import AGENTS
from tests.stacks.play import Playing
from tests.stacks.results import Row
from tests.stacks.scenarios import Case, cases

PLAYED = [each for each in cases(AGENTS) if not each.why_not]


@pytest.mark.parametrize("case", PLAYED, ids=lambda case: case.name)
def test_agent(case: Case, playing: Playing, rows: list[Row]) -> None:
    verdict = playing.verdict(case)
    rows.append(Row(case.agent.name, case.scenario.name, verdict.seen, verdict.complaints))
    assert verdict.complaints == (), f"{verdict.seen}; it printed: {verdict.printed}"
