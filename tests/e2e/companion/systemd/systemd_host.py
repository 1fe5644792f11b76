"""A host of its own under a real systemd, and the companion installed on it as asterisk/README.md says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.install_steps import fenced, step, typed
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import wait_until

UNIT = "session-timer-companion"
CONFIG = "/etc/session-timer/session-timer.yaml"
ADDRESS = 35
"""The last number of the host's address."""
HERE = "systemd"
"""What the stack calls the container."""
COMMANDS = """
# What the README has apt install is in the image already; here it is only looked for.
apt() { shift; dpkg --status "$@" >/dev/null; }
# As the README says of an installation by apt.
session-timer() { python3 -m session_timer_companion "$@"; }
"""

# Less than --privileged: systemd can give each service its sandbox, and writes no setting of our own host.
RIGHTS = (
    *("--cap-add", "SYS_ADMIN", "--cgroupns", "private"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),  # noqa: S108  # inside it
)


@dataclass(frozen=True, slots=True)
class SystemdHost:
    """The host, up."""

    stack: Stack

    def shell(self, script: str, timeout: float = 30) -> str:
        """What a bash script prints, as root in a checkout. Raises LabError with its complaint."""
        return self.stack.exec(HERE, "bash", "-euc", f"cd /checkout\n{COMMANDS}\n{script}", timeout=timeout)

    def fails(self, script: str) -> str:
        """All that a script writes which must end with a status other than 0."""
        docker = [
            "docker",
            "exec",
            self.stack.container(HERE),
            "bash",
            "-c",
            f"cd /checkout\n{COMMANDS}\n{script}",
        ]
        done = subprocess.run(
            docker, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
        )
        assert done.returncode, f"succeeded: {script}: {done.stdout}"
        return done.stdout

    def put(self, path: str, text: str) -> None:
        """Write a file."""
        self.stack.exec(HERE, "sh", "-c", f"cat >{path}", given=text)

    def unit(self, *properties: str) -> tuple[str, ...]:
        """Properties of the companion's unit, as systemd has them now."""
        asked = [f"--property={name}" for name in properties]
        said = self.stack.exec(HERE, "systemctl", "show", "--timestamp=us+utc", UNIT, *asked)
        found = dict(line.split("=", 1) for line in said.splitlines())
        return tuple(found[name] for name in properties)

    def becomes(self, *wanted: str, of: tuple[str, ...], timeout: float = 20) -> None:
        """Wait until properties ``of`` the unit are as wanted."""
        wait_until(lambda: self.unit(*of), timeout, f"{of} of the unit", holds=lambda seen: seen == wanted)

    def journal(self, *options: str) -> str:
        """The unit's journal: its own lines, and what systemd says of it."""
        return self.stack.exec(
            HERE, "journalctl", "--no-pager", "--output=short-monotonic", f"--unit={UNIT}", *options
        )

    def cursor(self) -> str:
        """The end of the journal as it is now, to be given to `logged`."""
        said = self.journal("--lines=1", "--show-cursor")
        return said.rsplit("-- cursor: ", 1)[1].strip()

    def logged(self, cursor: str, *parts: str, timeout: float = 20) -> str:
        """Wait for a line of the journal after ``cursor`` with all these parts; gives that line."""

        def look() -> list[str]:
            lines = self.journal(f"--after-cursor={cursor}").splitlines()
            return [line for line in lines if all(part in line for part in parts)]

        return wait_until(look, timeout, f"a line with {parts} in the journal")[0]


@contextmanager
def booted(stack: Stack) -> Iterator[SystemdHost]:
    """The host with its systemd up and our checkout at /checkout, until the end of the block."""
    name = stack.container(HERE)
    where = ["--network", f"{stack.project}_sip", "--ip", stack.address(ADDRESS), "--hostname", name]
    mounts = [word for part in ("pylib", "asterisk") for word in ("-v", f"{ROOT / part}:/checkout/{part}:ro")]
    remove = ["docker", "rm", "-f", "-v", name]
    subprocess.run(remove, check=False, capture_output=True, timeout=60)
    docker = [
        "docker",
        "run",
        "-d",
        "--name",
        name,
        *where,
        *mounts,
        *RIGHTS,
        "session-timer/systemd:trixie",
    ]
    done = subprocess.run(docker, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stderr}\nThe image is made by docker/build-images."
    try:
        host = SystemdHost(stack)
        wait_until(lambda: _state(host), 30, f"systemd in {name}", holds=lambda seen: seen == "running")
        yield host
    finally:
        subprocess.run(remove, check=False, capture_output=True, timeout=60)


def _state(host: SystemdHost) -> str:
    try:
        return host.stack.exec(HERE, "systemctl", "is-system-running").strip()
    except LabError as error:
        return f"{error}\n{host.stack.logs(HERE)[-2000:]}"


def install(host: SystemdHost) -> None:
    """The README's steps up to the service itself, which is not started."""
    stack = host.stack
    password = stack.exec("asterisk", "cat", "/run/secrets/ami").strip()
    account, _ = typed(step(2))
    # The rest of that step is done on Asterisk's host.
    ours = [line for line in account.splitlines() if "/etc/session-timer" in line]
    text = fenced(step(5), "yaml")
    for example, real in {
        "192.0.2.20": stack.asterisk,
        "192.0.2.10": stack.edge,
        "127.0.0.1": stack.asterisk,
    }.items():
        assert example in text
        text = text.replace(example, real)
    by_apt, _ = typed(step(1))
    host.shell(by_apt)
    host.shell("\n".join([f"password={password}", *ours]))
    # What step 4 makes is the key that this stack's edge has.
    host.put("/etc/session-timer/edge-key", stack.exec("edge", "cat", "/run/secrets/session-timer-key"))
    host.put(CONFIG, text)
    (look,) = typed(step(6))
    assert "valid" in host.shell("\n".join(line for line in look.splitlines() if "doctor" not in line))
