"""Where a requirement lives: its lines of code and its tests; or the requirements of a line of code.

python -m tests.conformance.where UAS-9-14         the row, its code and its tests
python -m tests.conformance.where uas.answer       the rows that this code performs
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import places
from .requirements import Gap, Requirement, load

TESTS = places.ROOT / "tests"


def rows_of(code: str, rows: Sequence[Gap | Requirement]) -> list[Gap | Requirement]:
    """The rows whose code has this name, or a name within this module, class or package."""
    return [row for row in rows if any(name == code or name.startswith(f"{code}.") for name in row.where)]


def tests_of(wanted: str) -> Iterator[tuple[Path, int, str]]:
    """File, line and name of each test whose marker names this ID."""
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text()
        if f'"{wanted}"' not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            marks = (each for decorator in node.decorator_list for each in ast.walk(decorator))
            if any(isinstance(each, ast.Constant) and each.value == wanted for each in marks):
                yield file, node.lineno, node.name


def answer(wanted: str) -> Iterator[str]:
    """The lines to print; none if there is no such ID and no such code."""
    asked = load()
    every: list[Gap | Requirement] = [*asked.gaps, *asked.requirements]
    rows = {row.id: row for row in every}
    row = rows.get(wanted)
    if row is None:
        for each in rows_of(wanted, every):
            yield f"{each.id}: {each.question if isinstance(each, Gap) else each.asks}"
        return
    if isinstance(row, Gap):
        yield f"{row.id}: {row.question} {row.decision}"
    else:
        yield f"{row.id} ({row.level}): {row.asks}"
        if row.declined:
            yield f"  declined: {row.declined}"
    for name in row.where:
        place = places.find(name)
        yield f"  code  {place.path}:{place.line}  {name}" if place else f"  code  {name}: does not exist"
    for file, line, name in tests_of(wanted):
        yield f"  test  {file.relative_to(places.ROOT)}:{line}  {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring. Exit status 1: nothing is found."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1 or not given[0]:
        print("Usage: make where ID=UAS-9-14, or make where ID=uas.answer", file=sys.stderr)
        return 2
    lines = list(answer(given[0]))
    try:
        print(
            "\n".join(lines) or f"where: no requirement and no code of a row is called {given[0]!r}",
            flush=True,
        )
    except BrokenPipeError:  # whoever reads has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if lines else 1


if __name__ == "__main__":
    sys.exit(main())
