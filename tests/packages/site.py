"""Two clean hosts, for Kamailio and for the companion, and a call through both to the lab's Asterisk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.parts.clean_host import CleanHost, booted
from tests.lab.sipp import SippRun
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import NotInTimeError, wait_until
from tests.packages.install_page import (
    ASTERISK_ADDRESS,
    COMPANION_SETTINGS,
    EDGE_ADDRESS,
    EDGE_SETTINGS,
    commands,
    kamailio_cfg,
)

UNIT = "session-timer-companion"
NUMBER = "+4930123456"
"""One that the stock kamailio.cfg takes for a gateway's."""
PACKAGES = {ROOT / "out/deb": "/packages", ROOT / "out/deb-next": "/next"}


@dataclass(frozen=True, slots=True)
class Site:
    """The hosts, up. ``suite`` is that of Kamailio's; the companion's is Debian 13."""

    stack: Stack
    suite: str
    edge: CleanHost
    companion: CleanHost

    def install_edge(self) -> None:
        """The page's steps for the edge."""
        install, make_key, check, start = commands("The edge")
        self.edge.shell(f"cd /packages/{self.suite}; {noninteractive(install)}")
        self.edge.shell(make_key)
        self.edge.edit(EDGE_SETTINGS, {EDGE_ADDRESS: self.stack.edge, ASTERISK_ADDRESS: self.stack.asterisk})
        self.edge.shell(check)
        stock = self.edge.read("/etc/kamailio/kamailio.cfg")
        self.edge.put("/etc/kamailio/kamailio.cfg", kamailio_cfg(stock, self.stack))
        self.edge.shell(start)

    def install_companion(self) -> None:
        """The page's steps for the companion; Asterisk has its account already."""
        install, look, start = commands("The companion")
        self.companion.shell(f"cd /packages/trixie; {noninteractive(install)}")
        self.give_password()
        self.give_key()
        addresses = {EDGE_ADDRESS: self.stack.edge, ASTERISK_ADDRESS: self.stack.asterisk}
        self.companion.edit(COMPANION_SETTINGS, {**addresses, "127.0.0.1": self.stack.asterisk})
        assert self.companion.state(UNIT) == "inactive"
        assert "all well" in self.companion.shell(without_running(look))
        self.companion.shell(start)

    def give_password(self) -> None:
        password = self.stack.exec("asterisk", "cat", "/run/secrets/ami").strip()
        self.companion.shell("install -d /etc/session-timer; install -m 600 /dev/null /etc/session-timer/ami")
        self.companion.put("/etc/session-timer/ami", f"{password}\n")

    def give_key(self) -> None:
        """The edge's key, copied to the companion's host."""
        self.companion.shell("install -m 600 /dev/null /etc/session-timer/edge-key")
        self.companion.put("/etc/session-timer/edge-key", self.edge.read("/etc/kamailio/session-timer.key"))

    @contextmanager
    def call(self, name: str, scenario: str = "refreshed-by-us") -> Iterator[SippRun]:
        """A call of a scenario that the docs ship; ``name`` is its Call-ID. It is tracked when given."""
        inner = ["sipp", "-sf", f"/repo/docs/how-to/sipp/{scenario}.xml", "-s", NUMBER, "-m", "1"]
        inner += [
            "-i",
            self.stack.address(40),
            "-cid_str",
            name,
            "-nostdin",
            "-timeout",
            "120",
            "-timeout_error",
        ]
        inner += ["-trace_err", "-error_file", f"/tmp/{name}.err", self.stack.edge]  # noqa: S108  # inside it
        run = SippRun.start(self.stack.container("carrier"), name, inner)
        try:
            wait_until(lambda: not run.running or name in self.calls(), 20, f"{name} tracked")
            assert run.running, run.complaint() or self.edge.journal("kamailio")[-3000:]
            yield run
        except NotInTimeError as error:
            ours = [line for line in self.edge.journal("kamailio").splitlines() if "session timer" in line]
            raise AssertionError("\n".join([str(error), *ours, self.companion.journal(UNIT)])) from error
        finally:
            run.stop()

    def calls(self) -> set[str]:
        """The Call-IDs that the companion tracks."""
        return {each["call_id"] for each in json.loads(self.companion.shell("session-timer sessions --json"))}

    def refresh(self, call_id: str) -> str:
        """What the command says. Raises LabError unless the peer confirmed the refresh."""
        return self.companion.shell(f"session-timer refresh {call_id}")


def noninteractive(script: str) -> str:
    """The same with apt asking nobody, and from what has been fetched alone."""
    assert "apt " in script
    return script.replace("apt ", "DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends ")


def without_running(script: str) -> str:
    """Before the first start the doctor finds one thing amiss: that no companion answers."""
    return script.replace("session-timer doctor", "session-timer doctor || true; echo all well")


@contextmanager
def built(
    stack: Stack, suite: str, more: dict[Path, str] | None = None, *, companion: str = "trixie"
) -> Iterator[Site]:
    """The stack's Asterisk and carrier, and both hosts in place of its edge and its companion.

    ``companion`` is the suite of the companion's host, ``more`` are folders of ours that both hosts see.
    """
    stack.down()
    stack.compose("up", "-d", "--no-deps", "asterisk", "carrier")
    mounts = {**PACKAGES, **(more or {})}
    try:
        with (
            booted(stack, "edge", suite, 10, mounts) as edge,
            booted(stack, "companion", companion, 30, mounts) as beside_asterisk,
        ):
            wait_until(
                lambda: {_health(stack, service) for service in ("asterisk", "carrier")},
                60,
                "Asterisk and carrier",
                holds=lambda seen: seen == {"healthy"},
            )
            yield Site(stack, suite, edge, beside_asterisk)
    finally:
        stack.down()


def _health(stack: Stack, service: str) -> str:
    inspect = ["docker", "inspect", "-f", "{{.State.Health.Status}}", stack.container(service)]
    return subprocess.run(inspect, capture_output=True, text=True, check=False).stdout.strip()
