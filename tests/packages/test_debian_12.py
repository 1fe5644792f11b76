"""The companion on Debian 12, in a venv as asterisk/README.md says, under that release's systemd (252).

Each test finds the service running as the README's steps leave it, and leaves it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.install_steps import fenced, step, typed
from tests.lab.parts.clean_host import CleanHost
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import wait_until
from tests.packages.install_page import ASTERISK_ADDRESS, COMPANION_SETTINGS, EDGE_ADDRESS
from tests.packages.site import UNIT, Site, built, noninteractive

CHECKOUT = {
    ROOT / "pylib": "/checkout/pylib",
    ROOT / "asterisk": "/checkout/asterisk",
    ROOT / "out" / "wheels" / "companion": "/wheels",
}
FROM_OURS = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels"
"""The host asks no registry: docker/test-debs has fetched what pip wants."""
UNKNOWN_TO_IT = ("RestartSteps", "RestartMaxDelaySec")
"""What systemd 252 does not know, and says so."""
TOKEN = "a-token-of-this-test-that-is-long-enough"  # noqa: S105


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    """Kamailio from our packages, and the companion by the steps of asterisk/README.md."""
    with built(stack, "bookworm", CHECKOUT, companion="bookworm") as found:
        found.install_edge()
        install(found)
        yield found


def install(site: Site) -> None:
    host = site.companion
    host.shell(noninteractive("apt install python3-venv"))
    # setuptools builds in the folder that it is given, and the mounted one cannot be written.
    host.shell("cp -r /checkout /root/checkout")
    _, into_a_venv = typed(step(1))
    host.shell(f"cd /root/checkout; {FROM_OURS}\n{into_a_venv}", timeout=300)
    site.give_password()
    site.give_key()
    settings = fenced(step(5), "yaml")
    addresses = {EDGE_ADDRESS: site.stack.edge, ASTERISK_ADDRESS: site.stack.asterisk}
    for example, real in {**addresses, "127.0.0.1": site.stack.asterisk}.items():
        assert example in settings
        settings = settings.replace(example, real)
    host.put(COMPANION_SETTINGS, settings)
    (look,) = typed(step(6))
    assert "valid" in host.shell("\n".join(line for line in look.splitlines() if "doctor" not in line))
    host.shell(f"mkdir -p /etc/systemd/system/{UNIT}.service.d")
    host.put(f"/etc/systemd/system/{UNIT}.service.d/override.conf", fenced(step(7), "ini"))
    host.shell(f"cd /root/checkout\n{typed(step(7))[0]}")


@pytest.fixture(autouse=True)
def runs(site: Site) -> Iterator[None]:
    site.companion.shell(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    yield
    said = site.companion.journal(UNIT)
    assert "internal_error" not in said
    assert "Traceback" not in said


@contextmanager
def changed(host: CleanHost, settings: str) -> Iterator[None]:
    """The service with other settings, not started yet."""
    before = host.read(COMPANION_SETTINGS)
    host.shell(f"systemctl stop {UNIT}")
    host.put(COMPANION_SETTINGS, settings)
    try:
        yield
    finally:
        host.put(COMPANION_SETTINGS, before)


@contextmanager
def without(host: CleanHost, file: str) -> Iterator[None]:
    """The service without one of its files, not started yet."""
    host.shell(f"systemctl stop {UNIT}; mv {file} {file}.away")
    try:
        yield
    finally:
        host.shell(f"mv {file}.away {file}")


def unit(host: CleanHost, name: str) -> str:
    return host.shell(f"systemctl show --property={name} --value {UNIT}").strip()


def fails_for_good(host: CleanHost) -> str:
    """A start ends with an error and is not tried again; what the journal says of it."""
    before = host.journal(UNIT)
    with pytest.raises(LabError):
        host.shell(f"systemctl start {UNIT}")
    wait_until(lambda: host.state(UNIT), 10, "the unit's state", holds=lambda seen: seen == "failed")
    assert unit(host, "NRestarts") == "0"
    return host.journal(UNIT).removeprefix(before)


def test_it_starts_and_refreshes_a_call(site: Site) -> None:
    """Without a token's file: the stand-in that the unit has takes its place."""
    host = site.companion
    assert host.shell("systemctl --version").split()[1] == "252"
    assert host.state(UNIT) == "active"
    assert host.shell("ls /etc/session-timer").split() == ["ami", "edge-key", "session-timer.yaml"]
    assert host.shell(f"ls /run/credentials/{UNIT}.service").split() == ["ami", "edge-key", "http-token"]
    with site.call("in-a-venv") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("in-a-venv")
        caller.check(20)


def test_all_that_its_systemd_does_not_know_is_what_the_unit_says(site: Site) -> None:
    said = site.companion.shell(f"systemd-analyze verify /etc/systemd/system/{UNIT}.service 2>&1 || true")
    unknown = re.findall(r"Unknown key '(\w+)'", said)
    assert sorted(unknown) == sorted(UNKNOWN_TO_IT)
    assert len(said.splitlines()) == len(UNKNOWN_TO_IT), said
    text = site.companion.read(f"/etc/systemd/system/{UNIT}.service")
    assert "systemd before 254 does not know the two lines" in text


def test_a_reload_is_heard(site: Site) -> None:
    """This host has nothing that Debian's smallest installation lacks: no program `kill` either."""
    host = site.companion
    before = host.journal(UNIT).count("event=reloaded")
    host.shell(f"systemctl reload {UNIT}")
    wait_until(
        lambda: host.journal(UNIT).count("event=reloaded"), 10, "a reload", holds=lambda it: it > before
    )


def test_it_is_started_again_at_once_when_it_dies(site: Site) -> None:
    host = site.companion
    old = unit(host, "MainPID")
    host.shell(f"kill -9 {old}")
    wait_until(
        lambda: (unit(host, "MainPID"), host.state(UNIT)),
        10,
        "another process",
        holds=lambda seen: seen[0] not in ("0", old) and seen[1] == "active",
    )


def test_a_token_is_handed_over_and_one_that_is_missing_is_told(site: Site) -> None:
    host = site.companion
    settings = host.read(COMPANION_SETTINGS) + "  http: {token_credential: http-token}\n"
    with changed(host, settings):
        said = fails_for_good(host)
        assert "companion.http: token is missing: systemd found no file for http-token" in said
        host.shell("umask 077; touch /etc/session-timer/http-token")
        host.put("/etc/session-timer/http-token", f"{TOKEN}\n")
        host.shell(f"systemctl restart {UNIT}")
        with pytest.raises(LabError, match="wants a token"):
            host.shell("session-timer sessions")
        assert "0 calls tracked" in host.shell(
            "CREDENTIALS_DIRECTORY=/etc/session-timer session-timer sessions"
        )
        host.shell(f"systemctl stop {UNIT}; rm /etc/session-timer/http-token")


def test_a_key_that_is_missing_is_told(site: Site) -> None:
    with without(site.companion, "/etc/session-timer/edge-key"):
        said = fails_for_good(site.companion)
    assert "edge.key_credential: key is missing: systemd found no file for edge-key" in said


def test_without_any_edge_no_key_is_needed(site: Site) -> None:
    host = site.companion
    alone = f"""session_timer: {{default_expires: 1800, min_se: 90}}
companion:
  ami:
    - {{name: ast1, host: {site.stack.asterisk}, secret_credential: ami, alone: true}}
"""
    with changed(host, alone), without(host, "/etc/session-timer/edge-key"):
        host.shell(f"systemctl start {UNIT}")
        assert "0 calls tracked" in host.shell("session-timer sessions")
        host.shell(f"systemctl stop {UNIT}")


def test_a_password_whose_file_is_missing_is_not_tried_for_ever(site: Site) -> None:
    with without(site.companion, "/etc/session-timer/ami"):
        assert "credentials" in fails_for_good(site.companion)
