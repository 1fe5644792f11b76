"""A companion of its own for some tests, beside the lab's: other Asterisks, other settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.parts.companion_run import RUN
from tests.lab.parts.companion_seen import Companion
from tests.lab.stack import ROOT, Stack

SETTINGS = Path("/settings/session-timer.yaml")


@contextmanager
def companion_once(
    stack: Stack,
    folder: Path,
    host: int,
    service: str,
    image: str = "",
    *,
    command: Sequence[str] = (*RUN, "run"),
    options: Sequence[str] = (),
    patience: float = 120,
) -> Iterator[Companion]:
    """Run it by ``folder``'s session-timer.yaml, at the address that ends in ``host``.

    ``folder`` is seen in it as /settings; ``service`` is what the stack is to call its container. Unless told
    otherwise, its image is that of the lab's companion. ``options`` are more of what `docker run` takes,
    ``patience`` how many seconds it may take until it is ready.
    """
    name = stack.container(service)
    mounts = {
        folder: SETTINGS.parent,
        ROOT / "pylib": "/opt/session-timer/pylib",
        ROOT / "asterisk": "/opt/session-timer/asterisk",
        ROOT / "docker" / "config" / "ami-secret": "/run/secrets/ami",
        ROOT / "docker" / "config" / "session-timer-key": "/run/secrets/session-timer-key",
    }
    volumes = [word for each, inside in mounts.items() for word in ("-v", f"{each}:{inside}:ro")]
    environment = {
        "SESSION_TIMER_CONFIG": SETTINGS,
        "PYTHONPATH": "/opt/session-timer/pylib:/opt/session-timer/asterisk",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    variables = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
    of_the_lab = ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("companion")]
    image = image or subprocess.check_output(of_the_lab, text=True).strip()
    network = ["--init", "--network", f"{stack.project}_sip", "--ip", stack.address(host)]
    subprocess.run(
        ["docker", "run", "-d", "--name", name, *network, *variables, *volumes, *options, image, *command],
        check=True,
        capture_output=True,
        timeout=120,
    )
    companion = Companion(stack, service)
    try:
        companion.ready(patience)
        yield companion
    finally:
        companion.close()
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True, timeout=60)


def set_clock(clock: Path, seconds: int) -> None:
    """From now on the wall clock of the image session-timer/clock is so far ahead; ``clock`` is its file.

    In one step: libfaketime ends a process that reads the file while it is empty.
    """
    coming = clock.with_suffix(".coming")
    coming.write_text(f"{seconds:+d}", encoding="ascii")
    coming.replace(clock)
