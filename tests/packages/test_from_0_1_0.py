"""0.1.0 had no packages: hosts on which its files were copied by hand, as its pages said, get them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.parts.replicated_edges import added
from tests.lab.stack import ROOT, Stack
from tests.packages.install_page import COMPANION_SETTINGS, EDGE_ADDRESS, EDGE_SETTINGS, commands, routed
from tests.packages.site import UNIT, Site, built, noninteractive

RELEASE = "731edb2"
"""The commit of 0.1.0."""
OLD = ROOT / "out" / "deb-old"
UPGRADE = (ROOT / "docs/how-to/upgrade.md").read_text(encoding="utf-8")
SETTINGS = """# written for 0.1.0
session_timer: {{default_expires: 1800, min_se: 90}}
asterisk: [{asterisk}]
edge: {{rpc: "udp:{edge}:8090"}}
"""
COMPANION = """companion:
  ami:
    - {{name: ast1, host: {asterisk}, secret_credential: ami}}
"""


@pytest.fixture(scope="module")
def old() -> Path:
    """The files of 0.1.0."""
    OLD.mkdir(parents=True, exist_ok=True)
    archive = ["git", "-C", str(ROOT), "archive", RELEASE, "pylib", "kamailio", "asterisk", "docs"]
    files = subprocess.run(archive, capture_output=True, check=False)
    assert files.returncode == 0, f"this test needs the repository's history: {files.stderr.decode()}"
    subprocess.run(["tar", "-x", "-C", str(OLD)], input=files.stdout, check=True)
    return OLD


@pytest.fixture(scope="module", params=["trixie", "bookworm"])
def site(request: pytest.FixtureRequest, stack: Stack, old: Path) -> Iterator[Site]:
    """Both hosts with 0.1.0, which runs."""
    with built(stack, request.param, {old: "/old"}) as found:
        copy_edge(found, old)
        copy_companion(found)
        yield found


def settings(site: Site) -> str:
    return SETTINGS.format(edge=site.stack.edge, asterisk=site.stack.asterisk)


def copy_edge(site: Site, old: Path) -> None:
    page = (old / "docs/how-to/native.md").read_text(encoding="utf-8")
    install, _ = re.findall(r"(?:^ {7}.*\n)+", page, re.MULTILINE)
    assert "session_timer_kemi" in install
    site.edge.shell(f"cd /old; {noninteractive(install.replace('apt-get', 'apt'))}")
    site.edge.put(EDGE_SETTINGS, settings(site))
    stock = site.edge.read("/etc/kamailio/kamailio.cfg")
    config = routed(added(stock, page.replace("198.18.0.10", site.stack.edge)), site.stack)
    site.edge.put("/etc/kamailio/kamailio.cfg", config)
    site.edge.shell("systemctl restart kamailio")


def copy_companion(site: Site) -> None:
    page = Path(OLD / "asterisk/README.md").read_text(encoding="utf-8")
    install = re.search(r" {7}apt install (?:.*\n)+? {7}cp -r pylib.*\n", page)
    assert install
    site.companion.shell(f"cd /old; {noninteractive(install[0])}")
    site.companion.put(
        "/usr/local/bin/session-timer", '#!/bin/sh\nexec python3 -m session_timer_companion "$@"\n'
    )
    site.give_password()
    site.companion.put(COMPANION_SETTINGS, settings(site) + COMPANION.format(asterisk=site.stack.asterisk))
    site.companion.shell(
        "chmod +x /usr/local/bin/session-timer"
        " && cp /old/asterisk/systemd/session-timer-companion.service /etc/systemd/system/"
        " && systemctl enable --now session-timer-companion"
    )


def test_what_was_copied_is_replaced_and_the_settings_stay(site: Site) -> None:
    with site.call("by-hand") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("by-hand")
        caller.check(20)
    site.companion.shell("rm /usr/local/bin/session-timer")

    said = site.edge.shell(f"cd /packages/{site.suite}; {keeping(commands('The edge')[0])}")
    assert "/etc/kamailio/session_timer_kemi was copied by hand" in said
    of_edge, of_companion, restart = commands("From files that were copied by hand")
    of_kamailio, of_service = restart.splitlines()
    site.edge.shell(of_edge)
    site.edge.edit("/etc/kamailio/kamailio.cfg", {'"session-timer-native.cfg"': f'"{packaged(site)}"'})
    site.edge.shell(commands("The edge")[1])
    as_upgrade_says(site)
    site.edge.shell(of_kamailio)

    modules, unit = of_companion.splitlines()
    site.companion.shell(modules)
    said = site.companion.shell(f"cd /packages/trixie; {keeping(commands('The companion')[0])}")
    assert f"{UNIT}.service was copied by hand" in said
    site.companion.shell(f"{unit}\n{of_service}")
    for host, path in ((site.edge, EDGE_SETTINGS), (site.companion, COMPANION_SETTINGS)):
        assert host.read(path).startswith("# written for 0.1.0\n")

    with site.call("packaged") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("packaged")
        caller.check(20)
    for host, path in ((site.edge, EDGE_SETTINGS), (site.companion, COMPANION_SETTINGS)):
        changed = host.shell("dpkg --verify | grep -F session-timer || true").split()
        assert changed == ["??5??????", "c", path]


def as_upgrade_says(site: Site) -> None:
    """docs/how-to/upgrade.md: the key, the lines of `edge`, and no JSON-RPC for the companion."""
    (wanted, kamailio) = re.findall(r"```diff\n(.*?)```", UPGRADE, re.DOTALL)
    old = f'edge: {{rpc: "udp:{site.stack.edge}:8090"}}'
    new = [line[1:] for line in wanted.splitlines() if line.startswith("+")]
    lines = "\n".join(["edge:", *new]).replace(EDGE_ADDRESS, site.stack.edge)
    site.edge.edit(EDGE_SETTINGS, {old: lines})
    site.companion.edit(
        COMPANION_SETTINGS, {old: lines.replace("key_file: session-timer.key", "key_credential: edge-key")}
    )
    site.give_key()
    socket = next(line[1:] for line in kamailio.splitlines() if "dgram_socket" in line)
    socket = socket.replace(EDGE_ADDRESS, site.stack.edge)
    site.edge.edit("/etc/kamailio/kamailio.cfg", {f"{socket}\n": ""})


def packaged(site: Site) -> str:
    return site.edge.shell("dpkg -L session-timer-kemi | grep native.cfg").strip()


def keeping(install: str) -> str:
    """The page's way of having no question asked about the settings."""
    return noninteractive(install).replace(" install ", " install -o Dpkg::Options::=--force-confold ", 1)
