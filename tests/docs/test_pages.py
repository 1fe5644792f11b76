"""What the pages for newcomers name exists: paths, code, commands."""

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


def spans(page: Path) -> list[str]:
    """What stands in code style within the prose, less what ends a command's word."""
    prose = re.sub(r"^ {4}.*?$", "", page.read_text(), flags=re.MULTILINE)
    return [word for span in re.findall(r"`([^`\n]+)`", prose) for word in span.split()]


def named(pages: list[Path], *, code: bool) -> list[tuple[Path, str]]:
    """The names of code, or the paths, that the pages have."""
    found = sorted({(page, word.rstrip(",:")) for page in pages for word in spans(page)})
    if code:
        return [(page, word) for page, word in found if A_NAME.fullmatch(word) and not word.endswith(FILES)]
    return [(page, word) for page, word in found if word.startswith(OURS) and "<" not in word]


def at(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(("page", "path"), named(PAGES, code=False), ids=lambda each: str(each).split("/")[-1])
def test_a_path_exists(page: Path, path: str) -> None:
    assert (ROOT / path).exists(), f"{at(page)} names {path}"


@pytest.mark.parametrize(("page", "name"), named(PAGES, code=True), ids=lambda each: str(each).split("/")[-1])
def test_a_name_of_code_exists(page: Path, name: str) -> None:
    assert places.find(name), f"{at(page)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=at)
def test_a_page_names_code_and_paths(page: Path) -> None:
    """Else the tests above would look at nothing."""
    assert named([page], code=False) or named([page], code=True)
