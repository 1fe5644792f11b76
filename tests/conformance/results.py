"""What one pytest run says of each test: the requirements it names, and how it ended."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

NOT_RUN = "not run"
PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test function; of a parametrized one, all cases together."""

    test: str
    """Its node id, for instance ``tests/library/test_uas.py::test_interval_is_copied``."""
    requirements: frozenset[str]
    results: frozenset[str]
    """How its cases ended: ``passed``, ``failed``, ``skipped`` or ``not run``."""

    @property
    def passed(self) -> bool:
        return self.results == {PASSED}

    @property
    def ran(self) -> bool:
        return NOT_RUN not in self.results

    def as_if_passed(self) -> Outcome:
        """The same test, where only the question which tests there are matters."""
        return replace(self, results=frozenset({PASSED}))

    @property
    def on_the_wire(self) -> bool:
        """Whether it watched real programs talk SIP; the other suites call our code directly."""
        return self.test.startswith("tests/e2e/")


class Recorder:
    """A pytest plugin that writes the file which `read` reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._named: dict[str, list[str]] = {}
        self._ended: dict[str, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            marks = item.iter_markers("requirement")
            self._named[item.nodeid] = sorted({str(name) for mark in marks for name in mark.args})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test has passed when its call has, unless its setup or teardown then fails.
        if report.outcome != PASSED or (report.when == "call" and report.nodeid not in self._ended):
            self._ended[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        tests = {
            test: {"requirements": named, "result": self._ended.get(test, NOT_RUN)}
            for test, named in self._named.items()
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(tests, indent=1) + "\n")


def read(*paths: Path) -> dict[str, Outcome]:
    """The outcomes of one run, or of parts of it, by test function.

    Raises `OSError` or `ValueError` if one cannot be read.
    """
    found: dict[str, Outcome] = {}
    for case, facts in itertools.chain.from_iterable(json.loads(path.read_text()).items() for path in paths):
        test = case.split("[", 1)[0]
        before = found.get(test, Outcome(test, frozenset(), frozenset()))
        found[test] = Outcome(
            test,
            before.requirements | frozenset(facts["requirements"]),
            before.results | {facts["result"]},
        )
    return found


def merged(ran: dict[str, Outcome], collected: dict[str, Outcome]) -> Iterable[Outcome]:
    """Every test there is: as it ended where it ran, else as not run."""
    return [ran.get(test, outcome) for test, outcome in collected.items()]
