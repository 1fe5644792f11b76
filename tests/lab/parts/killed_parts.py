"""Parts of the stack that die by kill -9 and are started again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.parts.native_edge import tell_gateway
from tests.lab.stack import Stack
from tests.lab.together import Stage
from tests.lab.waiting import NotInTimeError, wait_until


def kill(stack: Stack, service: str) -> None:
    subprocess.run(
        ["docker", "kill", "-s", "KILL", stack.container(service)], check=True, capture_output=True
    )


def start(stack: Stack, service: str) -> None:
    subprocess.run(["docker", "start", stack.container(service)], check=True, capture_output=True)


@contextmanager
def without(stack: Stack, service: str) -> Iterator[None]:
    """The stack without one of its parts, which is started again afterwards."""
    kill(stack, service)
    try:
        yield
    finally:
        start(stack, service)


def restart_edge(stage: Stage) -> None:
    """Kamailio starts anew; its table is empty."""
    kill(stage.stack, "edge")
    start_edge(stage)


def start_edge(stage: Stage) -> None:
    """Kamailio starts where it was killed, and has its part in the tests again."""
    start(stage.stack, "edge")
    wait_until(lambda: _answers(stage), 60, "the edge to answer", pause=0.3)
    tell_gateway(stage.edge, stage.stack)
    stage.wire.begin()


def _answers(stage: Stage) -> bool:
    try:
        return "result" in stage.edge.rpc("core.uptime")
    except NotInTimeError:
        return False
