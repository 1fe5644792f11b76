"""What the doctor makes of what it saw: every finding says what, why and the line to change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer import Config, validate
from session_timer_companion.channels.abilities import PLACED_HEADER
from session_timer_companion.config import load
from session_timer_companion.doctor.asterisk import NEEDED, AsteriskFacts, of_asterisk
from session_timer_companion.doctor.companion import CompanionFacts, of_companion, of_configuration
from session_timer_companion.doctor.edge import IN_A_SLOT, EdgeFacts, of_edge, size_for
from session_timer_companion.doctor.finding import Finding, Level
from session_timer_companion.edge.replies import Table

GOOD = {
    "timers": "no",
    "send_connected_line": "yes",
    "send_pai": "true",
    "send_rpid": "false",
    "trust_id_outbound": "true",
    "connected_line_method": "update",
}
"""As `PJSIP_ENDPOINT` of Asterisk 22 tells them."""

ASTERISK = AsteriskFacts(
    "ast1",
    "198.18.0.20:5038",
    actions=frozenset(NEEDED),
    endpoints={"carrier": GOOD},
    calls=2,
    moved=True,
    heard=True,
)
EDGE = EdgeFacts(
    "edge-1",
    "http://198.18.0.10:5060",
    clock="edge-host",
    running=True,
    stats={"faults": 0, "refreshed_local": 3},
)
COMPANION = CompanionFacts("http://127.0.0.1:8080", running=True, version="0.1.0")


ROOT = Path(__file__).parents[3]


def problems(findings: Iterable[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.level is Level.PROBLEM]
    assert all(finding.why for finding in found), "every problem says why it matters"
    return found


def only(findings: Iterable[Finding]) -> Finding:
    (problem,) = problems(findings)
    return problem


def config(**session_timer: object) -> Config:
    return validate({"session_timer": session_timer}, "test")


def test_a_good_world_has_no_problem() -> None:
    found = [*of_asterisk(ASTERISK, Config()), *of_edge(EDGE), *of_companion(COMPANION, "0.1.0")]
    assert {finding.level for finding in found} == {Level.OK}


def test_a_refused_login_is_all_there_is_to_say() -> None:
    (found,) = of_asterisk(AsteriskFacts("ast1", "h:5038", unreachable="wrong password"), Config())
    assert found.level is Level.PROBLEM
    assert "wrong password" in found.what


@pytest.mark.parametrize("action", NEEDED)
def test_each_lacking_privilege_is_named_with_its_line(action: str) -> None:
    found = only(of_asterisk(replace(ASTERISK, actions=ASTERISK.actions - {action}), Config()))
    assert action in found.what
    assert found.change == "write = call,reporting"
    assert "manager.d" in found.file


def test_a_function_that_asterisk_lacks_is_named_with_its_module_and_the_release_that_has_it() -> None:
    facts = replace(ASTERISK, release="16.16.1", lacks=frozenset({PLACED_HEADER}))
    found = only(of_asterisk(facts, Config()))
    assert found.what == "release 16.16.1 has no function PJSIP_RESPONSE_HEADER"
    assert "res_pjsip_header_funcs.so" in found.change
    assert found.change.endswith("Asterisk 16.28, 18.14, 20 and later")
    assert found.file == "/etc/asterisk/modules.conf"


def test_privileges_that_nobody_needs_are_told() -> None:
    found = list(of_asterisk(replace(ASTERISK, actions=ASTERISK.actions | {"Originate"}), Config()))
    (note,) = [finding for finding in found if finding.level is Level.NOTE]
    assert "Originate" in note.what
    assert not problems(found)


def test_channels_that_come_and_go_unheard_are_a_problem_and_silence_is_not() -> None:
    assert only(of_asterisk(replace(ASTERISK, heard=False), Config())).change == "read = call"
    quiet = list(of_asterisk(replace(ASTERISK, heard=False, moved=False), Config()))
    assert not problems(quiet)
    assert any("not seen" in finding.what for finding in quiet)


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("timers", "yes", "timers = no"),
        ("timers", "always", "timers = no"),
        ("send_connected_line", "no", "send_connected_line = yes"),
        ("send_pai", "false", "send_pai = yes"),
        ("trust_id_outbound", "false", "trust_id_outbound = yes"),
    ],
)
def test_each_endpoint_option_that_stops_refreshes_is_named_with_its_line(
    option: str, value: str, line: str
) -> None:
    found = only(of_asterisk(replace(ASTERISK, endpoints={"carrier": {**GOOD, option: value}}), Config()))
    assert found.change.startswith(line)
    assert found.file == "/etc/asterisk/pjsip.conf, [carrier]"


def test_remote_party_id_does_as_well_as_p_asserted_identity() -> None:
    options = {**GOOD, "send_pai": "false", "send_rpid": "true"}
    assert not problems(of_asterisk(replace(ASTERISK, endpoints={"carrier": options}), Config()))


def test_re_invite_where_update_was_possible_is_only_told() -> None:
    options = {**GOOD, "connected_line_method": "invite"}
    found = list(of_asterisk(replace(ASTERISK, endpoints={"carrier": options}), Config()))
    assert not problems(found)
    assert any(finding.change == "connected_line_method = update" for finding in found)


def test_without_update_its_options_do_not_matter() -> None:
    options = {**GOOD, "send_pai": "no", "trust_id_outbound": "no"}
    facts = replace(ASTERISK, endpoints={"carrier": options})
    assert not problems(of_asterisk(facts, config(use_update=False)))


def test_an_endpoint_with_timers_of_its_own_is_well_where_all_are_only_watched() -> None:
    facts = replace(ASTERISK, endpoints={"carrier": {**GOOD, "timers": "yes"}})
    assert not problems(of_asterisk(facts, config(mode="endpoint_timers")))


def test_an_endpoint_that_asterisk_does_not_know_is_named() -> None:
    facts = replace(ASTERISK, endpoints={"carier": dict.fromkeys(GOOD, "")})
    found = only(of_asterisk(facts, Config()))
    assert "carier" in found.about
    assert "func_pjsip_endpoint" in found.change


def test_calls_without_our_header_are_a_problem_unless_there_is_no_edge() -> None:
    facts = replace(ASTERISK, foreign=2)
    assert "X-Session-Timer" in only(of_asterisk(facts, Config())).what
    assert not problems(of_asterisk(facts, Config(), alone=True))
    assert not problems(of_asterisk(replace(ASTERISK, foreign=1), Config()))


def test_calls_whose_record_or_header_is_bad_are_named() -> None:
    assert "call-7" in only(of_asterisk(replace(ASTERISK, unrecorded=("call-7",)), Config())).what
    found = only(of_asterisk(replace(ASTERISK, refused=(("call-8", "is not signed"),)), Config()))
    assert "call-8" in found.what
    assert "is not signed" in found.what


@pytest.mark.parametrize(
    ("change", "what", "line"),
    [
        ({"unreachable": "no reply within 1 s"}, "no reply within 1 s", "the same key"),
        ({"running": False}, "stands still", "restart Kamailio"),
        ({"same_settings": False}, "other settings", "copy the file"),
        ({"stats": {"faults": 3, "refreshed_local": 1}}, "3 errors", "journalctl"),
        ({"stats": {"lost_records": 7}}, "refused 7 records", "-m in MB"),
        ({"table": Table(2**20 + 1, 2**16)}, "1,048,577 records in 65,536 slots", "size=17 "),
        ({"table": Table(100_000, 2**10)}, "100,000 records in 1,024 slots", "size=16 "),
        ({"aged": 4, "stats": {"refreshed_local": 0}}, "no refresh of any call", "requests with a To tag"),
    ],
)
def test_each_fault_of_an_edge_is_named_with_its_line(
    change: dict[str, object], what: str, line: str
) -> None:
    found = only(of_edge(replace(EDGE, **change)))  # type: ignore[arg-type]
    assert what in found.what
    assert line in found.change


def test_a_table_for_a_million_records_is_large_enough_for_them() -> None:
    assert not problems(of_edge(replace(EDGE, table=Table(1_000_000, 2**16))))
    assert not problems(of_edge(replace(EDGE, table=Table(2**20, 2**16))))


@pytest.mark.parametrize(
    ("records", "size"), [(0, 16), (2**20, 16), (2**20 + 1, 17), (2**21, 17), (2**21 + 1, 18)]
)
def test_the_size_grows_by_one_whenever_the_records_double(records: int, size: int) -> None:
    assert size_for(records) == size
    assert records <= IN_A_SLOT * 2**size


def test_calls_that_go_past_the_edge_are_only_noted() -> None:
    found = list(of_edge(replace(EDGE, off_path=2)))
    assert not problems(found)
    assert any(finding.change.startswith("record_route()") for finding in found)


def test_what_is_to_be_searched_for_is_what_the_edge_writes() -> None:
    (words,) = re.findall(r"grep '([^']+)'", only(of_edge(replace(EDGE, stats={"faults": 1}))).change)
    assert words in (ROOT / "kamailio/session_timer_kemi/session_timers.py").read_text()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"running": False, "foreign": True}, "another program answers"),
        ({"waiting_for": ("ast1: starting",)}, "ast1: starting"),
        ({"swallowed": 2}, "2 refreshes"),
        ({"faults": 1}, "1 errors"),
        ({"brake": True}, "the brake is on"),
    ],
)
def test_each_fault_of_the_companion_is_named(change: dict[str, object], what: str) -> None:
    found = only(of_companion(replace(COMPANION, **change), "0.1.0"))  # type: ignore[arg-type]
    assert what in found.what


@pytest.mark.parametrize("change", [{"running": False}, {"version": "0.0.9"}])
def test_a_companion_that_is_not_started_or_old_is_only_told(change: dict[str, object]) -> None:
    found = list(of_companion(replace(COMPANION, **change), "0.1.0"))  # type: ignore[arg-type]
    assert not problems(found)
    assert any(finding.level is Level.NOTE for finding in found)


def configured(folder: Path, text: str) -> list[Finding]:
    file = folder / "session-timer.yaml"
    file.write_text(text)
    return list(of_configuration(load(file, {}), file))


def test_a_configuration_without_asterisk_is_a_problem(tmp_path: Path) -> None:
    text = (
        'edge: {door: "http://127.0.0.1:5060", key_file: key}\n'
        "companion: {ami: [{name: a, host: 127.0.0.1, secret_file: s}]}\n"
    )
    (tmp_path / "key").write_text("k" * 40)
    (tmp_path / "s").write_text("word")
    (tmp_path / "s").chmod(0o600)
    assert only(configured(tmp_path, text)).change.startswith("asterisk:")
    assert [each.level for each in configured(tmp_path, text + "asterisk: [127.0.0.1]")] == [Level.OK]


def test_what_is_dangerous_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("word")
    (tmp_path / "s").chmod(0o644)
    (tmp_path / "key").write_text("k" * 40)
    found = configured(
        tmp_path,
        """
        unsafe_lab_intervals: true
        asterisk: [192.0.2.20]
        edge: {door: "http://192.0.2.10:5060", key_file: key}
        session_timer: {mode: watch}
        companion:
          ami: [{name: a, host: 192.0.2.20, secret_file: s}]
          http: {host: 0.0.0.0, token_file: key}
        """,
    )
    told = " ".join(finding.what for finding in found if finding.level is Level.NOTE)
    for word in (
        "unsafe_lab_intervals",
        "every user of this host",
        "not encrypted",
        "listens on",
        "endpoint_timers",
    ):
        assert word in told
