"""The peers of all calls, in a container of their own in the carrier's network; driven from the host."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.inside.account import Account
from tests.lab.stack import ROOT, LabError, Stack

UPDATE = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"
NO_UPDATE = "INVITE, ACK, BYE, CANCEL, OPTIONS"
RATE = 40
"""Calls a second at which a kind of them begins."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls that are alike: who refreshes, and how."""

    name: str
    place: int
    """Which of the interval's addresses: `Load.hosts`."""
    refreshes: bool = False
    """The peer does."""
    allow: str = UPDATE


KINDS = (
    Kind("ours-by-update", 0),
    Kind("ours-by-reinvite", 1, allow=NO_UPDATE),
    Kind("theirs", 2, refreshes=True),
)


@dataclass(frozen=True, slots=True)
class Load:
    """How many calls, and their session interval in seconds."""

    live: int = 300
    dead: int = 60
    churn: float = 2.0
    """Short calls a second beside them."""
    interval: int = 30
    hosts: tuple[int, int, int] = (42, 43, 44)
    """The carrier's addresses whose profiles are: refreshed by us by UPDATE, by re-INVITE, by the peer."""
    hold: float = 8.0
    """Seconds that a short call lasts."""


class Crowd:
    """Gives orders, and reads the accounts."""

    def __init__(self, stack: Stack, load: Load, edge: str) -> None:
        self.stack, self.load = stack, load
        image = subprocess.check_output(
            ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("companion")], text=True
        ).strip()
        self.container = stack.container("crowd")
        subprocess.run(["docker", "rm", "-f", self.container], check=False, capture_output=True)
        docker = ["docker", "run", "--rm", "-i", "--init", "--name", self.container]
        docker += ["--network", f"container:{stack.container('carrier')}", "-v", f"{ROOT}:/repo:ro"]
        docker += ["-w", "/repo", "-e", "PYTHONDONTWRITEBYTECODE=1", "--entrypoint", "python3", image]
        self._process = subprocess.Popen(
            [*docker, "-u", "-m", "tests.chaos.inside.crowd", edge],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def begin(self, live: int, dead: int) -> None:
        """So many more calls of each sort begin, spread over the kinds."""
        for mortal, wanted in ((False, live), (True, dead)):
            for place, kind in enumerate(KINDS):
                count = wanted // len(KINDS) + (place < wanted % len(KINDS))
                if count:
                    self._order("begin", **self._calls(kind), count=count, rate=RATE, mortal=mortal)

    def churn(self, rate: float) -> None:
        """Short calls from now on, this many a second; 0 ends that."""
        self._order(
            "churn",
            host=self.stack.address(self.load.hosts[0]),
            rate=rate,
            interval=self.load.interval,
            allow=UPDATE,
            hold=self.load.hold,
        )

    def die(self, count: int) -> None:
        """So many of those that are to die fall silent now."""
        self._order("die", count=count)

    def hang_up(self) -> None:
        """Every peer that is alive ends its call."""
        self._order("hang up")

    def abandon(self) -> None:
        """Asterisk has lost every call: those of dead peers are over too."""
        self._order("abandon", by="fault")

    def over(self, call_ids: Iterable[str]) -> None:
        """Asterisk has no channel of these any more, though its BYE did not come to their dead peers."""
        self._order("abandon", by="asterisk", only=sorted(call_ids))

    def disorder(self, share: float, delay: float) -> None:
        """This share of the datagrams comes twice, and as many up to ``delay`` seconds late."""
        self._order("disorder", share=share, delay=delay)

    def accounts(self) -> list[Account]:
        """Of every call since the last `forget`."""
        return [Account(**told) for told in self._order("accounts")]

    def forget(self) -> None:
        """Calls that are over are not told of any more."""
        self._order("forget")

    def close(self) -> None:
        self._process.kill()
        subprocess.run(["docker", "rm", "-f", self.container], check=False, capture_output=True)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _calls(self, kind: Kind) -> Mapping[str, Any]:
        return {
            "kind": kind.name,
            "host": self.stack.address(self.load.hosts[kind.place]),
            "interval": self.load.interval,
            "allow": kind.allow,
            "refreshes": kind.refreshes,
        }

    def _order(self, do: str, **what: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            stdin.write(json.dumps({"do": do, **what}) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            raise LabError("the crowd is gone; its container says why above")
        return json.loads(line)
