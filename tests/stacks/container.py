"""One user agent in a container of its own, at an address that picks its profile at the edge."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until

# The agent has a process group of its own. When that is killed its address stays, and nobody answers there.
_START = 'setsid sh -c \'echo $$ >/run/agent.pid; exec "$@"\' sh "$@" & wait; exec sleep infinity'
_KILL = "kill -KILL -$(cat /run/agent.pid)"


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started and is removed by ``remove``."""

    name: str
    address: str

    @classmethod
    def start(cls, stack: Stack, name: str, image: str, host: int, command: Iterable[str]) -> Container:
        """Start a program at an address of the stack's network, by its last number."""
        started = cls(f"{stack.project}-{name}", stack.address(host))
        started.remove()
        docker = ["docker", "run", "--detach", "--init", "--name", started.name]
        place = ["--network", f"{stack.project}_sip", "--ip", started.address]
        programs = ["--volume", f"{ROOT}/docker/stacks:/opt/stacks:ro"]
        start = [*docker, *place, *programs, image, "sh", "-c", _START, "sh", *command]
        subprocess.run(start, check=True, capture_output=True, timeout=120)
        return started

    def ready(self, timeout: float = 60) -> None:
        """Wait until the agent says that it listens."""
        wait_until(
            lambda: self.printed().splitlines(),
            timeout,
            f"{self.name} to be ready",
            holds=lambda lines: any(line.strip() == "ready" for line in lines),
            pause=0.5,
        )

    def printed(self) -> str:
        """All that it has printed."""
        done = subprocess.run(
            ["docker", "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.stdout

    def kill(self) -> None:
        """End the agent without a word to anybody; its address stays."""
        subprocess.run(
            ["docker", "exec", self.name, "sh", "-c", _KILL], check=True, capture_output=True, timeout=60
        )

    def remove(self) -> None:
        subprocess.run(["docker", "rm", "--force", self.name], check=False, capture_output=True, timeout=60)


def release(image: str, command: Iterable[str]) -> str:
    """What a program of an image prints of its release, in one line."""
    docker = ["docker", "run", "--rm", "--entrypoint", "", image, *command]
    return " ".join(subprocess.check_output(docker, text=True, timeout=120).split())
