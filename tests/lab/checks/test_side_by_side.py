"""Commands that run at the same time: what is shown of them, and that none fails or stays unseen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.stack import ROOT
from tests.lab.waiting import wait_until

SIDE_BY_SIDE = ROOT / "tests" / "side-by-side"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SIDE_BY_SIDE, *words], capture_output=True, text=True, timeout=30, check=False)


def meeting(mine: Path, other: Path) -> str:
    """Ends well only if another command runs at the same time and says so."""
    wait = f"for n in $(seq 200); do [ -e {other} ] && echo met && exit 0; sleep 0.1; done"
    return f"touch {mine}; {wait}; exit 1"


def test_both_run_at_the_same_time_and_each_line_has_its_name(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    done = run("one", "sh", "-c", meeting(left, right), "+", "two", "sh", "-c", meeting(right, left))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["one: met", "two: met"]


def test_one_that_fails_is_named_and_the_other_runs_to_its_end(tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    first = ("bad", "sh", "-c", f"echo why >&2; touch {failed}; exit 3")
    done = run(*first, "+", "good", "sh", "-c", meeting(tmp_path / "here", failed))
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == ["bad: why", "good: met"]
    assert done.stderr == "bad: why\nfailed: bad\n"


def test_the_last_lines_of_one_that_failed_are_shown_again_at_the_end() -> None:
    done = run("one", "sh", "-c", "seq 20; exit 3", "+", "two", "echo", "well")
    assert done.stderr.splitlines() == [*(f"one: {n}" for n in range(13, 21)), "failed: one"]


def test_all_that_fail_are_named() -> None:
    done = run("one", "false", "+", "two", "true", "+", "three", "sh", "-c", "kill -9 $$")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1].split()  # bash says before it that one was killed
    assert (last[0], sorted(last[1:])) == ("failed:", ["one", "three"])


def test_of_one_lane_the_next_begins_when_the_one_before_has_ended_be_it_badly(tmp_path: Path) -> None:
    met, other, ended = (tmp_path / name for name in ("met", "other", "ended"))
    first = ("one", "sh", "-c", f"({meeting(met, other)}); touch {ended}; exit 3")
    lane = (*first, "then", "two", "test", "-e", str(ended), "then", "three", "false")
    done = run(*lane, "+", "four", "sh", "-c", meeting(other, met))
    assert (done.returncode, done.stderr) == (1, "one: met\nfailed: one three\n")


def test_the_end_reaches_all_as_an_interrupt_and_what_they_say_then_is_shown(tmp_path: Path) -> None:
    here = [tmp_path / "one", tmp_path / "two"]
    script = "trap 'echo cleaned up; exit 0' INT; touch {}; while :; do sleep 0.1; done"
    one, two = (("bash", "-c", script.format(path)) for path in here)
    words = ("one", *one, "then", "never", "echo", "begun", "+", "two", *two)
    with subprocess.Popen(
        [SIDE_BY_SIDE, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        wait_until(lambda: all(path.exists() for path in here), 10, "both to have begun")
        running.terminate()  # as an interrupt, which a pytest in the background cannot pass on
        out, _ = running.communicate(timeout=20)
    assert running.returncode == 130
    assert sorted(out.splitlines()) == ["one: cleaned up", "two: cleaned up"]


@pytest.mark.parametrize("words", [("one",), (), ("one", "true", "then"), ("one", "true", "+", "two")])
def test_a_name_without_a_command_is_an_error(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "a name and a command are needed" in done.stderr
