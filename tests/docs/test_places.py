"""From an ID to its code and back: names are found by reading the source."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import places, where
from tests.conformance.places import Place
from tests.conformance.requirements import Gap, Requirement, load

SOURCE = {
    "pylib/session_timer/__init__.py": "from .session import due\nfrom . import session\n",
    "pylib/session_timer/uas.py": "import re\n\nLIMIT = 90\n\n\ndef answer():\n    inner = 1\n",
    "pylib/session_timer/session/__init__.py": "from .steps import due, send as sends\n",
    "pylib/session_timer/session/steps.py": "def due(): ...\ndef send(): ...\n",
    "asterisk/session_timer_companion/__init__.py": "",
    "asterisk/session_timer_companion/timers/__init__.py": "",
    "asterisk/session_timer_companion/timers/driver.py": (
        "class Driver:\n    seconds: int = 0\n    async def run(self): ...\n"
    ),
    "kamailio/session-timer.cfg": "route {}\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in SOURCE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "path", "line"),
    [
        ("uas", "pylib/session_timer/uas.py", 1),
        ("uas.answer", "pylib/session_timer/uas.py", 6),
        ("uas.LIMIT", "pylib/session_timer/uas.py", 3),
        ("session", "pylib/session_timer/session/__init__.py", 1),
        ("session.due", "pylib/session_timer/session/steps.py", 1),
        ("session.sends", "pylib/session_timer/session/steps.py", 2),
        ("session.steps.send", "pylib/session_timer/session/steps.py", 2),
        ("due", "pylib/session_timer/session/steps.py", 1),
        (
            "session_timer_companion.timers.driver.Driver.run",
            "asterisk/session_timer_companion/timers/driver.py",
            3,
        ),
        (
            "session_timer_companion.timers.driver.Driver.seconds",
            "asterisk/session_timer_companion/timers/driver.py",
            2,
        ),
        ("kamailio/session-timer.cfg", "kamailio/session-timer.cfg", 1),
    ],
)
def test_a_name_is_found(root: Path, name: str, path: str, line: int) -> None:
    assert places.find(name, root) == Place(path, line)


@pytest.mark.parametrize(
    "name",
    [
        "uas.answer.inner",
        "uas.LIMIT.x",
        "uas.re",
        "uas.gone",
        "gone",
        "session.steps.gone",
        "session_timer_kemi.records",
        "session_timer_companion.timers.Driver",
        "kamailio/gone.cfg",
    ],
)
def test_what_nothing_defines_is_nowhere(root: Path, name: str) -> None:
    assert places.find(name, root) is None


def docstrings(place: Place) -> Iterator[str]:
    """What the module says, and what is said of the name that is defined on this line."""
    text = (places.ROOT / place.path).read_text()
    tree = ast.parse(text)
    yield ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.lineno == place.line:
            yield ast.get_docstring(node) or ""


def test_the_librarys_code_of_a_row_names_the_rfc() -> None:
    """From a line of code to the text that asks for it."""
    asked = load()
    rows: list[Gap | Requirement] = [*asked.gaps, *asked.requirements]
    names = {name for row in rows for name in row.where if places.part(name) == "library"}
    found = {name: place for name in names if (place := places.find(name)) is not None}
    silent = [name for name, place in found.items() if not any("RFC" in said for said in docstrings(place))]
    assert silent == []


def test_whose_a_name_is() -> None:
    assert places.part("uas.answer") == "library"
    assert places.part("session_timer_kemi.records") == "edge"
    assert places.part("session_timer_companion.timers.driver") == "companion"
    assert places.part("kamailio/session-timer.cfg") == "edge"
    assert places.part("asterisk/pjsip/session-timer.conf") == "companion"


def test_from_an_id_to_code_and_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert where.main(["UAS-9-14"]) == 0
    said = capsys.readouterr().out
    place = places.find("uas._refresher")
    assert place
    assert f"code  {place.path}:{place.line}  uas._refresher\n" in said
    file = Path("tests/library/decisions/test_uas.py")
    line = next(
        number
        for number, text in enumerate((places.ROOT / file).read_text().splitlines(), 1)
        if text.startswith("def test_table_2(")
    )
    assert f"test  {file}:{line}  test_table_2\n" in said


def test_from_code_to_its_ids(capsys: pytest.CaptureFixture[str]) -> None:
    assert where.main(["uas._refresher"]) == 0
    by_function = capsys.readouterr().out.splitlines()
    assert "UAS-9-14: " in "\n".join(by_function)
    assert where.main(["uas"]) == 0
    assert set(by_function) < set(capsys.readouterr().out.splitlines())


def test_what_is_declined_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert where.main(["SEC-11-03"]) == 0
    assert "\n  declined: Explains why S/MIME does not fit" in capsys.readouterr().out


def test_nothing_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert where.main(["UAS-9-99"]) == 1
    assert capsys.readouterr().out == "where: no requirement and no code of a row is called 'UAS-9-99'\n"
    assert where.main([]) == 2
    assert capsys.readouterr().err == "Usage: make where ID=UAS-9-14, or make where ID=uas.answer\n"


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    """As in `make where ID=uas | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "tests.conformance.where", "uas"]
        run = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=places.ROOT, check=False
        )
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (0, "")
