"""All cases, played at the same time through one stack; what was seen becomes docs/interop.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.stack import ROOT, LabError, Stack
from tests.stacks.agents import AGENTS
from tests.stacks.container import release
from tests.stacks.line import Line
from tests.stacks.play import Playing, Stage, play
from tests.stacks.results import RESULTS, Row
from tests.stacks.scenarios import Case, hosts

OWN = Stack("session-timer-stacks", "198.19.79", "0")
AT_ONCE = int(os.environ.get("STACKS_AT_ONCE") or 100)
"""Calls under way: as many as the machine bears."""
FIRST_BEHIND = 50
"""Where the agents behind proxies stand, by the last number: no profile asks for these addresses."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    found = Stack.from_environment() if os.environ.get("COMPOSE_PROJECT_NAME") else OWN
    try:
        was_up = found.is_up()
        if was_up and found is OWN:
            found.down()
            was_up = False
        found.up()
    except LabError as error:
        pytest.fail(f"other user agents need the container stack: {error}", pytrace=False)
    yield found
    if not was_up:
        found.down()


@pytest.fixture(scope="session")
def playing(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Playing]:
    """Every selected case, started."""
    selected = [each.callspec.params["case"] for each in request.session.items if hasattr(each, "callspec")]
    wanted = tuple(each for each in selected if isinstance(each, Case))
    places = hosts(wanted)
    behind = {
        case.name: FIRST_BEHIND + number
        for number, case in enumerate(case for case in wanted if case.agent.behind_sst)
    }
    with stack.capture(ROOT / "out" / "stacks.pcap") as path:
        stage = Stage(stack, Line(stack, path))
        with ThreadPoolExecutor(max(1, min(len(wanted), AT_ONCE))) as pool:
            yield Playing(
                {
                    case.name: pool.submit(play, stage, case, places[case.name], behind.get(case.name))
                    for case in wanted
                }
            )
        stage.line.close()


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """What the run has seen; written down at its end."""
    found: list[Row] = []
    yield found
    releases = {each.name: release(each.image, each.release) for each in AGENTS}
    text = json.dumps(
        {"releases": releases, "rows": [each.as_json() for each in found]}, indent=1, sort_keys=True
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text + "\n", encoding="utf-8")
