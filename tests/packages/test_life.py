"""From installation to purge, on clean hosts: each test finds what the one before has left."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.stack import Stack
from tests.lab.waiting import wait_until
from tests.packages.install_page import COMPANION_SETTINGS, EDGE_SETTINGS, commands
from tests.packages.site import UNIT, Site, built, noninteractive

OURS = "session-timer session-timer-kemi session-timer-compiled session-timer-companion"
REMARK = "# our own remark\n"


@pytest.fixture(scope="module", params=["trixie", "bookworm"])
def site(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Site]:
    with built(stack, request.param) as found:
        yield found


def test_the_steps_of_the_page_install_edge_and_companion(site: Site) -> None:
    site.install_edge()
    site.install_companion()
    assert site.edge.state("kamailio") == "active"
    assert site.companion.state(UNIT) == "active"
    assert "fault" not in site.edge.journal("kamailio")
    assert runs_compiled(site)


def test_a_call_is_refreshed(site: Site) -> None:
    with site.call("installed") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("installed")
        caller.check(20)
    wait_until(site.calls, 10, "no call", holds=lambda seen: seen == set())
    assert "fault in our code" not in site.edge.journal("kamailio")


def test_a_silent_caller_is_hung_up(site: Site) -> None:
    with site.call("silent", "falls-silent") as caller:
        caller.check(100)
    assert "silent" in [
        line.partition("call_id=")[2].partition(" ")[0]
        for line in site.companion.journal(UNIT).splitlines()
        if "hung_up" in line
    ]


def test_an_upgrade_keeps_settings_and_calls(site: Site) -> None:
    for host, path in ((site.edge, EDGE_SETTINGS), (site.companion, COMPANION_SETTINGS)):
        host.put(path, host.read(path) + REMARK)
    (install, restart) = commands("Upgrading")
    before = site.companion.shell(f"systemctl show --property=MainPID {UNIT}")
    with site.call("upgraded") as caller:
        site.companion.shell(f"cd /next/trixie; {noninteractive(only(install, 'companion'))}")
        assert site.companion.shell(f"systemctl show --property=MainPID {UNIT}") != before
        assert "confirmed" in site.refresh("upgraded")
        site.edge.shell(f"cd /next/{site.suite}; {noninteractive(only(install, 'kemi', 'compiled'))}")
        assert "confirmed" in site.refresh("upgraded")
        caller.check(20)
    site.edge.shell(restart)
    assert site.edge.state("kamailio") == "active"
    assert runs_compiled(site)
    for host, path in ((site.edge, EDGE_SETTINGS), (site.companion, COMPANION_SETTINGS)):
        assert host.read(path).endswith(REMARK)
        assert "9.9.9" in host.shell("dpkg-query -W -f '${Version}\n' session-timer")
    with site.call("after") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("after")
        caller.check(20)


def only(install: str, *parts: str) -> str:
    """The page's glob takes all packages of a folder; a host has the library and some of the others."""
    assert "session-timer*.deb" in install
    wanted = ["./session-timer_*.deb", *(f"./session-timer-{part}_*.deb" for part in parts)]
    return install.replace("./session-timer*.deb", " ".join(wanted))


def runs_compiled(site: Site) -> bool:
    """Whether Kamailio has our compiled modules in it."""
    maps = site.edge.shell("cat /proc/$(systemctl show --property=MainPID --value kamailio)/maps")
    assert "kamailio" in maps
    return "session_timer__mypyc" in maps


def test_without_the_compiled_modules_the_source_is_taken(site: Site) -> None:
    site.edge.shell(noninteractive("apt remove session-timer-compiled"))
    site.edge.shell("systemctl restart kamailio")
    assert not runs_compiled(site)
    with site.call("plain") as caller:
        for _ in range(2):
            assert "confirmed" in site.refresh("plain")
        caller.check(20)


def test_a_removal_leaves_the_settings_and_a_purge_nothing(site: Site) -> None:
    remove, purge = commands("Removing")[0].splitlines()
    site.companion.shell(noninteractive(remove))
    assert site.companion.state(UNIT) != "active"
    assert site.companion.read(COMPANION_SETTINGS).endswith(REMARK)
    # Its owner takes our lines out first.
    ours = "-e '/SESSION_TIMER/d' -e '/session-timer/d'"
    site.edge.shell(f"sed -i {ours} /etc/kamailio/kamailio.cfg")
    for host in (site.edge, site.companion):
        present = host.shell(f"dpkg-query -W -f '${{Package}}\\n' {OURS} 2>/dev/null || true").split()
        host.shell(noninteractive(re.sub(r"purge .*", f"purge {' '.join(present)}", purge)))
        left = host.shell(
            "find / -xdev \\( -name 'session_timer*' -o -name 'session-timer*' \\)"
            " -not -path '/var/cache/apt/*' -not -path '/packages/*' -not -path '/next/*'"
            " -not -path '/var/log/*' -not -path '/proc/*'"
        ).split()
        assert left in (["/etc/kamailio/session-timer.key"], ["/etc/session-timer"]), left
    # What its owner has put there is not the package's to remove.
    assert site.companion.shell("ls -A /etc/session-timer").split() == ["ami", "edge-key"]
    site.edge.shell("systemctl restart kamailio")
    assert site.edge.state("kamailio") == "active"
