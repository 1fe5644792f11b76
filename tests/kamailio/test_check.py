"""A settings file is checked without Kamailio, by the Python of any host that has the two packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOTH = (ROOT / "kamailio", ROOT / "pylib")


def check(*arguments: str, packages: tuple[Path, ...] = BOTH) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, where nothing plays Kamailio."""
    return subprocess.run(
        [sys.executable, "-m", "session_timer_kemi.check", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(map(str, packages)), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.yaml", "session_timer: {default_expires: 600}\nasterisk: [192.0.2.20]\n"),
        ("s.json", '{"session_timer": {"default_expires": 600}}'),
    ],
)
def test_a_good_file_is_ok(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    done = check(str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: ok\n", "")


def test_every_problem_is_a_line_with_file_key_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("session_timer: {min_se: 60, colour: red}\npeers: [{session_timer: {mode: proxi}}]\n")
    done = check(str(path))
    assert (done.returncode, done.stdout) == (1, "")
    places = ["session_timer.colour", "session_timer.min_se", "peers[0].name", "peers[0].session_timer.mode"]
    for line, place in zip(done.stderr.splitlines(), places, strict=True):
        assert line.startswith(f"{path}: {place}: ")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = check(str(tmp_path / "s.yaml"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{tmp_path}/s.yaml: (file): cannot be read: ")


@pytest.mark.parametrize("arguments", [(), ("a.yaml", "b.yaml")])
def test_one_file_is_to_be_named(arguments: tuple[str, ...]) -> None:
    done = check(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python3 -m session_timer_kemi.check FILE\n"


def test_without_the_library_it_says_where_to_put_it(tmp_path: Path) -> None:
    done = check(str(tmp_path / "s.yaml"), packages=BOTH[:1])
    assert (done.returncode, done.stdout) == (1, "")
    assert "put pylib/session_timer beside session_timer_kemi or into PYTHONPATH" in done.stderr
    assert "Traceback" not in done.stderr
