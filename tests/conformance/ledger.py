"""The ledger of RFC 4028: which code performs which requirement and which test shows it (`docs/rfc4028.md`).

    python -m tests.conformance.ledger                  run the tests that need no containers, write the page
    python -m tests.conformance.ledger --e2e            the tests on the real stack too
    python -m tests.conformance.ledger --results FILE   take the outcomes of a `pytest --results FILE`; a run
                                                        in parts has several FILEs
    python -m tests.conformance.ledger --pages          run no test: write the page, check names and IDs

Exit status 1: a marker names an ID that does not exist, a row names code that does not exist or none at all,
a test that a row names did not pass, a gap of the RFC or a requirement has no test, a test of our own code
stands for what Asterisk or Kamailio does, or the page was out of date (it has then been written again). A row
that only tests on the wire show counts as missing in a run that left them out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import diagram, page, places, results
from .requirements import Asked, Gap, Requirement, Row, load
from .results import Outcome

ROOT = Path(__file__).parents[2]
LEDGER = ROOT / "docs" / "rfc4028.md"
WITHOUT_STACK = tuple(
    f"tests/{suite}" for suite in ("library", "kamailio", "companion", "docs", "lab", "demo", "stacks/judged")
)
ON_THE_WIRE = "tests/e2e"


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rows, and what is wrong with them."""

    prefixes: Mapping[str, str]
    gaps: tuple[tuple[Gap, tuple[Outcome, ...]], ...]
    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def not_run(self) -> tuple[Row, ...]:
        """Rows whose tests are all on the wire and were left out this time."""
        return tuple(
            row
            for row in self.rows
            if row.is_missing and row.tests and not any(test.ran for test in row.tests)
        )

    def as_text(self) -> str:
        """`docs/rfc4028.md`."""
        return page.as_text(self.prefixes, self.gaps, self.rows)

    def summary(self) -> str:
        missing = sum(row.is_missing for row in self.rows)
        declined = sum(bool(row.requirement.declined) for row in self.rows)
        unit = sum(row.in_unit for row in self.rows)
        wire = sum(row.on_wire for row in self.rows)
        shown = len(self.rows) - missing - declined
        return (
            f"conformance: {shown} of {len(self.rows)} shown ({unit} by unit tests, {wire} on the wire), "
            f"{declined} declined, {missing} missing"
        )


def draw_up(asked: Asked, outcomes: Iterable[Outcome]) -> Ledger:
    """Put every test beside the requirements it names, and find what is wrong."""
    gaps, requirements = asked.gaps, asked.requirements
    naming: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for name in outcome.requirements:
            naming.setdefault(name, []).append(outcome)
    rows = tuple(Row(row, tuple(naming.pop(row.id, ()))) for row in requirements)
    decided = tuple((gap, tuple(naming.pop(gap.id, ()))) for gap in gaps)
    problems = [
        f"{name}: no such requirement, but {test.test} names it"
        for name, tests in naming.items()
        for test in tests
    ]
    problems += [
        f"{row.requirement.id}: declined, yet {test.test} shows it"
        for row in rows
        if row.requirement.declined
        for test in row.tests
    ]
    problems += [
        f"{row.requirement.id}: no code of ours performs it, yet {test.test} calls our code"
        for row in rows
        if not (row.requirement.where or row.requirement.declined)
        for test in row.tests
        if not test.on_the_wire
    ]
    problems += _nowhere((*gaps, *requirements))
    problems += [f"{gap.id}: decided, but no test shows the decision" for gap, tests in decided if not tests]
    unhappy = {
        test
        for test in (
            *(test for row in rows for test in row.tests),
            *(test for _, tests in decided for test in tests),
        )
        if not test.passed and (test.ran or not test.on_the_wire)
    }
    problems += sorted(f"{test.test}: {' and '.join(sorted(test.results))}" for test in unhappy)
    return Ledger(asked.prefixes, decided, rows, tuple(problems))


def _nowhere(rows: Iterable[Gap | Requirement]) -> list[str]:
    """What is wrong with the names of code."""
    problems = []
    for row in rows:
        if not (row.where or (isinstance(row, Requirement) and (row.others or row.declined))):
            problems.append(f"{row.id}: requirements.toml says neither `where` nor `who`")
        problems += [
            f"{row.id}: there is no {name} in our code" for name in row.where if not places.find(name)
        ]
    return problems


def _pytest(results_file: Path, *arguments: str) -> int:
    command = (sys.executable, "-m", "pytest", "-q", "--results", str(results_file), *arguments)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _collected(folder: Path) -> dict[str, Outcome]:
    file = folder / "collected.json"
    # Nothing but the file is wanted of it; what pytest prints matters only if it fails.
    command = (sys.executable, "-m", "pytest", "--collect-only", "-qq", "--results", str(file))
    found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"conformance: the tests cannot be collected\n{found.stdout}{found.stderr}")
    return results.read(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="make conformance", description="Write docs/rfc4028.md.")
    parser.add_argument("--e2e", action="store_true", help="run the tests on the real stack too")
    parser.add_argument(
        "--pages", action="store_true", help="run no test: write the page, check names and IDs"
    )
    parser.add_argument(
        "--results", type=Path, nargs="+", metavar="FILE", help="outcomes of a pytest run that has been"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = options.results
        if files is None and not options.pages:
            files = [file := folder / "ran.json"]
            _pytest(file, *WITHOUT_STACK, *((ON_THE_WIRE,) if options.e2e else ()))
        try:
            ran = {} if options.pages else results.read(*files)
        except (OSError, ValueError) as error:
            print(f"conformance: no results of a test run: {error}", file=sys.stderr)
            return 1
        collected = _collected(folder)
    if options.pages:
        collected = {name: test.as_if_passed() for name, test in collected.items()}
    ledger = draw_up(load(), results.merged(ran, collected))
    problems = [*ledger.problems, *(f"{test}: no longer exists" for test in ran if test not in collected)]
    problems += [
        f"{row.requirement.id}: not declined, and no test names it"
        for row in ledger.rows
        if not (row.tests or row.requirement.declined)
    ]
    for file, text in ((LEDGER, ledger.as_text()), (diagram.PAGE, diagram.as_text())):
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            problems.append(
                f"{file.relative_to(ROOT)}: was out of date; it has been written again, commit it"
            )
    for problem in problems:
        print(f"conformance: {problem}")
    if ledger.not_run:
        print(
            f"conformance: {len(ledger.not_run)} rows have tests on the wire that did not run: "
            + ", ".join(row.requirement.id for row in ledger.not_run)
        )
    print("conformance: no test ran" if options.pages else ledger.summary())
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
