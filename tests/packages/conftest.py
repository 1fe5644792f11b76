"""The stack that the packages' hosts stand in, and the last line of `make test-deb`."""

from __future__ import annotations

import os

import pytest

from tests.lab.stack import Stack

OWN = Stack("session-timer-deb", "198.19.79", "0")


@pytest.fixture(scope="session")
def stack() -> Stack:
    """A name and a network of its own, or those of the environment. Nothing is up yet."""
    return Stack.from_environment() if os.environ.get("COMPOSE_PROJECT_NAME") else OWN


def pytest_unconfigure(config: pytest.Config) -> None:
    """The line that a script looks at."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        passed, failed, broken = (len(reporter.stats.get(key, [])) for key in ("passed", "failed", "error"))
        print(f"deb: {passed} passed, {failed + broken} failed")
