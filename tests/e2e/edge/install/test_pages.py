"""The pages that show what to add to one's own configuration are true, and what they add is little."""

from __future__ import annotations

import os
import re

import pytest

from tests.lab.stack import ROOT, Stack

MOST_LINES = 13
OF_THE_LAB = {
    'os.environ["SESSION_TIMER_CONFIG"]': '"/etc/kamailio/session-timer.yaml"',
    "return DONE": "return 1",
    "self._relay()": "self.ksr_route_relay(msg)",
}
"""What the tested script has of its own, and what the page says in its place."""
_BLOCK = re.compile(r"^```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[list[str]]:
    """The lines of each diff block, with their first column."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    found = [block.splitlines() for block in _BLOCK.findall(text)]
    assert found, page
    return found


@pytest.mark.parametrize("page", ["native.md", "kemi.md"])
def test_few_lines_are_added(page: str) -> None:
    added = [row for block in blocks(page) for row in block if row.startswith("+")]
    assert 0 < len(added) <= MOST_LINES
    assert not [row for block in blocks(page) for row in block if row.startswith("-")]


def test_lines_of_the_kemi_page_are_all_that_the_tested_script_has_of_us() -> None:
    script = (ROOT / "docker" / "edge" / "kamailio.py").read_text(encoding="utf-8")
    for own, shown in OF_THE_LAB.items():
        script = script.replace(own, shown)
    rest = script
    for block in blocks("kemi.md"):
        shown = "".join(f"{row[1:]}\n" for row in block)
        assert shown in script, shown
        added = "".join(f"{row[1:]}\n" for row in block if row.startswith("+"))
        rest = rest.replace(added, "", 1)
    # What is left is no part of the ten lines: the opt-in for BYE at expiry, and what names a peer.
    code = rest.split("def ksr_session_timer_expired")[0].split('"""', 2)[2]
    assert "timers" not in code.lower(), code


@pytest.mark.smoke
def test_kamailio_finds_the_configuration_good(stack: Stack) -> None:
    native = os.environ.get("EDGE_CONFIG") == "native"
    config = "/run/native/kamailio.cfg" if native else "/etc/kamailio/kamailio.cfg"
    said = stack.exec("edge", "sh", "-c", f"kamailio -c -E -f {config} 2>&1")
    assert "config file ok" in said
    command = "ss -ltn | grep 5060"
    for page in ("native.md", "kemi.md"):
        assert f"    {command}\n" in (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    assert stack.exec("edge", "sh", "-c", command).startswith("LISTEN")
    for complaint in ("ERROR", "CRITICAL"):
        assert complaint not in said
