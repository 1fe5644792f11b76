"""docs/interop.md is what a run wrote: every case that can be played is there, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.stacks.agents import AGENTS
from tests.stacks.page import PAGE, page
from tests.stacks.results import Row
from tests.stacks.scenarios import SCENARIOS, Case, cases, hosts

RELEASES = {agent.name: f"{agent.title} 1.0" for agent in AGENTS}
PLAYED = tuple(each for each in cases(AGENTS) if not each.why_not)


def row(case: Case, *complaints: str) -> Row:
    return Row(case.agent.name, case.scenario.name, "`90;refresher=uac`; seen", complaints)


def parsed(text: str) -> tuple[dict[str, str], list[Row], dict[tuple[str, str], str]]:
    """A page's releases, its rows, and the reasons for what was not played."""
    titles = {agent.title: agent.name for agent in AGENTS}
    scenarios = {each.title: each.name for each in SCENARIOS}
    head, *sections = text.split("\n## ")
    releases = {titles[name]: said for name, said in _table(head)}
    rows, reasons = [], {}
    for section in sections:
        title, body = section.split("\n", 1)
        name = scenarios[title[0].lower() + title[1:]]
        for agent, result, seen in _table(body):
            if result == "not played":
                reasons[titles[agent], name] = seen
            else:
                said, _, complaint = seen.partition("; FAILED: ")
                rows.append(Row(titles[agent], name, said, (complaint,) if complaint else ()))
                assert result == ("failed" if complaint else "passed")
    return releases, rows, reasons


def _table(text: str) -> list[tuple[str, ...]]:
    found = [
        tuple(re.split(r" \| ", line.strip("| "))) for line in text.splitlines() if line.startswith("| ")
    ]
    return found[1:]


def test_the_page_is_what_a_run_makes_of_its_rows() -> None:
    """Made again from its own rows it is the same, letter for letter: nobody has written into it."""
    text = PAGE.read_text(encoding="utf-8")
    releases, rows, reasons = parsed(text)

    again = re.search(r"(\d+) calls were played once more", text)
    assert page(releases, rows, int(again[1]) if again else 0) == text
    assert {(each.agent, each.scenario) for each in rows} == {
        (each.agent.name, each.scenario.name) for each in PLAYED
    }
    assert reasons == {
        (each.agent.name, each.scenario.name): each.why_not for each in cases(AGENTS) if each.why_not
    }
    assert all(re.search(r"\d", said) for said in releases.values())


def test_every_case_has_its_row_and_a_failure_says_why() -> None:
    rows = [row(each) for each in PLAYED[1:]]
    text = page(RELEASES, [*rows, row(PLAYED[0], "no BYE")])

    assert text.count("| passed |") == len(PLAYED) - 1
    assert "| failed | `90;refresher=uac`; seen; FAILED: no BYE |" in text
    with pytest.raises(ValueError, match=PLAYED[0].name):
        page(RELEASES, rows)


def test_every_case_stands_at_an_address_of_its_own_profile() -> None:
    given = hosts(PLAYED)

    assert len(set(given.values())) == len(PLAYED)
    limits = {64: 96, 96: 128, 128: 192, 192: 255}
    for each in PLAYED:
        first = max(number for number in limits if number <= given[each.name])
        assert given[each.name] < limits[first]
