"""Where a name of our code stands, found by reading the source: nothing of it is imported.

A name is written as a reader would: ``uas.answer`` is the library's, ``session_timer_kemi.…`` the edge's,
``session_timer_companion.…`` the companion's. A name with a slash is the path of a file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

LIBRARY = "session_timer"
PARTS = {LIBRARY: "library", "session_timer_kemi": "edge", "session_timer_companion": "companion"}
"""What each package of ours is called where the ledger says who does something."""

FOLDERS = {LIBRARY: "pylib", "session_timer_kemi": "kamailio", "session_timer_companion": "asterisk"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the repository."""

    path: str
    """Relative to the repository's root."""
    line: int


def part(name: str) -> str:
    """Who has this name: ``library``, ``edge`` or ``companion``."""
    if "/" in name:
        return next((PARTS[each] for each, folder in FOLDERS.items() if name.startswith(folder)), "edge")
    return PARTS.get(name.split(".", 1)[0], PARTS[LIBRARY])


def find(name: str, root: Path = ROOT) -> Place | None:
    """The file and the line that define `name`; None if nothing does."""
    if "/" in name:
        return Place(name, 1) if (root / name).is_file() else None
    words = name.split(".")
    package = words.pop(0) if words[0] in FOLDERS else LIBRARY
    file, rest = _module(root / FOLDERS[package] / package, words)
    found = _defined(file, rest)
    return None if found is None else Place(found[0].relative_to(root).as_posix(), found[1])


def _module(package: Path, words: Sequence[str]) -> tuple[Path, list[str]]:
    """The file of the longest module that `words` begin with, and the words that are left."""
    at = package
    for used, word in enumerate(words):
        if (at / f"{word}.py").is_file():
            return at / f"{word}.py", list(words[used + 1 :])
        if not (at / word / "__init__.py").is_file():
            return at / "__init__.py", list(words[used:])
        at /= word
    return at / "__init__.py", []


def _defined(file: Path, words: Sequence[str]) -> tuple[Path, int] | None:
    if not file.is_file():
        return None
    if not words:
        return file, 1
    body = _parsed(file)
    for number, word in enumerate(words):
        node = next((each for each in body if word in _names(each)), None)
        if isinstance(node, ast.ImportFrom) and number == 0:
            return _imported(file, node, words)
        if node is None:
            return None
        if number == len(words) - 1:
            return file, node.lineno
        if not isinstance(node, ast.ClassDef):
            return None
        body = tuple(node.body)
    return None


def _imported(file: Path, node: ast.ImportFrom, words: Sequence[str]) -> tuple[Path, int] | None:
    """Follow ``from .steps import due``: a package shows what its modules define."""
    if node.level == 0:
        return None
    package = file.parents[node.level - 1]
    original = next(each.name for each in node.names if (each.asname or each.name) == words[0])
    steps = [*(node.module.split(".") if node.module else ()), original, *words[1:]]
    module, rest = _module(package, steps)
    return None if module == file else _defined(module, rest)


@lru_cache(maxsize=256)
def _parsed(file: Path) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse(file.read_text(), str(file)).body)


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement gives a name to."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.ImportFrom(names=names):
            yield from (each.asname or each.name for each in names)
