"""The ledger of RFC 4028: which test shows which requirement, as `docs/rfc4028.md`.

    python -m conformance.ledger                  run the tests that need no containers, write the ledger
    python -m conformance.ledger --e2e            the tests on the real stack too
    python -m conformance.ledger --results FILE   take the outcomes of a `pytest --results FILE` that has been

Exit status 1: a marker names an ID that does not exist, a test that a row names did not pass, a gap of
the RFC or a requirement has no test, or the ledger in the repository was out of date (it has then been
written anew). A row that only tests on the wire show counts as missing in a run that left them out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import diagram, results
from .results import Outcome

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.toml")
LEDGER = ROOT / "docs" / "rfc4028.md"
WITHOUT_STACK = tuple(
    f"tests/{suite}" for suite in ("library", "kamailio", "companion", "docs", "lab", "demo")
)
ON_THE_WIRE = "tests/e2e"

HEAD = """\
# RFC 4028, requirement by requirement

Written by `make conformance`; do not edit. Each row is one requirement of RFC 4028, or of RFC 3261, 3311
or 6141 where they bind whoever refreshes a session, in our words. Its tests name it with
`@pytest.mark.requirement`. *Library* means that a test calls our code directly; *wire* means that a test
saw it between real programs; a row can be both. *Declined* gives the reason why we do not show it.

"""
GAPS_HEAD = """\
## Where the RFC is silent or contradicts itself (G), and what we decided beyond it (D)

| ID | The question | What we do | Tests |
|---|---|---|---|
"""
ROWS_HEAD = """\
| ID | Section | Level | What it asks | Who does it | Shown | Tests |
|---|---|---|---|---|---|---|
"""
SECTIONS = {
    4028: "RFC 4028, session timers",
    3311: "RFC 3311, UPDATE",
    3261: "RFC 3261, SIP",
    6141: "RFC 6141, re-INVITE and target refresh",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that RFC 4028 leaves open or that goes beyond it, and our decision."""

    id: str
    question: str
    decision: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the ledger."""

    id: str
    rfc: int
    level: str
    asks: str
    who: tuple[str, ...]
    declined: str

    @property
    def section(self) -> str:
        return self.id.split("-", 1)[1].rsplit("-", 1)[0]


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement with the tests that name it."""

    requirement: Requirement
    tests: tuple[Outcome, ...]

    @property
    def in_library(self) -> bool:
        return any(test.passed and not test.on_the_wire for test in self.tests)

    @property
    def on_wire(self) -> bool:
        return any(test.passed and test.on_the_wire for test in self.tests)

    @property
    def is_missing(self) -> bool:
        return not (self.requirement.declined or self.in_library or self.on_wire)

    def as_text(self) -> str:
        """The row of the table. It says what tests there are, not how they ended just now."""
        asked = self.requirement
        levels = [
            level
            for level, wire in (("library", False), ("wire", True))
            if any(test.on_the_wire is wire for test in self.tests)
        ]
        shown = f"declined: {asked.declined}" if asked.declined else ", ".join(levels) or "**missing**"
        cells = (asked.id, asked.section, asked.level, asked.asks, ", ".join(asked.who), shown)
        return _line(*cells, _names(self.tests))


def load(path: Path = REQUIREMENTS) -> tuple[tuple[Gap, ...], tuple[Requirement, ...]]:
    """The gaps and the requirements, in the RFC's order."""
    data = tomllib.loads(path.read_text())
    gaps = tuple(Gap(**gap) for gap in data["gap"])
    requirements = tuple(
        Requirement(
            id=row["id"],
            rfc=data["rfc"].get(row["id"].split("-", 1)[0], 4028),
            level=row["level"],
            asks=row["asks"],
            who=tuple(row["who"]),
            declined=row.get("declined", ""),
        )
        for row in data["requirement"]
    )
    return gaps, requirements


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rows, and what is wrong with them."""

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

    def summary(self) -> str:
        missing = sum(row.is_missing for row in self.rows)
        declined = sum(bool(row.requirement.declined) for row in self.rows)
        library = sum(row.in_library for row in self.rows)
        wire = sum(row.on_wire for row in self.rows)
        shown = len(self.rows) - missing - declined
        return (
            f"conformance: {shown} of {len(self.rows)} shown ({library} library, {wire} on the wire), "
            f"{declined} declined, {missing} missing"
        )

    def as_text(self) -> str:
        """`docs/rfc4028.md`."""
        parts = [HEAD, GAPS_HEAD]
        parts += [_line(gap.id, gap.question, gap.decision, _names(tests)) for gap, tests in self.gaps]
        for rfc, title in SECTIONS.items():
            parts += ["\n", f"## {title}\n\n", ROWS_HEAD]
            parts += [row.as_text() for row in self.rows if row.requirement.rfc == rfc]
        return "".join(parts)


def draw_up(gaps: Sequence[Gap], requirements: Sequence[Requirement], outcomes: Iterable[Outcome]) -> Ledger:
    """Put every test beside the requirements it names, and find what is wrong."""
    naming: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for name in outcome.requirements:
            naming.setdefault(name, []).append(outcome)
    rows = tuple(Row(asked, tuple(naming.pop(asked.id, ()))) for asked in requirements)
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
    return Ledger(decided, rows, tuple(problems))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _names(tests: Iterable[Outcome]) -> str:
    return "<br>".join(f"`{name}`" for name in sorted(test.test.removeprefix("tests/") for test in tests))


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
    parser.add_argument("--results", type=Path, metavar="FILE", help="outcomes of a pytest run that has been")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = options.results
        if file is None:
            file = folder / "ran.json"
            _pytest(file, *WITHOUT_STACK, *((ON_THE_WIRE,) if options.e2e else ()))
        try:
            ran = results.read(file)
        except (OSError, ValueError) as error:
            print(f"conformance: no results of a test run: {error}", file=sys.stderr)
            return 1
        collected = _collected(folder)
    ledger = draw_up(*load(), results.merged(ran, collected))
    problems = [*ledger.problems, *(f"{test}: no longer exists" for test in ran if test not in collected)]
    problems += [
        f"{row.requirement.id}: not declined, and no test names it"
        for row in ledger.rows
        if not (row.tests or row.requirement.declined)
    ]
    for page, text in ((LEDGER, ledger.as_text()), (diagram.PAGE, diagram.as_text())):
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
            problems.append(f"{page.relative_to(ROOT)}: was out of date; it has been written anew, commit it")
    for problem in problems:
        print(f"conformance: {problem}")
    if ledger.not_run:
        print(
            f"conformance: {len(ledger.not_run)} rows have tests on the wire that did not run: "
            + ", ".join(row.requirement.id for row in ledger.not_run)
        )
    print(ledger.summary())
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
