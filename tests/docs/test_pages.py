"""What the pages for newcomers name exists: paths and names of code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance import places

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/CONTRIBUTING.md", ROOT / "docs/architecture.md", ROOT / "tests/README.md"]
OURS = tuple(f"{folder}/" for folder in ("asterisk", "docker", "docs", "kamailio", "pylib", "tests"))
FILES = (".cfg", ".conf", ".md", ".py", ".toml", ".txt", ".yaml", ".yml")
A_NAME = re.compile(r"[a-z_]+(?:\.[A-Za-z_]+)+")


def spans(text: str) -> set[str]:
    """The words in code style."""
    return {word.rstrip(",:") for span in re.findall(r"`([^`\n]+)`", text) for word in span.split()}


def prose(page: Path) -> str:
    return re.sub(r"^ {4}.*?$", "", page.read_text(), flags=re.MULTILINE)


def paths(page: Path) -> set[str]:
    return {word for word in spans(prose(page)) if word.startswith(OURS) and "<" not in word}


def names(page: Path) -> set[str]:
    """Names with a dot anywhere, and every name in the first column of a table of modules."""
    text = prose(page)
    dotted = {word for word in spans(text) if A_NAME.fullmatch(word) and not word.endswith(FILES)}
    tables = re.findall(r"^\| (?:Module|Package) \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    listed = {word for table in tables for row in table.splitlines() for word in spans(row.split(" | ")[0])}
    return dotted | listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    assert paths(page) | names(page), "nothing was found to look at"
    assert [path for path in sorted(paths(page)) if not (ROOT / path).exists()] == []
    assert [name for name in sorted(names(page)) if places.find(name) is None] == []
