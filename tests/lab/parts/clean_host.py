"""A Debian host under systemd on which nothing of ours is installed, in the stack's network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.companion.systemd.systemd_host import RIGHTS
from tests.lab.stack import LabError, Stack
from tests.lab.waiting import wait_until


@dataclass(frozen=True, slots=True)
class CleanHost:
    """One such host, up. ``service`` is what the stack calls the part that it stands for."""

    stack: Stack
    service: str

    def shell(self, script: str, timeout: float = 120) -> str:
        """What a bash script prints, errors included, as root. Raises LabError with all of it if it fails."""
        docker = ["docker", "exec", "-i", self.stack.container(self.service), "bash", "-euc", f"{script}\n"]
        done = subprocess.run(
            docker,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise LabError(f"{self.service}: {script}\nexit status {done.returncode}: {done.stdout[-3000:]}")
        return done.stdout

    def read(self, path: str) -> str:
        return self.shell(f"cat {path}")

    def put(self, path: str, text: str) -> None:
        """Write a file; one that is there keeps its owner and mode."""
        self.stack.exec(self.service, "sh", "-c", f"cat >{path}", given=text)

    def edit(self, path: str, changes: dict[str, str]) -> None:
        """Replace words in a file, each of which has to be in it."""
        text = self.read(path)
        for old, new in changes.items():
            assert old in text, f"{old} in {path}: {text}"
            text = text.replace(old, new)
        self.put(path, text)

    def state(self, unit: str) -> str:
        """active, inactive, failed and so on."""
        return self.shell(f"systemctl is-active {unit} || true").strip()

    def journal(self, unit: str) -> str:
        return self.shell(f"journalctl --no-pager --output=cat --unit={unit}")


@contextmanager
def booted(
    stack: Stack, service: str, suite: str, address: int, mounts: dict[Path, str]
) -> Iterator[CleanHost]:
    """The host with its systemd up, until the end of the block.

    ``address`` is the last number of its address, ``mounts`` are folders of ours and where it sees them.
    """
    name = stack.container(service)
    remove = ["docker", "rm", "-f", "-v", name]
    subprocess.run(remove, check=False, capture_output=True, timeout=60)
    docker = ["docker", "run", "-d", "--name", name, "--hostname", service, *RIGHTS]
    docker += ["--network", f"{stack.project}_sip", "--ip", stack.address(address)]
    docker += [word for ours, theirs in mounts.items() for word in ("-v", f"{ours}:{theirs}:ro")]
    done = subprocess.run(
        [*docker, f"session-timer/clean:{suite}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\nThe image is made by docker/test-debs."
    try:
        host = CleanHost(stack, service)
        wait_until(lambda: _state(host), 30, f"systemd in {name}", holds=lambda seen: seen == "running")
        yield host
    finally:
        subprocess.run(remove, check=False, capture_output=True, timeout=60)


def _state(host: CleanHost) -> str:
    return host.shell("systemctl is-system-running || true").strip()
