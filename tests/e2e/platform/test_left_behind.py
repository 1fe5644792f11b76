"""What a test has left in the network of a stack goes with the stack: else the network would stay."""

from __future__ import annotations

import os
import subprocess

from tests.lab.stack import Stack

NETWORK = "198.19.82"


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_end_of_a_stack_takes_what_is_left_in_its_network() -> None:
    stack = Stack(f"session-timer-left-{os.getpid()}", NETWORK, "0")
    network, guest = f"{stack.project}_sip", f"{stack.project}-guest"
    docker("network", "create", "--subnet", f"{NETWORK}.0/24", network)
    try:
        docker(
            "run",
            "-d",
            "--name",
            guest,
            "--network",
            network,
            "session-timer/companion:trixie",
            "sleep",
            "300",
        )
        stack.down()
        left = (
            docker("ps", "-aq", "--filter", f"name={guest}"),
            docker("network", "ls", "-q", "--filter", f"name={network}"),
        )
    finally:
        subprocess.run(["docker", "rm", "-f", guest], check=False, capture_output=True, timeout=60)
        subprocess.run(["docker", "network", "rm", network], check=False, capture_output=True, timeout=60)
    assert left == ("", "")
