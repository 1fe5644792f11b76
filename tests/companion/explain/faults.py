"""Lawful calls with one fault put in: what a message says wrong, and what a proxy does wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from session_timer_companion.explain.judging.rules import Rule

from tests.companion.explain import scenario
from tests.companion.explain.scenario import CARRIER, PBX, Line, Script, exchange, lawful, setup


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
        "theirs",
        500,
        1,
        "UPDATE",
        1,
        {"Session-Expires": value, "Min-SE": "600", **scenario.SUPPORTED},
        {"Session-Expires": value, **scenario.SUPPORTED},
    )
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
    return Script(
        (
            Line("invite", 0, 0, "INVITE", 1, rows=tuple(asked.items()), body=scenario.SDP, tag=""),
            Line("no", 0.1, 1, "INVITE", 1, status, rows=answer),
            Line("no-ack", 0.12, 0, "ACK", 1),
        )
    )


FAULTS = [
    Fault(
        Rule.MALFORMED,
        CARRIER,
        lawful().rows("invite", Session_Expires="half an hour"),
        "half an hour",
        "grammar",
    ),
    Fault(
        Rule.MALFORMED,
        PBX,
        lawful().rows("one-ok", Session_Expires="1800;;refresher=uac", Require=None),
        "1800;;",
        "seconds",
    ),
    Fault(
        Rule.MALFORMED,
        PBX,
        lawful().change("one-ok", lambda line: replace(line, behind_to=";tag=another")),
        ";tag=another",
        "one tag in To",
    ),
    Fault(
        Rule.AGAINST_GRAMMAR,
        CARRIER,
        lawful().rows("invite", Session_Expires="1800;"),
        "ends in a semicolon",
        "grammar",
    ),
    Fault(
        Rule.AGAINST_GRAMMAR,
        PBX,
        lawful().rows("one-ok", Session_Expires="1800;refresher=uac;"),
        "ends in a semicolon",
        "grammar",
    ),
    Fault(
        Rule.AGAINST_GRAMMAR,
        PBX,
        lawful().change("one-ok", lambda line: replace(line, behind_to=";tag=callee")),
        "'callee' stands there 2 times",
        "grammar",
    ),
    Fault(
        Rule.AGAINST_GRAMMAR,
        PBX,
        lawful().change("one-ok", lambda line: replace(line, contact=False)),
        "no Contact",
        "grammar",
    ),
    Fault(
        Rule.BELOW_90,
        CARRIER,
        lawful()
        .rows("invite", Session_Expires="60")
        .rows("ok", Session_Expires=None, Require=None)
        .without("one", "one-ok", "two", "two-ok"),
        "60",
        "90",
    ),
    Fault(Rule.MIN_SE_BELOW_90, CARRIER, lawful().rows("invite", Min_SE="30"), "Min-SE: 30", "90"),
    Fault(
        Rule.BELOW_MIN_SE,
        CARRIER,
        lawful().rows("invite", Min_SE="3600").rows("ok", Session_Expires="3600;refresher=uac"),
        "1800, Min-SE: 3600",
        "3600",
    ),
    Fault(
        Rule.REFRESHER_WITHOUT_SUPPORT,
        CARRIER,
        lawful()
        .rows("invite", Session_Expires="1800;refresher=uac", Supported=None)
        .rows("ok", Require=None),
        "no Supported",
        "Supported: timer",
    ),
    Fault(
        Rule.SUPPORT_DROPPED,
        CARRIER,
        lawful().rows("one", Supported=None).rows("one-ok", Require=None),
        "no Supported",
        "Supported: timer",
    ),
    Fault(
        Rule.TIMER_DROPPED,
        CARRIER,
        lawful().rows("one", Session_Expires=None),
        "no Session-Expires",
        "1800;refresher=uac",
    ),
    Fault(Rule.MIN_SE_DROPPED, CARRIER, _with_min_se().rows("one", Min_SE=None), "no Min-SE", "600"),
    Fault(
        Rule.RETRY_TOO_SMALL,
        CARRIER,
        scenario.after_422().rows("invite", Min_SE="1800"),
        "Min-SE: 1800",
        "3600",
    ),
    Fault(
        Rule.UPDATE_NOT_ALLOWED,
        CARRIER,
        lawful().rows("ok", Allow="INVITE, ACK, BYE").rows("one-ok", Allow=None).without("two", "two-ok"),
        "UPDATE",
        "re-INVITE",
    ),
    Fault(Rule.NO_REFRESHER, PBX, lawful().rows("ok", Session_Expires="1800"), "1800", "1800;refresher=uac"),
    Fault(
        Rule.INTERVAL_RAISED, PBX, lawful().rows("ok", Session_Expires="3600;refresher=uac"), "3600", "1800"
    ),
    Fault(
        Rule.ANSWER_BELOW_MIN_SE,
        PBX,
        lawful().rows("invite", Min_SE="1200").rows("ok", Session_Expires="1000;refresher=uac"),
        "1000",
        "1200",
    ),
    Fault(
        Rule.BELOW_90,
        PBX,
        lawful()
        .rows("two-ok", Session_Expires="80;refresher=uac")
        .change("bye", lambda line: replace(line, at=1830)),
        "80",
        "90",
    ),
    Fault(
        Rule.REFRESHER_OVERRIDDEN,
        PBX,
        lawful()
        .rows("invite", Session_Expires="1800;refresher=uac")
        .rows("ok", Session_Expires="1800;refresher=uas"),
        "uas",
        "uac",
    ),
    Fault(
        Rule.UAC_CANNOT_REFRESH,
        PBX,
        _to_no_support().rows("ok", Session_Expires="1800;refresher=uac"),
        "without Supported",
        "1800;refresher=uas",
    ),
    Fault(Rule.REQUIRE_MISSING, PBX, lawful().rows("ok", Require=None), "no Require", "Require: timer"),
    Fault(
        Rule.REQUIRE_NOT_SUPPORTED,
        PBX,
        _to_no_support().rows("ok", Require="timer"),
        "Require: timer",
        "no Require",
    ),
    Fault(
        Rule.REQUIRE_WITHOUT_TIMER,
        PBX,
        lawful().rows("ok", Session_Expires=None),
        "Require: timer",
        "Session-Expires",
    ),
    Fault(Rule.MIN_SE_IN_ANSWER, PBX, lawful().rows("ok", Min_SE="90"), "Min-SE: 90", "no Min-SE"),
    Fault(
        Rule.ELSEWHERE, CARRIER, lawful().rows("bye", Session_Expires="1800"), "1800", "no Session-Expires"
    ),
    Fault(
        Rule.ELSEWHERE,
        PBX,
        lawful().rows("ringing", Session_Expires="1800;refresher=uac"),
        "1800",
        "no Session-Expires",
    ),
    Fault(Rule.NO_MIN_SE_IN_422, PBX, scenario.after_422().rows("422", Min_SE=None), "no Min-SE", "Min-SE"),
    Fault(Rule.MIN_SE_BELOW_90, PBX, scenario.after_422().rows("422", Min_SE="60"), "60", "90"),
    Fault(
        Rule.NEEDLESS_422, PBX, scenario.after_422().rows("422", Min_SE="900"), "900", "nothing was too small"
    ),
    Fault(
        Rule.UNHEARD_422, PBX, scenario.after_422().rows("first", Supported=None), "422", "cannot try again"
    ),
    Fault(
        Rule.CALL_REFUSED_422, PBX, _refused("422 Session Interval Too Small", Min_SE="3600"), "3600", "3600"
    ),
    Fault(
        Rule.TIMER_REQUIRED,
        CARRIER,
        _refused("420 Bad Extension", Unsupported="timer").rows("invite", Require="timer"),
        "Require",
        "Supported",
    ),
    Fault(Rule.SWITCHED_OFF, PBX, lawful().rows("two-ok", Session_Expires=None, Require=None), "off", "1800"),
    Fault(
        Rule.ROLE_MOVED,
        CARRIER,
        lawful()
        .rows("ok", Supported=None)
        .rows("one", Session_Expires="1800;refresher=uas")
        .rows("one-ok", Session_Expires="1800;refresher=uas", Require=None, Supported=None)
        .without("two", "two-ok"),
        "uas",
        "uac",
    ),
]


def behind(**rows: str | None) -> Callable[[Line], Line]:
    return lambda line: line.with_rows(**rows) if line.name == "invite" else line


def answer_bare(line: Line) -> Line | None:
    """Behind the proxy: it asked, and the callee knows no timers."""
    if line.name == "invite":
        return line.with_rows(Session_Expires="1800")
    return line.with_rows(Session_Expires=None, Require=None, Supported=None) if line.by == 1 else line


PROXY_FAULTS = [
    (Rule.PROXY_REFRESHER, lawful().through(behind=behind(Session_Expires="1800;refresher=uac"))),
    (
        Rule.PROXY_RAISED,
        lawful()
        .rows("invite", Session_Expires="900")
        .rows("ok", Session_Expires="900;refresher=uac")
        .without("one", "one-ok", "two", "two-ok")
        .change("bye", lambda line: replace(line, at=500))
        .through(behind=behind(Session_Expires="1800")),
    ),
    (Rule.PROXY_MIN_SE, lawful().rows("invite", Min_SE="120").through(behind=behind(Min_SE="300"))),
    (
        Rule.PROXY_ANSWER,
        lawful().through(
            behind=lambda line: (
                line.with_rows(Session_Expires="1700;refresher=uac") if line.name == "ok" else line
            )
        ),
    ),
    (
        Rule.PROXY_NOT_COMPLETED,
        lawful()
        .rows("invite", Session_Expires=None)
        .rows("ok", Session_Expires=None, Require=None)
        .without("one", "one-ok", "two", "two-ok")
        .through(behind=answer_bare),
    ),
]
