"""Lawful calls with one fault in what a message says: that finding, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.judging.rules import Level, Rule

from tests.companion.explain import scenario
from tests.companion.explain.asking import one, only, rules
from tests.companion.explain.scenario import CARRIER, PBX, PROXY, Line, Script, exchange, lawful, setup


@pytest.mark.parametrize("name", scenario.LAWFUL)
@pytest.mark.parametrize("way", ["direct", "through a proxy"])
def test_lawful_calls_have_no_finding(name: str, way: str) -> None:
    script = scenario.LAWFUL[name]()

    call = one(script.direct() if way == "direct" else script.through())

    assert call.verdicts == ()
    assert not call.broken


@dataclass(frozen=True)
class Fault:
    """One thing put into a lawful call, and what is to be found of it."""

    rule: Rule
    by: str
    script: Script
    stood: str
    due: str


def _to_no_support() -> Script:
    """The caller does not know timers, a proxy asked for one, the callee refreshes."""
    value = "1800;refresher=uas"
    again = exchange(
        "one", 903, 1, "UPDATE", 1, {"Session-Expires": "1800;refresher=uac", **scenario.SUPPORTED}, {}
    )
    return Script(
        (
            *setup({"Session-Expires": "1800"}, {"Session-Expires": value, **scenario.SUPPORTED}),
            *again,
            *scenario.bye(1000),
        )
    )


def _with_min_se() -> Script:
    """The callee's refresh names a Min-SE, which the caller's next one repeats."""
    value = "1800;refresher=uas"
    told = exchange(
        "theirs", 500, 1, "UPDATE", 1, {"Session-Expires": value, "Min-SE": "600", **scenario.SUPPORTED},
        {"Session-Expires": value, **scenario.SUPPORTED},
    )  # fmt: skip
    repeated = {"Session-Expires": "1800;refresher=uac", "Min-SE": "600", **scenario.SUPPORTED}
    ours = exchange(
        "one",
        1000,
        0,
        "UPDATE",
        2,
        repeated,
        {"Session-Expires": "1800;refresher=uac", "Require": "timer", **scenario.SUPPORTED},
    )
    return Script((*setup(), *told, *ours, *scenario.bye(1500)))


def _refused(status: str, **rows: str) -> Script:
    """A call that is refused at the first INVITE."""
    answer = tuple((name.replace("_", "-"), value) for name, value in rows.items())
    asked = {"Session-Expires": "1800", **scenario.SUPPORTED}
    return Script((
        Line("invite", 0, 0, "INVITE", 1, rows=tuple(asked.items()), body=scenario.SDP, tag=""),
        Line("no", 0.1, 1, "INVITE", 1, status, rows=answer),
        Line("no-ack", 0.12, 0, "ACK", 1),
    ))  # fmt: skip


FAULTS = [
    Fault(Rule.MALFORMED, CARRIER, lawful().rows("invite", Session_Expires="half an hour"), "half an hour", "grammar"),
    Fault(Rule.MALFORMED, PBX, lawful().rows("one-ok", Session_Expires="1800;;refresher=uac", Require=None), "1800;;", "seconds"),
    Fault(Rule.BELOW_90, CARRIER, lawful().rows("invite", Session_Expires="60").rows("ok", Session_Expires=None, Require=None).without("one", "one-ok", "two", "two-ok"), "60", "90"),
    Fault(Rule.MIN_SE_BELOW_90, CARRIER, lawful().rows("invite", Min_SE="30"), "Min-SE: 30", "90"),
    Fault(Rule.BELOW_MIN_SE, CARRIER, lawful().rows("invite", Min_SE="3600").rows("ok", Session_Expires="3600;refresher=uac"), "1800, Min-SE: 3600", "3600"),
    Fault(Rule.REFRESHER_WITHOUT_SUPPORT, CARRIER, lawful().rows("invite", Session_Expires="1800;refresher=uac", Supported=None).rows("ok", Require=None), "no Supported", "Supported: timer"),
    Fault(Rule.SUPPORT_DROPPED, CARRIER, lawful().rows("one", Supported=None).rows("one-ok", Require=None), "no Supported", "Supported: timer"),
    Fault(Rule.TIMER_DROPPED, CARRIER, lawful().rows("one", Session_Expires=None), "no Session-Expires", "1800;refresher=uac"),
    Fault(Rule.MIN_SE_DROPPED, CARRIER, _with_min_se().rows("one", Min_SE=None), "no Min-SE", "600"),
    Fault(Rule.RETRY_TOO_SMALL, CARRIER, scenario.after_422().rows("invite", Min_SE="1800"), "Min-SE: 1800", "3600"),
    Fault(Rule.UPDATE_NOT_ALLOWED, CARRIER, lawful().rows("ok", Allow="INVITE, ACK, BYE").rows("one-ok", Allow=None).without("two", "two-ok"), "UPDATE", "re-INVITE"),
    Fault(Rule.NO_REFRESHER, PBX, lawful().rows("ok", Session_Expires="1800"), "1800", "1800;refresher=uac"),
    Fault(Rule.INTERVAL_RAISED, PBX, lawful().rows("ok", Session_Expires="3600;refresher=uac"), "3600", "1800"),
    Fault(Rule.ANSWER_BELOW_MIN_SE, PBX, lawful().rows("invite", Min_SE="1200").rows("ok", Session_Expires="1000;refresher=uac"), "1000", "1200"),
    Fault(Rule.BELOW_90, PBX, lawful().rows("two-ok", Session_Expires="80;refresher=uac").change("bye", lambda line: replace(line, at=1830)), "80", "90"),
    Fault(Rule.REFRESHER_OVERRIDDEN, PBX, lawful().rows("invite", Session_Expires="1800;refresher=uac").rows("ok", Session_Expires="1800;refresher=uas"), "uas", "uac"),
    Fault(Rule.UAC_CANNOT_REFRESH, PBX, _to_no_support().rows("ok", Session_Expires="1800;refresher=uac"), "without Supported", "1800;refresher=uas"),
    Fault(Rule.REQUIRE_MISSING, PBX, lawful().rows("ok", Require=None), "no Require", "Require: timer"),
    Fault(Rule.REQUIRE_NOT_SUPPORTED, PBX, _to_no_support().rows("ok", Require="timer"), "Require: timer", "no Require"),
    Fault(Rule.REQUIRE_WITHOUT_TIMER, PBX, lawful().rows("ok", Session_Expires=None), "Require: timer", "Session-Expires"),
    Fault(Rule.MIN_SE_IN_ANSWER, PBX, lawful().rows("ok", Min_SE="90"), "Min-SE: 90", "no Min-SE"),
    Fault(Rule.ELSEWHERE, CARRIER, lawful().rows("bye", Session_Expires="1800"), "1800", "no Session-Expires"),
    Fault(Rule.ELSEWHERE, PBX, lawful().rows("ringing", Session_Expires="1800;refresher=uac"), "1800", "no Session-Expires"),
    Fault(Rule.NO_MIN_SE_IN_422, PBX, scenario.after_422().rows("422", Min_SE=None), "no Min-SE", "Min-SE"),
    Fault(Rule.MIN_SE_BELOW_90, PBX, scenario.after_422().rows("422", Min_SE="60"), "60", "90"),
    Fault(Rule.NEEDLESS_422, PBX, scenario.after_422().rows("422", Min_SE="900"), "900", "nothing was too small"),
    Fault(Rule.UNHEARD_422, PBX, scenario.after_422().rows("first", Supported=None), "422", "cannot try again"),
    Fault(Rule.CALL_REFUSED_422, PBX, _refused("422 Session Interval Too Small", Min_SE="3600"), "3600", "3600"),
    Fault(Rule.TIMER_REQUIRED, CARRIER, _refused("420 Bad Extension", Unsupported="timer").rows("invite", Require="timer"), "Require", "Supported"),
    Fault(Rule.SWITCHED_OFF, PBX, lawful().rows("two-ok", Session_Expires=None, Require=None), "off", "1800"),
    Fault(Rule.ROLE_MOVED, CARRIER, lawful().rows("ok", Supported=None).rows("one", Session_Expires="1800;refresher=uas").rows("one-ok", Session_Expires="1800;refresher=uas", Require=None, Supported=None).without("two", "two-ok"), "uas", "uac"),
]  # fmt: skip


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
        Rule.NO_REFRESH, Rule.LATE_REFRESH, Rule.REFRESH_UNANSWERED, Rule.UPDATE_REFUSED, Rule.REFRESH_REFUSED,
        Rule.NOT_RETRIED, Rule.GAVE_UP_EARLY, Rule.REFRESH_IGNORED, Rule.DEAD_CALL_KEPT, Rule.PEER_GONE, Rule.NO_ACK,
        Rule.OFFER_CHANGED,
    }  # fmt: skip
    about_proxies = {rule for rule in Rule if rule.value.startswith("proxy-")}
    assert {fault.rule for fault in FAULTS} == set(Rule) - about_time - about_proxies


def _behind(**rows: str | None) -> Callable[[Line], Line]:
    return lambda line: line.with_rows(**rows) if line.name == "invite" else line


def _answer_bare(line: Line) -> Line | None:
    """Behind the proxy: it asked, and the callee knows no timers."""
    if line.name == "invite":
        return line.with_rows(Session_Expires="1800")
    return line.with_rows(Session_Expires=None, Require=None, Supported=None) if line.by == 1 else line


PROXY_FAULTS = [
    (Rule.PROXY_REFRESHER, lawful().through(behind=_behind(Session_Expires="1800;refresher=uac"))),
    (Rule.PROXY_RAISED, lawful().rows("invite", Session_Expires="900").rows("ok", Session_Expires="900;refresher=uac").without("one", "one-ok", "two", "two-ok").change("bye", lambda line: replace(line, at=500)).through(behind=_behind(Session_Expires="1800"))),
    (Rule.PROXY_MIN_SE, lawful().rows("invite", Min_SE="120").through(behind=_behind(Min_SE="300"))),
    (Rule.PROXY_ANSWER, lawful().through(behind=lambda line: line.with_rows(Session_Expires="1700;refresher=uac") if line.name == "ok" else line)),
    (Rule.PROXY_NOT_COMPLETED, lawful().rows("invite", Session_Expires=None).rows("ok", Session_Expires=None, Require=None).without("one", "one-ok", "two", "two-ok").through(behind=_answer_bare)),
]  # fmt: skip


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
    assert rules(asked.through(behind=_answer_bare)) == []


@pytest.mark.requirement("PRX-8.1-05", "PRX-8.1-08")
def test_a_proxy_may_reduce_the_interval_and_raise_it_to_min_se() -> None:
    reduced = lawful().rows("invite", Session_Expires="3600")
    assert rules(reduced.through(behind=_behind(Session_Expires="1800"))) == []


@pytest.mark.requirement("PRX-8.3-03")
def test_a_proxy_that_ends_the_call_itself() -> None:
    near = lawful().without("bye", "bye-ok").plus(*scenario.bye(2000, by=1)).through(behind=lambda line: None)
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
    import tomllib  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    ledger = tomllib.loads((Path(__file__).parents[2] / "conformance/requirements.toml").read_text())
    known = {row["id"] for row in ledger["requirement"]}
    for rule in Rule:
        assert rule.requirements
        assert set(rule.requirements) <= known
        assert rule.section.startswith("RFC ")


def test_levels() -> None:
    assert {rule for rule in Rule if rule.level is Level.CAUSE} == {
        Rule.REFRESH_REFUSED, Rule.PEER_GONE, Rule.SWITCHED_OFF, Rule.CALL_REFUSED_422
    }  # fmt: skip
