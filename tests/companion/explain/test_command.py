"""``session-timer explain`` as a person and a program use it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from session_timer import Policy
from session_timer.config import EdgeSettings
from session_timer_companion.cli import main
from session_timer_companion.explain import command
from session_timer_companion.explain.judging.rules import Rule
from session_timer_companion.explain.telling.sentences import WORDS

from tests.companion.explain import scenario, writers
from tests.companion.explain.scenario import lawful
from tests.companion.explain.writers import datagrams, pcap, written

ROOT = Path(__file__).parents[3]
BROKEN = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok").plus(*scenario.bye(1771, by=1))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def test_a_lawful_call(tmp_path: Path) -> None:
    result = run(written(tmp_path / "a.pcap", lawful().direct()))

    assert result.exit_code == 0
    assert "200 to INVITE (CSeq 1): 1800 s, 198.18.81.42 refreshes" in result.output
    assert "UPDATE by 198.18.81.42, 200 after 0.02 s" in result.output
    assert "No fault was found" in result.output
    assert "│──── UPDATE ───▶│  Session-Expires: 1800;refresher=uac" in result.output


def test_a_broken_call_is_told_with_rule_reason_and_change(tmp_path: Path) -> None:
    result = run(written(tmp_path / "a.pcap", BROKEN.direct()))

    assert result.exit_code == 1
    for words in (
        "198.18.81.42 had to refresh the call and did not.",
        "UAC-7.2-15, UAS-9-21 (RFC 4028 section 7.2 and 9)",
        "no refresh; the callee hung up after 1768 of 1800 s",
        "a refresh by the caller at 900 s",
        "Please refresh calls on which you agreed to be the refresher",
        "timers=yes on the endpoint",
        "probe: true",
        "1 call: a rule was broken",
    ):
        assert words in result.output


def test_our_own_part_is_told_what_to_look_at(tmp_path: Path) -> None:
    trace = written(tmp_path / "a.pcap", BROKEN.direct())

    result = run(trace, "--ours", scenario.CARRIER)

    assert "in your own setup: session-timer doctor" in result.output
    assert "to whoever runs it" not in result.output


def test_asterisk_is_known_by_its_name(tmp_path: Path) -> None:
    script = lawful().rows("ok", Require=None, Server="Asterisk PBX 20.5.0")

    result = run(written(tmp_path / "a.pcap", script.direct()))

    changes = re.findall(r"change  (.*?):", result.output)
    assert changes[0] == "if that is your Asterisk"


def test_json_has_all_of_it(tmp_path: Path) -> None:
    result = run(written(tmp_path / "a.pcap", BROKEN.direct()), "--json")
    (call,) = json.loads(result.output)

    assert result.exit_code == 1
    assert call["call_id"] == "call-1@carrier.example"
    assert call["broken"] is True
    (verdict,) = call["verdicts"]
    assert verdict["rule"] == "no-refresh"
    assert verdict["requirements"] == ["UAC-7.2-15", "UAS-9-21"]
    assert verdict["by"]["address"] == scenario.CARRIER
    assert verdict["change"][0]["line"]
    assert call["dialogs"][0]["agreed"][0]["interval"] == 1800
    assert call["ended"]["lasted"] == pytest.approx(1768)


def test_json_of_nothing_is_a_list_too(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([]))
    asked = run(path, "--json")
    assert json.loads(asked.stdout) == []
    assert "no SIP in it" in asked.stderr


def test_one_call_of_many(tmp_path: Path) -> None:
    other = replace(BROKEN, call_id="call-2@carrier.example")
    trace = written(tmp_path / "a.pcap", scenario.in_order([*lawful().direct(), *other.direct()]))

    assert run(trace, "--call", "call-1@carrier.example").exit_code == 0
    assert run(trace, "--call", "call-2@carrier.example").exit_code == 1
    absent = run(trace, "--call", "call-3")
    assert absent.exit_code == 2
    assert absent.output == f"session-timer: {trace}: no call in it has the Call-ID call-3\n"


@pytest.mark.parametrize("wrong", ["bad..addr", "carrier.example", "192.0.2.10:5060", ""])
def test_an_address_of_ours_that_can_match_nothing_is_an_error(tmp_path: Path, wrong: str) -> None:
    result = run(written(tmp_path / "a.pcap", lawful().direct()), "--ours", wrong)
    assert result.exit_code == 2
    assert "Invalid value for '--ours'" in result.output
    assert "as the capture has it" in result.output


def test_many_calls_without_a_fault_have_one_line_each(tmp_path: Path) -> None:
    scripts = [replace(lawful(), call_id=f"call-{n}@carrier.example") for n in range(15)]
    trace = written(
        tmp_path / "a.pcap", scenario.in_order(sent for each in scripts for sent in each.direct())
    )

    short, long = run(trace), run(trace, "--all")

    assert short.output.count("Hop  ") == command.FEW
    assert long.output.count("Hop  ") == 15
    assert "15 calls: no rule was broken" in short.output


def test_pictures_and_page(tmp_path: Path) -> None:
    nasty = replace(BROKEN, call_id="<b>&\x1b[31m@carrier.example")
    trace = written(tmp_path / "a.pcap", nasty.direct())

    result = run(trace, "--svg", tmp_path / "svg", "--html", tmp_path / "page.html")

    assert result.exit_code == 1
    assert "\x1b" not in result.output
    (picture,) = (tmp_path / "svg").iterdir()
    root = ET.fromstring(picture.read_text())  # noqa: S314 - our own text
    assert root.tag.endswith("svg")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "&lt;b&gt;&amp;\\u001b[31m" in page
    assert "<svg" in page
    assert not re.search(r'(?:src|href)="(?!#call-)', page)  # it loads nothing


def test_two_legs_are_told_together(tmp_path: Path) -> None:
    """Asterisk calls on, with a Call-ID of its own; between the two another call ends."""
    first = lawful()
    second = replace(
        lawful(),
        call_id="leg-2@pbx.example",
        caller=scenario.PBX,
        callee="198.18.81.77",
        numbers=("pbx", "+441632960001"),
    )
    third = replace(scenario.without_timer(), call_id="call-3@carrier.example")
    later = [replace(sent, time=sent.time + 0.3) for sent in second.direct()]
    trace = written(tmp_path / "a.pcap", scenario.in_order([*first.direct(), *later, *third.direct()]))

    result = run(trace)

    assert re.findall(r"^Call \d+   (\S+)", result.output, re.MULTILINE) == [
        "call-3@carrier.example",
        "call-1@carrier.example",
        "leg-2@pbx.example",
    ]
    assert "The same call has another leg: leg-2@pbx.example" in result.output
    assert "The same call has another leg: call-1@carrier.example" in result.output
    _, _, both = result.output.partition("All 2 legs")
    heads = both.splitlines()[1].split()
    assert heads == [scenario.CARRIER, scenario.PBX, "198.18.81.77"]
    assert both.count("INVITE") == 2
    assert re.search(r"^   0.300 +│ +│──── INVITE ───▶│", both, re.MULTILINE)


def test_a_leg_that_names_the_other_in_a_header(tmp_path: Path) -> None:
    named = replace(
        lawful(),
        call_id="leg-2",
        caller="198.18.81.90",
        callee="198.18.81.91",
        numbers=("a", "b"),
        more_rows=(("X-Call-ID", "call-1@carrier.example"),),
    )
    trace = written(tmp_path / "a.pcap", scenario.in_order([*lawful().direct(), *named.direct()]))

    assert "another leg: leg-2" in run(trace).output


@pytest.mark.parametrize("data", [b"", b"hello\n"])
def test_a_file_that_shows_no_sip_is_one_line_and_status_2(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(data)

    result = run(path)

    assert result.exit_code == 2
    assert result.output.startswith("session-timer: ")
    assert result.output.count("\n") == 1


def test_a_capture_without_a_call(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    options = [sent for sent in lawful().direct() if sent.text.startswith(b"INVITE")]
    text = options[0].text.replace(b"INVITE", b"OPTIONS")
    path.write_bytes(pcap(datagrams([replace(options[0], text=text)])))

    result = run(path)

    assert result.exit_code == 2
    assert result.output == "There is no call in it: 1 SIP message in 1 packet.\n"


def test_a_capture_without_sip_is_no_proof_that_nobody_broke_a_rule(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    rtp = replace(lawful().direct()[0], text=b"\x80" + bytes(171))
    path.write_bytes(pcap(datagrams([rtp])))
    for options in ((), ("--json",), ("--call", "call-1"), ("--anonymize",)):
        result = run(path, *options)
        assert result.exit_code == 2, options
        assert "There is no SIP in it" in result.output


def test_what_is_wrong_with_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(datagrams(lawful().direct()))[:-7])
    assert "it was cut off" in run(path).output
    path.write_bytes(
        pcap(writers.tcp(lawful().direct(), port=5061, wrap=lambda _one: b"\x16\x03\x01" + bytes(50)))
    )
    assert "1 connection with TLS" in run(path).output


def test_the_page_says_first_how_many_calls_broke_a_rule_and_leads_to_them(tmp_path: Path) -> None:
    trace = written(
        tmp_path / "a.pcap",
        scenario.in_order([*lawful().direct(), *replace(BROKEN, call_id="other").direct()]),
    )
    run(trace, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    (number,) = re.findall(r'<h2 id="call-(\d)">\d\. other</h2>', page)
    summary = '<p class="bad first"><b>2 calls: in 1 of them a rule was broken</b><br>'
    assert f'{summary}<a href="#call-{number}">{number}</a></p>' in page
    assert "<th></th></tr>" not in page


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    result = run(written(tmp_path / "a.pcap", lawful().direct()), "--html", tmp_path / "none" / "page.html")
    assert result.exit_code == 2
    assert "cannot be written" in result.output


def test_a_bar_for_a_big_file_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "big.pcap"
    noise = writers.packet("198.18.81.1", "198.18.81.2", 17, b"\x27\x10\x27\x12\x20\0\0\0\x80" + bytes(8000))
    path.write_bytes(pcap((scenario.START + n / 100, noise) for n in range(command.BIG // 8000 + 100)))
    reader, writer = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "session_timer_companion.explain", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/asterisk:{ROOT}/pylib", "TERM": "xterm"},
    )
    os.close(writer)
    shown = b""
    try:
        while part := os.read(reader, 65536):
            shown += part
    except OSError:
        pass  # the terminal is gone with its last writer
    os.close(reader)

    assert running.wait(30) == 2  # no call is in it
    assert b"%" in shown


def test_nothing_of_the_daemon_is_loaded(tmp_path: Path) -> None:
    trace = written(tmp_path / "a.pcap", lawful().direct())
    unwanted = ("panoramisk", "structlog", "prometheus_client", "pydantic", "aiohttp", "yaml")
    program = (
        "import sys\n"
        f"for name in {unwanted!r}: sys.modules[name] = None\n"
        "from session_timer_companion.explain.command import command\n"
        f"command([{str(trace)!r}])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/asterisk:{ROOT}/pylib"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "No fault was found" in ran.stdout


def test_dpkt_is_loaded_by_nothing_but_a_capture(tmp_path: Path) -> None:
    program = (
        "import sys, session_timer_companion.cli, session_timer_companion.explain.command\n"
        "print('dpkt' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}/asterisk:{ROOT}/pylib"}
    assert (
        subprocess.check_output([sys.executable, "-c", program], env=env, text=True, cwd=tmp_path)
        == "False\n"
    )


def test_every_rule_has_its_words() -> None:
    assert set(WORDS) == set(Rule)
    for words in WORDS.values():
        assert "{who}" in words.what
        assert words.carrier
        assert not words.what.endswith(".")


def test_every_key_that_is_advised_exists() -> None:
    """Of a profile, and of the edge's section."""
    keys = set(Policy.__dataclass_fields__)
    advised = " ".join(f"{words.around} {words.around_update} {words.own}" for words in WORDS.values())
    for section, key in re.findall(r"(?:\b(edge|session_timer)\.)?\b([a-z]+(?:_[a-z0-9]+)+):? ", advised):
        if key not in ("loose_route", "connected_line_method"):
            assert key in (set(EdgeSettings.__dataclass_fields__) if section == "edge" else keys), key


def test_the_help_of_the_command_is_its_own() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "--anonymize" in result.output
    assert "explain" in CliRunner().invoke(main, ["--help"]).output


def test_a_verdict_stands_in_the_ladder_where_it_belongs(tmp_path: Path) -> None:
    lines = run(written(tmp_path / "a.pcap", lawful().rows("ok", Require=None).direct())).output.splitlines()

    at = next(number for number, line in enumerate(lines) if "⋯ broken: require-missing" in line)
    assert lines[at].endswith("by 198.18.81.20")
    assert any("200 ──" in line for line in lines[at - 3 : at])


def test_a_long_address_is_shown_by_its_end(tmp_path: Path) -> None:
    six = replace(lawful(), caller="2001:db8:aaaa:bbbb:cccc::42", callee="2001:db8:aaaa:bbbb:cccc::20")

    output = run(written(tmp_path / "a.pcap", six.direct())).output

    assert "…aa:bbbb:cccc::42" in output
    assert "│──── UPDATE ───▶│" in output


def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path: Path) -> None:
    scripts = [replace(BROKEN, call_id=f"call-{n}@carrier.example") for n in range(200)]
    trace = written(
        tmp_path / "a.pcap", scenario.in_order(sent for each in scripts for sent in each.direct())
    )
    for options in ("", "--json", "--anonymize"):
        ran = subprocess.run(
            [
                "bash",
                "-c",
                f"{sys.executable} -m session_timer_companion.explain {trace} {options} | head -n 1",
            ],
            env={**os.environ, "PYTHONPATH": f"{ROOT}/asterisk:{ROOT}/pylib"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.count("\n") == 1
        assert ran.stderr == ""


def test_what_cut_the_call_comes_before_what_did_no_harm(tmp_path: Path) -> None:
    script = BROKEN.rows("ok", Min_SE="90", Server="sofia")

    output = run(written(tmp_path / "a.pcap", script.direct())).output

    assert "A rule was broken: 198.18.81.42 had to refresh the call and did not. And 1 more." in output
