"""All cases, played at the same time through one stack; what was seen becomes docs/interop.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab.stack import LabError, Stack
from tests.stacks.agents import AGENTS
from tests.stacks.container import release
from tests.stacks.play import Playing, play
from tests.stacks.results import RESULTS, Row
from tests.stacks.scenarios import Case, hosts
from tests.stacks.stages import by_websocket, over_udp

OWN = Stack("session-timer-stacks", "198.19.79", "0")
AT_ONCE = int(os.environ.get("STACKS_AT_ONCE") or 100)
"""Calls under way: as many as the machine bears."""
FIRST_BEHIND = 50
"""Where the agents behind proxies stand, by the last number: no profile asks for these addresses."""


def kept() -> dict[str, Any]:
    """What the last run has seen, where only what failed then is played again."""
    if os.environ.get("STACKS_AGAIN") and RESULTS.exists():
        found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
        return found
    return {"rows": [], "again": 0}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    passed = {(row["agent"], row["scenario"]) for row in kept()["rows"] if not row["complaints"]}

    def wanted(item: pytest.Item) -> bool:
        case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
        return not isinstance(case, Case) or (case.agent.name, case.scenario.name) not in passed

    items[:] = [each for each in items if wanted(each)]


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
def playing(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Playing]:
    """Every selected case, started."""
    selected = [each.callspec.params["case"] for each in request.session.items if hasattr(each, "callspec")]
    wanted = tuple(each for each in selected if isinstance(each, Case))
    places = hosts(wanted)
    behind = {
        case.name: FIRST_BEHIND + number
        for number, case in enumerate(case for case in wanted if case.agent.behind_sst)
    }
    with ExitStack() as kept:
        stage = kept.enter_context(over_udp(stack))
        browsers = stage
        if any(case.agent.is_browser for case in wanted):
            browsers = kept.enter_context(by_websocket(stack, tmp_path_factory.mktemp("browsers")))
        pool = kept.enter_context(ThreadPoolExecutor(max(1, min(len(wanted), AT_ONCE))))
        yield Playing(
            {
                case.name: pool.submit(
                    play,
                    browsers if case.agent.is_browser else stage,
                    case,
                    places[case.name],
                    behind.get(case.name),
                )
                for case in wanted
            }
        )


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """What the run has seen; written down at its end."""
    found: list[Row] = []
    yield found
    before = kept()
    fresh = {(each.agent, each.scenario) for each in found}
    before_rows = [Row.of(each) for each in before["rows"]]
    rows = [*(each for each in before_rows if (each.agent, each.scenario) not in fresh), *found]
    known = {(each.agent, each.scenario) for each in before_rows}
    again = before.get("again", 0) + len(fresh & known)
    releases = {each.name: release(each.image, each.release) for each in AGENTS}
    text = json.dumps(
        {"releases": releases, "again": again, "rows": [each.as_json() for each in rows]},
        indent=1,
        sort_keys=True,
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text + "\n", encoding="utf-8")
