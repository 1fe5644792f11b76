"""The companion's program, run beside the companion that runs, and what it said."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from session_timer_companion.cli import BROKEN

from tests.lab.stack import Stack

CONFIG = "/run/session-timer.yaml"
PREFIX = "SESSION_TIMER_COMPANION__"
RUN = ("python3", "-m", "session_timer_companion")


def ran(stack: Stack, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A second companion beside the one that runs, for at most 15 seconds."""
    given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    docker = ["docker", "exec", *given, stack.container("companion"), "timeout", "15"]
    return subprocess.run(
        [*docker, *RUN, command, *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def put(stack: Stack, service: str, path: str, text: str) -> None:
    """Write a file in a container."""
    stack.exec(service, "sh", "-c", f"cat >{path}", given=text)


def assert_told(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Ended with an error and a message in which all of this occurs; `run` with 78, not to be tried again."""
    said = done.stdout + done.stderr
    assert done.returncode in (1, BROKEN), said
    assert "Traceback" not in said
    for part in parts:
        assert part in said


@contextmanager
def beside(stack: Stack, service: str = "companion", **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A second companion where one runs, for at most 20 seconds; its HTTP is off.

    ``environment`` goes by the variables that stand over the file, without what all of them begin with.
    """
    given = {"HTTP__ENABLED": "false", **environment}
    words = [word for name, value in given.items() for word in ("-e", f"{PREFIX}{name}={value}")]
    docker = ["docker", "exec", *words, stack.container(service), "timeout", "20"]
    with subprocess.Popen(
        [*docker, *RUN, "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str], *words: str) -> list[str]:
    """Its log up to the first line in which one of these words occurs, or to its end."""
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if any(word in line for word in words):
            break
    return lines
