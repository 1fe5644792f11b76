"""`docs/rfc4028.md` as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from . import places
from .requirements import Gap, Requirement, Row
from .results import Outcome

HEAD = """\
# RFC 4028, requirement by requirement

`make conformance` writes this page; do not edit it. Each row is one requirement of RFC 4028, or of RFC 3261,
3311 or 6141 where they bind the end that refreshes a session, in our words.

- *Code* names what performs the row: `uas.answer` is a function of `pylib/session_timer`, names that begin
  with `session_timer_kemi` are the edge's, names that begin with `session_timer_companion` the companion's.
  Where the column is empty, Asterisk or Kamailio does it without code of ours.
- *Shown* is `unit` where a test calls our code directly, `wire` where a test saw it between real programs.
  *Declined* gives the reason why we do not show the row.
- *Tests* links the tests. Each names the row with `@pytest.mark.requirement`.

`make where ID=UAS-9-14` prints the lines of code and tests of one row. `make where ID=uas.answer` prints the
rows of one function. The last table of this page has the same for every function.

## The IDs

The letters say where a requirement comes from, the number in the middle is the section.

| Letters | Source |
|---|---|
"""
GAPS_HEAD = """
## Where the RFC is silent or contradicts itself (G), and what we decided beyond it (D)

| ID | The question | What we do | Who does it | Code | Tests |
|---|---|---|---|---|---|
"""
ROWS_HEAD = """\
| ID | Section | Level | What it asks | Who does it | Code | Shown | Tests |
|---|---|---|---|---|---|---|---|
"""
CODE_HEAD = """
## From the code to the rows

| Code | Rows |
|---|---|
"""
SECTIONS = {
    4028: "RFC 4028, session timers",
    3311: "RFC 3311, UPDATE",
    3261: "RFC 3261, SIP",
    6141: "RFC 6141, re-INVITE and target refresh",
}

Decided = Sequence[tuple[Gap, tuple[Outcome, ...]]]
"""Each gap with the tests of its decision."""


def as_text(prefixes: Mapping[str, str], gaps: Decided, rows: Sequence[Row]) -> str:
    """The whole page. It says what tests there are, not how they ended just now."""
    parts = [HEAD, *(_line(name, of) for name, of in prefixes.items()), GAPS_HEAD]
    parts += [
        _line(gap.id, gap.question, gap.decision, ", ".join(gap.who), _code(gap.where), _names(tests))
        for gap, tests in gaps
    ]
    for rfc, title in SECTIONS.items():
        parts += ["\n", f"## {title}\n\n", ROWS_HEAD]
        parts += [_row(row) for row in rows if row.requirement.rfc == rfc]
    parts.append(CODE_HEAD)
    parts += [_line(_code((name,)), ", ".join(ids)) for name, ids in sorted(_by_code(gaps, rows).items())]
    return "".join(parts)


def _by_code(gaps: Decided, rows: Sequence[Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    every: list[Gap | Requirement] = [*(gap for gap, _ in gaps), *(row.requirement for row in rows)]
    for asked in every:
        for name in asked.where:
            found.setdefault(name, []).append(asked.id)
    return found


def _row(row: Row) -> str:
    asked = row.requirement
    levels = [
        level
        for level, wire in (("unit", False), ("wire", True))
        if any(test.on_the_wire is wire for test in row.tests)
    ]
    shown = f"declined: {asked.declined}" if asked.declined else ", ".join(levels) or "**missing**"
    who = ", ".join(asked.who)
    return _line(
        asked.id, asked.section, asked.level, asked.asks, who, _code(asked.where), shown, _names(row.tests)
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _names(tests: Iterable[Outcome]) -> str:
    """Links to the tests, one line a file."""
    by_file: dict[str, list[str]] = {}
    for name in sorted(test.test for test in tests):
        file, _, function = name.partition("::")
        by_file.setdefault(file, []).append(f"`{function}`")
    return "<br>".join(
        f"[{file.removeprefix('tests/')}](../{file}): {', '.join(functions)}"
        for file, functions in by_file.items()
    )


def _code(names: Iterable[str]) -> str:
    """Links to the code; the lines are for `make where`, because every change of a file moves them."""
    found = [(name, places.find(name)) for name in names]
    return "<br>".join(f"[`{name}`](../{place.path})" if place else f"`{name}`" for name, place in found)
