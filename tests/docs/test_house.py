"""The rules of the house: folders and modules that are read in one go, names that say what is in them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("pylib", "kamailio", "asterisk", "docker", "tests")

MODULES_PER_FOLDER = 12
LINES_PER_MODULE = 400
SAYS_NOTHING = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

STANDING: dict[str, str] = {}
"""A folder or a module that breaks a rule, and why it stands all the same."""

MODULES = sorted(
    path
    for folder in OURS
    for path in (ROOT / folder).rglob("*.py")
    if not {"__pycache__", "build", ".venv"} & set(path.parts)
)
FOLDERS = sorted({path.parent for path in MODULES})
PACKAGES = sorted(
    path
    for path in MODULES
    if path.name == "__init__.py" and path.relative_to(ROOT).parts[0] in ("pylib", "kamailio", "asterisk")
)


def modules_of(folder: Path) -> list[Path]:
    """What a reader chooses from; `__init__` and conftest are there in any case."""
    return [
        path for path in MODULES if path.parent == folder and path.name not in ("__init__.py", "conftest.py")
    ]


def breaks() -> dict[str, str]:
    """Every folder and module that breaks a rule, and which."""
    crowded = {
        folder: f"{len(found)} modules"
        for folder in FOLDERS
        if len(found := modules_of(folder)) > MODULES_PER_FOLDER
    }
    long = {
        path: f"{lines} lines"
        for path in MODULES
        if (lines := len(path.read_text().splitlines())) > LINES_PER_MODULE
    }
    return {str(path.relative_to(ROOT)): what for path, what in {**crowded, **long}.items()}


def test_no_folder_is_crowded_and_no_module_is_long() -> None:
    broken = breaks()
    new = {path: what for path, what in broken.items() if path not in STANDING}
    assert not new, f"more than {MODULES_PER_FOLDER} modules or {LINES_PER_MODULE} lines: split them"
    assert set(STANDING) <= set(broken), "these keep the rules now: take them off the list"


def test_a_name_says_what_is_in_it() -> None:
    assert [
        str(path.relative_to(ROOT)) for path in (*MODULES, *FOLDERS) if path.stem.lower() in SAYS_NOTHING
    ] == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_package_says_what_is_in_it(path: Path) -> None:
    """The docstring is the index: nobody has to keep a list of modules elsewhere."""
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said
    assert said.strip().endswith((".", "```", ")"))
