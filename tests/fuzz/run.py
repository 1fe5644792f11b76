"""Runs the fuzz targets with atheris, one after the other; what `make fuzz` starts.

``python -m fuzz.run --seconds 60`` gives each target a minute. New inputs go to out/fuzz/<target>; with
``--keep`` the smallest that reach all the code go to tests/fuzz/corpus. A finding stops the run:
libFuzzer has then written the input to out/fuzz/findings.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

with atheris.instrument_imports(include=["session_timer", "session_timer_companion", "session_timer_kemi"]):
    from .doors import DOORS
    from .targets import TARGETS as LIBRARY
    from .traces import TRACES

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {**LIBRARY, **DOORS, **TRACES}
FOLDERS = {**dict.fromkeys(TRACES, "corpus-of-traces"), **dict.fromkeys(DOORS, "corpus-of-doors")}
OUT = ROOT / "out/fuzz"
_RUNS = re.compile(r"(?:Done (\d+) runs|stat::number_of_executed_units: (\d+))")
LONGEST, LONGEST_TRACE = 600, 4000
"""Bytes of an input; a longer one shows nothing new and takes its time."""


def kept(name: str) -> Path:
    """Where the inputs of a target are that the tests replay."""
    return ROOT / "tests/fuzz" / FOLDERS.get(name, "corpus") / name


def main() -> int:
    """Run the chosen targets; 1 after a finding."""
    reader = argparse.ArgumentParser(description="fuzz the protocol library")
    reader.add_argument("--seconds", type=int, default=30, help="for each target (30)")
    reader.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; repeatable"
    )
    reader.add_argument("--keep", action="store_true", help="add inputs that reach new code to the corpus")
    reader.add_argument("--in-this-process", help=argparse.SUPPRESS)
    options, passed_on = reader.parse_known_args()
    if options.in_this_process:
        # libFuzzer ends the process, so the count is its own last line.
        atheris.Setup([sys.argv[0], *passed_on], TARGETS[options.in_this_process])
        atheris.Fuzz()
    total = 0
    for name in options.target or TARGETS:
        inputs, found = _fuzz(name, options.seconds)
        total += inputs
        print(f"fuzz: {name}: {inputs} inputs" + (", FINDING" if found else ""), flush=True)
        if found:
            return 1
        if options.keep:
            _keep(name)
    print(f"fuzz: {total} inputs, no finding")
    return 0


def _fuzz(name: str, seconds: int) -> tuple[int, bool]:
    found = OUT / name
    findings = OUT / "findings"
    for folder in (found, findings, kept(name)):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_TRACE if name in TRACES else LONGEST}",
        "-print_final_stats=1",
        "-timeout=5",
    ]
    ran = _libfuzzer(name, [*options, f"-artifact_prefix={findings}/{name}-", str(found), str(kept(name))])
    counts = [int(first or second) for first, second in _RUNS.findall(ran.stderr)]
    if ran.returncode:
        print(ran.stdout[-2000:], ran.stderr[-2000:], file=sys.stderr)
    return max(counts, default=0), ran.returncode != 0


def _keep(name: str) -> None:
    """Beside the seeds, the smallest inputs, old and new, that reach a line from somewhere new."""
    folder = kept(name)
    inputs = sorted(
        {path.read_bytes() for place in (folder, OUT / name) for path in place.iterdir()}, key=len
    )
    known: set[Step] = set()
    for path in folder.iterdir():
        if path.name.startswith("seed-"):
            known |= _steps(name, path.read_bytes())
        else:
            path.unlink()
    for data in inputs:
        steps = _steps(name, data)
        if not steps <= known:
            known |= steps
            (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


Step = tuple[str, int, int]
"""A file, and two lines of it of which the second ran right after the first."""


def _steps(name: str, data: bytes) -> set[Step]:
    steps: set[Step] = set()

    def traced(frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        path = frame.f_code.co_filename
        if "session_timer" not in path:
            return None
        before = frame.f_lineno

        def line(frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
            nonlocal before
            if event == "line":
                steps.add((path, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line

    sys.settrace(traced)
    try:
        TARGETS[name](data)
    finally:
        sys.settrace(None)
    return steps


def _libfuzzer(name: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.run", "--in-this-process", name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


if __name__ == "__main__":
    sys.exit(main())
