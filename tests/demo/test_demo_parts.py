"""Waiting, SIPp's command line, the page and the countdown."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from demo.acts import ACTS
from demo.checks import equal
from demo.deadline import Deadline, Due
from demo.page import ActShown, page
from demo.telling import countdown

from tests.lab.sipp import command
from tests.lab.stack import LabError, Stack
from tests.lab.waiting import NotInTimeError, wait_until

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "docker" / "carrier" / "scenarios").glob("*.xml"))


def test_waiting_returns_what_was_seen() -> None:
    looks = iter([0, 0, 7])

    assert wait_until(lambda: next(looks), 5, "a seven", pause=0) == 7


def test_waiting_says_what_was_expected_and_seen_last() -> None:
    with pytest.raises(NotInTimeError, match=r"expected within 0 s: a call; last seen: \[\]"):
        wait_until(list, 0, "a call", pause=0)


def test_waiting_by_another_measure() -> None:
    looks = iter([1, 2, 3])

    assert wait_until(lambda: next(looks), 5, "three", holds=lambda seen: seen == 3, pause=0) == 3


def test_command_line_of_a_caller() -> None:
    words = command(
        "/s/uac.xml",
        source="198.18.0.42",
        port=5060,
        target="198.18.0.10:5060",
        keys={"interval": 12, "ask": ""},
        call_id="call-1",
        timeout=30,
        error_file="/tmp/e",  # noqa: S108 - a word of the command
    )

    assert words[0] == "sipp"
    assert words[-1] == "198.18.0.10:5060"
    assert {"-nostdin", "-timeout_error", "-trace_err"} <= set(words)
    assert "-aa" not in words
    first = words.index("-key")
    assert words[first : first + 6] == ["-key", "interval", "12", "-key", "ask", ""]
    assert words[words.index("-cid_str") + 1] == "call-1"


def test_command_line_of_a_called_side() -> None:
    words = command(
        "/s/uas.xml",
        source="198.18.0.42",
        port=5060,
        target=None,
        keys={},
        call_id=None,
        timeout=30,
        error_file="e",
    )

    assert words[-1] == "e"
    assert "-cid_str" not in words


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_well_formed_and_names_its_keys(path: Path) -> None:
    text = path.read_text()
    scenario = ET.fromstring(text)  # noqa: S314 - our own file
    header = text[: text.index("<scenario")]

    assert scenario.get("name")
    for key in ("to", "interval", "ask", "asked", "allow", "count", "hold", "period", "min_se", "refresher"):
        described = f"\n    {key:<9} " in header
        assert described == (f"[{key}]" in text), key


def test_every_call_of_the_demo_gives_its_scenario_all_keys() -> None:
    for act in ACTS:
        for call in act.calls:
            header = (ROOT / f"docker/carrier/scenarios/{call.scenario}.xml").read_text().partition("-->")[0]
            wanted = {row.split()[0] for row in header.partition("Keys")[2].splitlines()[1:] if row.strip()}
            assert set(call.keys) == wanted, call.name


def test_page_counts_and_escapes() -> None:
    good = ActShown(1, "One", "First.", "<svg/>", (equal("a", 1, 1),))
    bad = ActShown(2, "Two <b>", "Second & last.", "<svg/>", (equal("cause", "102", "<none>"),))

    text = page([good, bad])

    assert "1 of 2 acts passed" in text
    assert "Two &lt;b&gt;" in text
    assert "&lt;none&gt;" in text
    assert text.count("<svg/>") == 2
    assert not _outside_resources(text)


def test_an_act_without_checks_has_not_passed() -> None:
    assert not ActShown(1, "", "", "", ()).passed


def test_countdown() -> None:
    deadline = Deadline(Due.OUR_REFRESH, at=1006.0, interval=12, since=1000.0)

    assert countdown(None, 1000.0).plain == ""
    assert "4.5 s  next refresh by Asterisk" in countdown(deadline, 1001.5).plain
    assert "0.0 s" in countdown(deadline, 1009.0).plain


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LabError, match=r"Docker does not answer: docker: .*\n.*install-engine"):
        Stack().is_up()


def test_a_complaint_of_docker_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(LabError, match="Cannot connect to the daemon"):
        Stack().is_up()


def test_the_stack_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mine")
    monkeypatch.setenv("LAB_NET", "198.18.7")
    monkeypatch.delenv("LAB_SIP_PORT", raising=False)

    mine = Stack.from_environment()

    assert (mine.edge, mine.asterisk, mine.container("edge")) == ("198.18.7.10", "198.18.7.20", "mine-edge")
    assert mine.sip_port == "5060"


def _outside_resources(text: str) -> list[str]:
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(f"{tag} {name}" for name, _ in attrs if name in {"src", "href"})

    Reader().feed(text)
    return found
