"""The companion before a played Asterisk and edge: memory, CPU time and lateness of its process.

The companion is the real program, its log as in production: lines at level info, into a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 300.0
"""Seconds in which every call must be tracked."""
SETTLED = 2.0
"""Seconds that a process is left alone before its memory is read."""


@dataclass(frozen=True, slots=True)
class Played:
    """What one run showed. Bytes, seconds."""

    calls: int
    interval: int
    base: int
    """Resident memory without calls."""
    grown: int
    """Resident memory with all calls tracked and refreshed, less `base`."""
    arming: float
    """From the start of the process until every call was tracked."""
    seconds: float
    cpu: float
    """Of the process, within `seconds`."""
    waited: float
    """What the process waited for a processor that others had, within `seconds`."""
    confirmed: int
    lateness: tuple[float, ...]

    @property
    def bytes_a_call(self) -> float:
        return self.grown / self.calls

    @property
    def microseconds_a_refresh(self) -> float:
        """All CPU time of the process, idle turns included, for each refresh that was sent and confirmed."""
        return self.cpu / max(1, self.confirmed) * 1e6

    @property
    def cpu_share(self) -> float:
        return self.cpu / self.seconds

    def late(self, part: float) -> float:
        """The lateness that this part of the refreshes did not exceed."""
        ordered = sorted(self.lateness) or [0.0]
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    def told(self, what: str) -> str:
        return (
            f"{what}: {self.calls} calls at {self.interval} s: armed in {self.arming:.1f} s, "
            f"{self.base / 2**20:.0f} MiB without calls, {self.bytes_a_call:.0f} bytes a call; "
            f"{self.confirmed / self.seconds:.0f} refreshes/s for {self.seconds:.0f} s at "
            f"{self.microseconds_a_refresh:.0f} us CPU each, late p50 {self.late(0.5) * 1e3:.0f} ms, "
            f"p99 {self.late(0.99) * 1e3:.0f} ms, max {self.late(1) * 1e3:.0f} ms "
            f"(the process ran {self.cpu:.1f} s and waited {self.waited:.1f} s for a processor)"
        )


def measure(calls: int, *, interval: int, spare: float, seconds: float) -> Played:
    """Have `calls` calls tracked, then look on for `seconds` while they are refreshed."""
    with _world(0, interval, spare) as (_, places), _companion(places) as companion:
        companion.wait_until_ready()
        time.sleep(SETTLED)
        base = companion.memory()
    with _world(calls, interval, spare) as (world, places), _companion(places) as companion:
        began = time.monotonic()
        companion.wait_until_ready()
        arming = time.monotonic() - began
        _ask(world)
        while not _ask(world)["late"]:
            time.sleep(0.5)
        # Records were read one after another, so the first refreshes come as slowly as calls were tracked.
        time.sleep(max(SETTLED, arming))
        _ask(world)
        start, before, waited = time.monotonic(), companion.cpu(), companion.waited()
        time.sleep(seconds)
        cpu, figures, lasted = companion.cpu() - before, _ask(world), time.monotonic() - start
        waited = companion.waited() - waited
        grown = companion.memory() - base
    return Played(
        calls=calls,
        interval=interval,
        base=base,
        grown=grown,
        arming=arming,
        seconds=lasted,
        cpu=cpu,
        waited=waited,
        confirmed=figures["confirmed"],
        lateness=tuple(figures["late"]),
    )


@contextlib.contextmanager
def _world(calls: int, interval: int, spare: float) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "tests.bench.companion_world"]
    command += ["--calls", str(calls), "--interval", str(interval), "--spare", str(spare)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as world:
        try:
            assert world.stdout is not None
            yield world, json.loads(world.stdout.readline())
        finally:
            world.kill()


def _ask(world: subprocess.Popen[str]) -> dict[str, Any]:
    assert world.stdin is not None
    assert world.stdout is not None
    world.stdin.write("\n")
    world.stdin.flush()
    figures: dict[str, Any] = json.loads(world.stdout.readline())
    return figures


@dataclass(frozen=True, slots=True)
class _Companion:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(
                    f"bench-companion: the companion does not get ready:\n{self.log.read_text()[-2000:]}"
                )
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with straight.open(f"http://127.0.0.1:{self.port}/readyz", timeout=30):
                return True
        except OSError:
            return False

    def memory(self) -> int:
        """Resident bytes."""
        rows = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (kilobytes,) = (row.split()[1] for row in rows if row.startswith("VmRSS:"))
        return int(kilobytes) * 1024

    def waited(self) -> float:
        """Seconds in which it could have run, but others did."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    def cpu(self) -> float:
        """Seconds of CPU time, user's and system's."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


@contextlib.contextmanager
def _companion(places: dict[str, Any]) -> Iterator[_Companion]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    account = {"name": "played", "host": "127.0.0.1", "port": places["ami"], "username": "session-timer"}
    configuration = {
        "edge": {"door": places["door"], "key_file": "key"},
        "companion": {"ami": [{**account, "secret": "s3cret"}], "http": {"port": port}},
    }
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "session-timer.yaml"), Path(folder, "log")
        config.write_text(yaml.safe_dump(configuration))
        Path(folder, "key").write_text("a-key-of-the-tests-that-is-long-enough\n")
        command = [sys.executable, "-m", "session_timer_companion", "run", "--config", str(config)]
        with log.open("wb") as sink, subprocess.Popen(command, stderr=sink) as process:
            try:
                yield _Companion(process, port, log)
            finally:
                process.kill()
