"""A settings file is checked without Kamailio, by the Python of any host that has the two packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from session_timer import SharedKey

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
        ("s.yaml", "session_timer: {default_expires: 600}\nasterisk: [192.0.2.20]\nedge: {key_file: key}\n"),
        ("s.json", '{"session_timer": {"default_expires": 600}}'),
    ],
)
def test_a_good_file_is_ok(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    path.with_name("key").write_text("a-key-of-forty-characters-or-even-more-of-them\n")
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


def make_key(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "session_timer_kemi.make_key", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(map(str, BOTH)), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_a_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert make_key(str(path)).returncode == 0
    made = path.read_text()
    assert SharedKey.parse(made).door_token
    assert path.stat().st_mode & 0o777 == 0o640
    again = make_key(str(path))
    assert (again.returncode, again.stdout) == (1, "")
    assert "is there already" in again.stderr
    assert path.read_text() == made


def test_two_keys_differ(tmp_path: Path) -> None:
    paths = tmp_path / "one", tmp_path / "two"
    for path in paths:
        make_key(str(path))
    assert paths[0].read_text() != paths[1].read_text()


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("a", "b"), 2), (("/no/such/folder/key",), 1)])
def test_a_key_that_cannot_be_made_is_an_error(arguments: tuple[str, ...], code: int) -> None:
    done = make_key(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
