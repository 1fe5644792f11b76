"""An edge of its own for one test: another folder, another environment, or settings that are wrong."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import NotInTimeError, wait_until

ADDRESS = 12
"""The last number of the address, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class EdgeOnce:
    """``folder`` is seen as /etc/kamailio, and whatever is not in it is not there."""

    stack: Stack
    folder: Path
    settings: Path
    environment: Mapping[str, str]
    host: int = ADDRESS
    """The last number of its address."""
    service: str = ""
    """What the stack is to call its container; else a name of its own."""
    options: tuple[str, ...] = ()
    """More of what `docker run` can be told."""
    health: str = "/etc/kamailio/health"
    """Succeeds in the container once the edge can be used."""

    @property
    def address(self) -> str:
        return self.stack.address(self.host)

    def refuses(self) -> str:
        """What Kamailio says that does not start. AssertionError if it does."""
        shell = "timeout 60 kamailio -DD -E -f /etc/kamailio/kamailio.cfg"
        done = subprocess.run(
            [*self._docker(), "--rm", "--ip", self.address, *self._what(), "-c", shell],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
        assert done.returncode not in (0, 124), f"it started, exit status {done.returncode}: {done.stdout}"
        return done.stdout

    @contextmanager
    def running(self, prepare: str = "true") -> Iterator[Callable[[], str]]:
        """Kamailio in the lab's network, after a shell command and ``kamailio -c``, once it answers SIP.

        Gives a function that returns what it has written so far.
        """
        name = self.stack.container(self.service or f"edge-once-{secrets.token_hex(3)}")
        address = self.address
        config = "-E -f /etc/kamailio/kamailio.cfg"
        shell = f"set -e; {prepare}; kamailio -c {config}; exec kamailio -DD {config}"
        command = [*self._docker(), "-d", "--name", name, "--ip", address, *self._what(), "-c", shell]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

        def written() -> str:
            done = subprocess.run(
                ["docker", "logs", name],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=True,
            )
            return done.stdout

        health = ["docker", "exec", "-e", f"EDGE_ADDRESS={address}", name, *self.health.split()]
        try:
            try:
                wait_until(
                    lambda: subprocess.run(health, check=False, capture_output=True).returncode == 0,
                    90,
                    f"{name} to answer",
                )
            except NotInTimeError as error:
                raise AssertionError(f"{error}\n{written()}") from error
            yield written
        finally:
            subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True, timeout=60)

    def _docker(self) -> list[str]:
        return ["docker", "run", "--network", f"{self.stack.project}_sip", *self.options]

    def _what(self) -> list[str]:
        image = subprocess.check_output(
            ["docker", "inspect", "-f", "{{.Config.Image}}", self.stack.container("edge")], text=True
        ).strip()
        given = {
            "LAB_NET": self.stack.network,
            "ASTERISK_ADDRESS": self.stack.asterisk,
            "SESSION_TIMER_CONFIG": "/settings/session-timer.yaml",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }
        variables = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
        folders = {
            self.folder: "/etc/kamailio",
            self.settings.parent: "/settings",
            ROOT / "pylib": "/checkout/pylib",
            ROOT / "kamailio": "/checkout/kamailio",
        }
        mounts = [word for host, inside in folders.items() for word in ("-v", f"{host}:{inside}:ro")]
        return [*variables, *mounts, "--entrypoint", "sh", image]
