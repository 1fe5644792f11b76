"""What a fault is, and the two hands that make most of them: Docker and iptables."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum

from tests.chaos.world import World
from tests.lab.stack import ROOT, LabError, Stack


class Scene(Enum):
    """Where a fault can be made."""

    ONE_EDGE = "one edge"
    TWO_EDGES = "two edges"
    """They replicate their records and share an address."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    does: str
    """What is done, and to what."""
    parts: frozenset[str]
    """What it is done to; two faults that share a part are not played at once."""
    made: Callable[[World], AbstractContextManager[None]]
    """Entered it begins, left it is over."""
    lasts: float
    """Seconds."""
    recovery: float = 5.0
    """Seconds after its end for which the end of a dead call may still be late."""
    why: str = "what is overdue is asked for first"
    """The reason of that."""
    ends_calls: bool = False
    """The calls end with it, whatever we do: only what stays behind is judged."""
    scene: Scene = Scene.ONE_EDGE
    begins_first: bool = False
    """It waits until a companion has its calls, so it begins before what would keep that from them."""


def done_to(*parts: str) -> frozenset[str]:
    return frozenset(parts)


def docker(*arguments: str) -> str:
    """Raises LabError with Docker's complaint."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise LabError(f"docker {' '.join(arguments[:4])}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


@contextmanager
def frozen(*containers: str) -> Iterator[None]:
    """Their processes stand still (the freezer of cgroups)."""
    for each in containers:
        docker("pause", each)
    try:
        yield
    finally:
        for each in containers:
            docker("unpause", each)


@contextmanager
def filtered(stack: Stack, service: str, *rules: str) -> Iterator[None]:
    """These rules of iptables hold in the network of a container, for instance `INPUT -p udp -j DROP`."""
    container = stack.container(service)
    _can_filter()
    process = docker("inspect", "-f", "{{.State.Pid}}", container)

    def iptables(verb: str, rule: str) -> None:
        words = ["nsenter", "-t", process, "-n", "iptables", "-w", *_table(rule), verb, *_words(rule)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise LabError(f"this kernel does not do `iptables {rule}`: {done.stderr.strip()}")

    made: list[str] = []
    try:
        for rule in rules:
            iptables("-A", rule)
            made.append(rule)
        yield
    finally:
        # A container that was started anew has a network without them.
        if docker("inspect", "-f", "{{.State.Pid}}", container) == process:
            for rule in made:
                iptables("-D", rule)


@dataclass(frozen=True, slots=True)
class Beside:
    """A program of the harness that runs in the lab's network."""

    process: subprocess.Popen[str]

    def told(self, within: float) -> str:
        """What it printed, once it has ended. Raises LabError if it failed or takes more seconds."""
        try:
            out, complaint = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            raise LabError(f"a program of the harness has not ended within {within:g} s") from None
        if self.process.returncode:
            raise LabError(f"a program of the harness failed: {complaint.strip()[-300:]}")
        return out.strip() or "done"


@contextmanager
def beside(stack: Stack, module: str, *arguments: str) -> Iterator[Beside]:
    """Run one of `tests.chaos.inside` beside the crowd; it is ended with the fault."""
    name = stack.container(module.rpartition(".")[2].replace("_", "-"))
    image = docker("inspect", "-f", "{{.Config.Image}}", stack.container("companion"))
    words = ["docker", "run", "--rm", "--init", "--name", name, "-v", f"{ROOT}:/repo:ro", "-w", "/repo"]
    words += ["--network", f"container:{stack.container('carrier')}", "-e", "PYTHONDONTWRITEBYTECODE=1"]
    words += ["--entrypoint", "python3", image, "-m", module, *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Beside(process)
        finally:
            subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
            process.wait(20)


def _can_filter() -> None:
    for program in ("nsenter", "iptables"):
        if shutil.which(program) is None:
            raise LabError(
                f"{program} is not installed here: this fault needs it (apt-get install {program})"
            )
    if os.geteuid() != 0:
        raise LabError("this fault is made by iptables in a container's network: run it as root")


def _table(rule: str) -> list[str]:
    return ["-t", "nat"] if "DNAT" in rule else []


def _words(rule: str) -> list[str]:
    return rule.split()
