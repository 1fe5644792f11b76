"""Lawful calls with one fault in what a message says: that finding, and no other."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.judging.rules import Level, Rule

from tests.companion.explain import scenario
from tests.companion.explain.asking import one, only, rules
from tests.companion.explain.faults import FAULTS, PROXY_FAULTS, Fault, answer_bare, behind
from tests.companion.explain.scenario import (
    ALLOW,
    CARRIER,
    PBX,
    PROXY,
    SUPPORTED,
    Line,
    Script,
    bye,
    exchange,
    lawful,
    refresh,
    setup,
)


@pytest.mark.parametrize("name", scenario.LAWFUL)
@pytest.mark.parametrize("way", ["direct", "through a proxy"])
def test_lawful_calls_have_no_finding(name: str, way: str) -> None:
    script = scenario.LAWFUL[name]()

    call = one(script.direct() if way == "direct" else script.through())

    assert call.verdicts == ()
    assert not call.broken


@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault.rule.value}-{fault.by.rpartition('.')[2]}"
)
@pytest.mark.parametrize("way", ["direct", "through a proxy"])
def test_one_fault_is_the_one_finding(fault: Fault, way: str) -> None:
    sent = fault.script.direct() if way == "direct" else fault.script.through()

    verdict = only(sent)

    assert verdict.rule is fault.rule
    assert verdict.by.address == fault.by
    assert fault.stood in verdict.stood
    assert fault.due in verdict.due


def test_every_rule_about_messages_has_a_fault_here() -> None:
    about_time = {
        Rule.NO_REFRESH,
        Rule.LATE_REFRESH,
        Rule.REFRESH_UNANSWERED,
        Rule.UPDATE_REFUSED,
        Rule.REFRESH_REFUSED,
        Rule.NOT_RETRIED,
        Rule.GAVE_UP_EARLY,
        Rule.REFRESH_IGNORED,
        Rule.DEAD_CALL_KEPT,
        Rule.PEER_GONE,
        Rule.NO_ACK,
        Rule.OFFER_CHANGED,
    }
    about_proxies = {rule for rule in Rule if rule.value.startswith("proxy-")}
    assert {fault.rule for fault in FAULTS} == set(Rule) - about_time - about_proxies


@pytest.mark.requirement(
    "PRX-8.1-04", "PRX-8.1-07", "PRX-8.1-09", "PRX-8.1-16", "PRX-8.1-18", "PRX-8.2-03", "PRX-8.2-11"
)
@pytest.mark.parametrize(("rule", "sent"), PROXY_FAULTS, ids=lambda value: getattr(value, "value", ""))
def test_a_proxy_that_changes_what_it_must_not(rule: Rule, sent: list[scenario.Sent]) -> None:
    verdict = only(sent)

    assert verdict.rule is rule
    assert verdict.by.address == PROXY


@pytest.mark.requirement("PRX-8.2-02", "PRX-8.2-03", "PRX-8.2-04")
def test_a_proxy_that_completes_the_answer_is_lawful() -> None:
    asked = lawful().rows("invite", Session_Expires=None)
    assert rules(asked.through(behind=answer_bare)) == []


@pytest.mark.requirement("PRX-8.1-05", "PRX-8.1-08")
def test_a_proxy_may_reduce_the_interval_and_raise_it_to_min_se() -> None:
    reduced = lawful().rows("invite", Session_Expires="3600")
    assert rules(reduced.through(behind=behind(Session_Expires="1800"))) == []


@pytest.mark.requirement("PRX-8.3-03")
def test_a_proxy_that_ends_the_call_itself() -> None:
    near = (
        lawful().without("bye", "bye-ok").plus(*scenario.bye(2000, by=1)).through(behind=lambda _line: None)
    )
    whole = lawful().without("bye", "bye-ok").plus(*scenario.bye(2000, by=0)).through()
    far = [one for one in whole if CARRIER not in (one.source, one.target)]

    assert rules(scenario.in_order([*near, *far])) == [Rule.PROXY_BYE]


def test_our_own_edge_is_no_proxy() -> None:
    """It takes the timer headers off towards Asterisk and tells the companion by its own header."""

    def inside(line: Line) -> Line:
        kept = line.with_rows(Session_Expires=None, Require=None, Min_SE=None, Supported=None)
        told = "1800;refresher=remote;allow=UPDATE;edge=edge;v=2;sig=0"
        return kept.with_rows(X_Session_Timer=told) if line.name == "invite" else kept

    call = one(lawful().through(behind=inside))

    assert call.verdicts == ()
    ours = {party.address for dialog in call.dialogs for party in dialog.ends if party.ours}
    assert ours == {PROXY, PBX}


def test_a_laboratory_may_go_below_90_seconds() -> None:
    short = lawful().rows("invite", Session_Expires="60").rows("ok", Session_Expires="60;refresher=uac")
    short = short.without("one", "one-ok", "two", "two-ok").change("bye", lambda line: replace(line, at=20))

    assert Rule.BELOW_90 in rules(short.direct())
    assert rules(short.direct(), Settings(floor=12)) == []


def test_every_rule_names_requirements_of_the_ledger() -> None:
    ledger = tomllib.loads((Path(__file__).parents[2] / "conformance/requirements.toml").read_text())
    known = {row["id"] for row in ledger["requirement"]}
    for rule in Rule:
        assert rule.requirements
        assert set(rule.requirements) <= known
        assert rule.section.startswith("RFC ")


def test_levels() -> None:
    assert {rule for rule in Rule if rule.level is Level.CAUSE} == {
        Rule.NEEDLESS_422,
        Rule.REFRESH_REFUSED,
        Rule.REFRESH_IGNORED,
        Rule.PEER_GONE,
        Rule.SWITCHED_OFF,
        Rule.CALL_REFUSED_422,
    }


@pytest.mark.requirement("PRX-8.1-14", "PRX-8.1-17")
def test_an_interval_that_a_proxy_raised_for_a_caller_without_support_is_lawful() -> None:
    script = lawful().rows("invite", Session_Expires="100", Supported=None)
    script = script.rows("ok", Session_Expires="300;refresher=uas", Require=None).without(
        "one", "one-ok", "two", "two-ok"
    )
    short = script.change("bye", lambda line: replace(line, at=90))

    assert rules(short.through(behind=behind(Session_Expires="300", Min_SE="300"))) == []


def test_a_b2bua_that_keeps_the_call_id_is_no_proxy() -> None:
    """Each side of it has a timer of its own, and one Via."""

    def other_side(line: Line) -> Line:
        if line.name == "invite":
            return line.with_rows(Session_Expires="3600;refresher=uac")
        return line.with_rows(Session_Expires="3600;refresher=uac") if line.name == "ok" else line

    sent = lawful().through(behind=other_side)
    alone = [replace(one, text=without_second_via(one.text)) for one in sent]

    assert rules(sent) == [Rule.PROXY_REFRESHER, Rule.PROXY_ANSWER]
    assert rules(alone) == []


def without_second_via(text: bytes) -> bytes:
    rows = text.split(b"\r\n")
    vias = [row for row in rows if row.startswith(b"Via:")]
    return b"\r\n".join(row for row in rows if row not in vias[1:])


@pytest.mark.requirement("PRX-8.1-05", "UAC-7.3-01")
@pytest.mark.parametrize("asked", ["3600", None])
def test_a_422_to_what_a_proxy_asked_for_is_no_fault(asked: str | None) -> None:
    """It reduced the interval, or put one there, below what the callee takes."""
    script = scenario.after_422().rows("first", Session_Expires=asked).rows("422", Min_SE="2400")
    script = script.rows("invite", Min_SE="2400")

    def reduced(line: Line) -> Line:
        return line.with_rows(Session_Expires="1800") if line.name == "first" else line

    assert rules(script.through(behind=reduced)) == []


silent = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok")


def test_headers_in_every_lawful_spelling() -> None:
    asked = {"x": "001800 ;\r\n  Refresher=UAC", "k": "100rel,\r\n\t TIMER", "Allow": ALLOW}
    answer = {"sEssion-eXpires": "1800 ; refresher = uac", "REQUIRE": "Timer", "k": "timer", "Allow": ALLOW}
    script = Script((*setup(asked, answer), *refresh("one", 903, 2), *bye(1000)))

    call = one(script.direct())

    assert call.verdicts == ()
    assert [agreed.interval for agreed in call.dialogs[0].agreed] == [1800, 1800]


def test_noise_within_the_dialog_changes_nothing() -> None:
    noise = [
        line
        for count, method in enumerate(("INFO", "OPTIONS", "NOTIFY", "MESSAGE", "SUBSCRIBE") * 4)
        for line in exchange(f"noise-{count}", 20 + 60 * count, 0, method, 2 + count, {}, {})
    ]
    script = silent.plus(*noise, *refresh("one", 1500, 22), *bye(1600, cseq=23))

    assert rules(script.direct()) == []


@pytest.mark.requirement("UAC-7.4-10")
def test_the_refresher_may_change_during_the_call() -> None:
    """The callee refreshes once as uac, and has the role from there."""
    asked = {"Session-Expires": "1800;refresher=uac", **SUPPORTED}
    answer = {**asked, "Require": "timer"}
    script = silent.plus(
        *refresh("one", 903, 2),
        *exchange("theirs", 1000, 1, "UPDATE", 1, asked, answer),
        *exchange("theirs-2", 1900, 1, "UPDATE", 2, asked, answer),
    )

    assert rules(script.plus(*bye(2500, cseq=3)).direct()) == []
    verdict = only(script.plus(*bye(1900.02 + 1768, cseq=3)).direct())
    assert (verdict.rule, verdict.by.address) == (Rule.NO_REFRESH, PBX)
