"""One lawful call with each of three user agents that nobody here wrote; tests/stacks has the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.lab.peers.refreshed_calls import in_a_row
from tests.lab.stack import ROOT, Stack
from tests.stacks.agents import AGENTS
from tests.stacks.judge import Verdict
from tests.stacks.line import Line
from tests.stacks.play import LONGEST, Stage, play
from tests.stacks.scenarios import SCENARIOS, Case, hosts

QUICK = {"pjsua2": "caller-it-refreshes", "sofia": "callee-it-refreshes", "netsip": "caller-we-update"}
"""One that calls and refreshes, one that is called and refreshes, one without timers."""


def case(stack: Stack, agent: str) -> Case:
    """The agent's case, over after its first refresh."""
    (scenario,) = (each for each in SCENARIOS if each.name == QUICK[agent])
    return Case(
        next(each for each in AGENTS if each.name == agent), replace(scenario, refreshes=1), in_a_row(stack)
    )


@pytest.fixture(scope="module")
def ends(stack: Stack) -> Iterator[dict[str, Future[Verdict]]]:
    """The calls, started together."""
    subprocess.run([ROOT / "docker" / "build-stacks", *QUICK], check=True, timeout=600)
    played = tuple(case(stack, agent) for agent in QUICK)
    places = hosts(played)
    with stack.capture(ROOT / "out" / "e2e" / f"{stack.project}-stacks.pcap") as path:
        stage = Stage(stack, Line(stack, path))
        with ThreadPoolExecutor(len(QUICK)) as pool:
            yield {
                each.agent.name: pool.submit(play, stage, each, places[each.name], None) for each in played
            }
        stage.line.close()


@pytest.mark.parametrize("agent", QUICK)
def test_a_user_agent_that_nobody_here_wrote_keeps_its_call(
    agent: str, ends: dict[str, Future[Verdict]]
) -> None:
    verdict = ends[agent].result(LONGEST)
    assert verdict.complaints == (), f"{verdict.seen}; it printed: {verdict.printed}"
