"""An Asterisk of its own for one test, beside the lab's: its configuration, changed here and there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until

Change = Callable[[str], str]
"""Makes one configuration file's text of that of the lab."""


@contextmanager
def asterisk_once(  # all of it by place or name, none of it a state
    stack: Stack,
    folder: Path,
    host: int,
    service: str,
    changes: Mapping[str, Change],
    *,
    options: Sequence[str] = (),
    prepare: str = "true",
) -> Iterator[str]:
    """Run it, and give its address, which ends in ``host``, once it takes calls.

    ``folder`` is seen in it as /opt/lab, and what is in it already stays. ``service`` is what the stack is to
    call its container; ``changes`` go by the name of the file. ``options`` are more of `docker run`, and the
    shell command ``prepare`` is run before Asterisk.
    """
    name, address = stack.container(service), stack.address(host)
    shutil.copytree(ROOT / "docker" / "asterisk", folder, dirs_exist_ok=True)
    for file, change in changes.items():
        path = folder / "etc" / file
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    mounts = {
        folder: "/opt/lab",
        ROOT / "asterisk": "/opt/session-timer/asterisk",
        ROOT / "docker" / "config" / "ami-secret": "/run/secrets/ami",
    }
    volumes = [word for each, inside in mounts.items() for word in ("-v", f"{each}:{inside}:ro")]
    image = subprocess.check_output(
        ["docker", "inspect", "-f", "{{.Config.Image}}", stack.container("asterisk")], text=True
    ).strip()
    start = f"set -e; {prepare}; exec /opt/lab/start"
    network = ["--network", f"{stack.project}_sip", "--ip", address]
    environment = ["-e", f"LAB_NET={stack.network}", *options, "--entrypoint", "sh"]
    subprocess.run(
        ["docker", "run", "-d", "--name", name, *network, *environment, *volumes, image, "-c", start],
        check=True,
        capture_output=True,
        timeout=120,
    )
    health = ["docker", "exec", name, "/opt/lab/health"]
    try:
        wait_until(
            lambda: subprocess.run(health, check=False, capture_output=True).returncode == 0,
            120,
            f"{name} to have booted",
        )
        yield address
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True, timeout=60)
