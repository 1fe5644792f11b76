"""SIPp in the carrier's container: how it is started, and whether it ended well."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass


def command(
    scenario: str,
    *,
    source: str,
    port: int,
    target: str | None,
    keys: Mapping[str, str | int],
    call_id: str | None,
    timeout: int,
    error_file: str,
    calls: int = 1,
    rate: int = 10,
) -> list[str]:
    """SIPp's command line; ``rate`` is calls a second.

    Whatever is not in the scenario, or a timeout, is a failure.
    """
    words = ["sipp", "-sf", scenario, "-i", source, "-p", str(port), "-mi", source, "-nostdin"]
    words += ["-m", str(calls), "-r", str(rate), "-l", str(calls)]
    words += ["-timeout", str(timeout), "-timeout_error", "-trace_err", "-error_file", error_file]
    for name, value in keys.items():
        words += ["-key", name, str(value)]
    if call_id is not None:
        words += ["-cid_str", call_id]
    return [*words, target] if target else words


@dataclass(frozen=True, slots=True)
class SippRun:
    """One SIPp that was started in the background."""

    container: str
    name: str
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, container: str, name: str, inner: list[str]) -> SippRun:
        """Start it; the shell in between leaves its process id, so that it can be stopped."""
        mark = f"/tmp/{name}.pid"  # noqa: S108 - inside a container of our own
        keep = f'echo $$ >{mark}; rm -f /tmp/{name}.err; exec "$@"'
        process = subprocess.Popen(
            ["docker", "exec", container, "sh", "-c", keep, "sh", *inner],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return cls(container, name, process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, timeout: float) -> int:
        """Its exit status; 0 is the only good one. subprocess.TimeoutExpired after ``timeout`` seconds."""
        return self.process.wait(timeout)

    def complaint(self) -> str:
        """What it wrote about the failure, in one line; empty if nothing."""
        done = subprocess.run(
            ["docker", "exec", self.container, "cat", f"/tmp/{self.name}.err"],  # noqa: S108 - see start
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        rows = [row.strip() for row in done.stdout.splitlines() if row.strip()]
        return " ".join(row for row in rows if not row.startswith("The following events"))[:500]

    def check(self, timeout: float) -> None:
        """Wait for a good end. Raises AssertionError with SIPp's words for any other."""
        status = self.wait(timeout)
        if status:
            raise AssertionError(f"SIPp {self.name}: exit status {status}: {self.complaint()}")

    def stop(self) -> None:
        """End it now, if it still runs."""
        if self.running:
            kill = f"kill $(cat /tmp/{self.name}.pid)"
            subprocess.run(["docker", "exec", self.container, "sh", "-c", kill], check=False)
            self.process.wait(10)
