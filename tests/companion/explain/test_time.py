"""Lawful calls with one fault in when things happen, or do not: that finding, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from session_timer_companion.explain.judging.ending import SUSPECTS, suspect
from session_timer_companion.explain.judging.rules import Rule

from tests.companion.explain import scenario
from tests.companion.explain.asking import one, only, rules
from tests.companion.explain.scenario import (
    CARRIER,
    PBX,
    Line,
    Script,
    by_callee,
    bye,
    lawful,
    refresh,
    setup,
)

_TIMEOUT = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)
"""When a request that nobody answers is sent again (RFC 3261 17.1.2.2)."""


def at(seconds: float) -> Callable[[Line], Line]:
    return lambda line: replace(line, at=seconds)


def refused(status: str, method: str = "UPDATE", **rows: str) -> Script:
    """The refresh at half is refused; the callee hangs up 32 seconds before the end."""
    script = (
        lawful()
        .without("one", "one-ok", "two", "two-ok", "bye", "bye-ok")
        .plus(*refresh("one", 903, 2, method=method), *bye(1771, by=1))
    )
    shown = tuple((name.replace("_", "-"), value) for name, value in rows.items())
    return script.change("one-ok", lambda line: replace(line, status=status, rows=shown, body=""))


def unanswered(*, end: tuple[Line, ...], method: str = "UPDATE") -> Script:
    """The refresh at half is repeated until its time is over."""
    script = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok")
    request, _ = refresh("one", 903, 2, method=method)
    return script.plus(replace(request, times=_TIMEOUT), *end)


silent = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok")


@pytest.mark.requirement("UAC-7.2-15", "REF-10-07", "REF-10-08")
@pytest.mark.parametrize("way", ["direct", "through"])
def test_the_caller_had_to_refresh_and_did_not(way: str) -> None:
    verdict = only(getattr(silent.plus(*bye(1771, by=1)), way)())

    assert verdict.rule is Rule.NO_REFRESH
    assert verdict.by.address == CARRIER
    assert "1768 of 1800 s" in verdict.stood
    assert "at 900 s" in verdict.due


@pytest.mark.requirement("UAS-9-21")
def test_the_callee_had_to_refresh_and_did_not() -> None:
    script = by_callee().without("one", "one-ok", "one-ack", "bye", "bye-ok").plus(*bye(1771))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.NO_REFRESH, PBX)


def test_an_ordinary_end_before_any_refresh_was_due_is_none() -> None:
    assert rules(silent.plus(*bye(1200, by=1)).direct()) == []


def test_a_hang_up_by_the_refresher_itself_shortly_before_the_end_is_none() -> None:
    assert rules(silent.plus(*bye(1790)).direct()) == []


@pytest.mark.requirement("UAC-7.2-16")
def test_a_late_refresh() -> None:
    script = lawful().without("two", "two-ok").change("one", at(1785)).change("one-ok", at(1785.1))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.LATE_REFRESH, CARRIER)
    assert "1782 s" in verdict.stood


def test_a_refresh_after_the_end_of_the_interval() -> None:
    script = lawful().without("two", "two-ok").change("one", at(1900)).change("one-ok", at(1900.1))

    assert only(script.direct()).rule is Rule.NO_REFRESH


@pytest.mark.requirement("REF-10-07")
def test_a_dead_call_that_nobody_ends() -> None:
    script = silent.plus(*bye(4000, cseq=2))

    assert sorted(rule.value for rule in rules(script.direct())) == ["dead-call-kept", "no-refresh"]


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
@pytest.mark.parametrize("way", ["direct", "through"])
def test_a_peer_that_lives_and_does_not_answer_a_refresh(way: str, method: str) -> None:
    verdict = only(getattr(unanswered(end=bye(935.5), method=method), way)())

    assert verdict.rule is Rule.REFRESH_UNANSWERED
    assert "sent 11 times" in verdict.stood


@pytest.mark.requirement("REF-10-04")
def test_a_peer_that_is_gone_has_broken_nothing() -> None:
    request, _ = bye(935.5)
    script = unanswered(end=(replace(request, times=_TIMEOUT),))

    call = one(script.direct())

    assert [verdict.rule for verdict in call.verdicts] == [Rule.PEER_GONE]
    assert not call.broken


def test_a_peer_that_no_longer_knows_the_call() -> None:
    script = (
        refused("481 Call/Transaction Does Not Exist").change("bye", at(903.1)).change("bye-ok", at(903.2))
    )
    script = script.change("bye", lambda line: replace(line, by=0)).change(
        "bye-ok", lambda line: replace(line, by=1, status="481 Call/Transaction Does Not Exist")
    )

    assert only(script.direct()).rule is Rule.PEER_GONE


@pytest.mark.requirement("UPD-4-03")
def test_update_is_allowed_and_refused() -> None:
    script = (
        refused("405 Method Not Allowed")
        .plus(*refresh("again", 904, 3, method="INVITE"))
        .without("bye", "bye-ok")
    )

    verdict = only(script.plus(*bye(1500)).direct())

    assert (verdict.rule, verdict.by.address) == (Rule.UPDATE_REFUSED, PBX)


def test_a_refresh_that_is_refused_and_never_tried_again() -> None:
    assert rules(refused("403 Forbidden").direct()) == [Rule.REFRESH_REFUSED, Rule.NOT_RETRIED]


def test_a_changed_offer_under_the_old_version_is_refused() -> None:
    script = refused("488 Not Acceptable Here", method="INVITE").change(
        "one", lambda line: replace(line, body=scenario.SDP.replace("RTP/AVP 8", "RTP/AVP 8 101"))
    )

    assert rules(script.direct()) == [Rule.OFFER_CHANGED, Rule.NOT_RETRIED]


def test_an_unchanged_offer_is_refused() -> None:
    found = rules(refused("488 Not Acceptable Here", method="INVITE").direct())
    assert found == [Rule.REFRESH_REFUSED, Rule.NOT_RETRIED]


@pytest.mark.parametrize(
    "status", ["491 Request Pending", "401 Unauthorized", "422 Session Interval Too Small"]
)
def test_an_answer_that_asks_for_another_try_is_no_fault(status: str) -> None:
    more: dict[str, str] = {"Min_SE": "2000"} if status.startswith("422") else {}
    script = (
        refused(status, **more)
        .without("bye", "bye-ok")
        .plus(*refresh("again", 906, 3, seconds=2000), *bye(1500))
    )
    script = script.rows("again", Min_SE="2000") if more else script

    assert rules(script.direct()) == []


@pytest.mark.requirement("REF-10-07", "REF-10-08")
def test_a_peer_that_says_it_gave_up_before_its_time() -> None:
    script = silent.plus(*bye(903, by=1, Reason='SIP;cause=408;text="Session timer expired"'))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.GAVE_UP_EARLY, PBX)
    assert "1768" in verdict.due


@pytest.mark.requirement("DEF-2-03", "REF-10-02")
def test_a_peer_that_does_not_count_the_refresh_it_answered() -> None:
    script = lawful().without("two", "two-ok").change("bye", lambda line: replace(line, at=1771, by=1))

    verdict = only(script.change("bye-ok", lambda line: replace(line, at=1771.1, by=0)).direct())

    assert (verdict.rule, verdict.by.address) == (Rule.REFRESH_IGNORED, PBX)
    assert "UPDATE" in verdict.stood


def test_a_lost_ack_is_told_from_a_timer() -> None:
    script = (
        Script(setup())
        .without("ack")
        .change(
            "ok", lambda line: replace(line, times=(0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5))
        )
    )

    verdict = only(script.plus(*bye(35, by=1)).direct())

    assert verdict.rule is Rule.NO_ACK
    assert verdict.by.address == CARRIER


@pytest.mark.parametrize("seconds", SUSPECTS)
def test_a_cut_without_a_timer_has_the_suspect_of_its_minute(seconds: int) -> None:
    script = Script((*setup({}, {}), *bye(3 + seconds + 1, by=1)))
    if seconds == 32:
        script = script.without("ack")

    call = one(script.direct())

    assert call.verdicts == ()
    assert call.ending.suspect == SUSPECTS[seconds]
    assert suspect(seconds + 10) is None


def test_the_minute_is_no_suspect_where_a_verdict_says_why() -> None:
    assert one(silent.plus(*bye(1771 + 33, by=1)).direct()).ending.suspect is None


def test_nothing_is_missing_where_the_requests_go_past() -> None:
    """The proxy did not ask to stay: what follows the INVITE goes straight from end to end."""
    script = lawful()
    first = {"invite", "trying", "ringing", "ok"}
    through = script.only(lambda line: line.name in first).through()
    direct = script.only(lambda line: line.name not in first).direct()

    assert rules(scenario.in_order([*through, *direct])) == []


def test_nothing_is_missing_after_the_end_of_the_capture() -> None:
    """The capture ends before the refresh is due."""
    call = one(silent.direct())

    assert call.verdicts == ()
    assert call.ending.how == "open"


def test_a_call_that_began_before_the_capture() -> None:
    script = lawful().without("invite", "trying", "ringing", "ok", "ack")

    call = one(script.direct())

    assert not call.whole
    assert call.verdicts == ()
    assert [agreed.interval for agreed in call.dialogs[0].agreed] == [1800, 1800]


def test_what_began_before_the_capture_is_judged_from_the_first_refresh_on() -> None:
    script = lawful().without("invite", "trying", "ringing", "ok", "ack", "two", "two-ok", "bye", "bye-ok")

    assert only(script.plus(*bye(903.02 + 1768, by=1)).direct()).rule is Rule.NO_REFRESH


def test_two_forks_that_answer_are_two_dialogs() -> None:
    """One fork is refreshed, the other is hung up at once."""
    other = Line("other", 3.2, 1, "INVITE", 1, "200 OK", rows=setup()[3].rows, body=scenario.SDP, tag="fork")
    ack = Line("other-ack", 3.3, 0, "ACK", 1, tag="fork")
    end, end_ok = bye(3.4, cseq=2)
    ended = (replace(end, name="x", tag="fork"), replace(end_ok, name="y", tag="fork"))

    call = one(lawful().plus(other, ack, *ended).direct())

    assert call.verdicts == ()
    assert len(call.dialogs) == 2


def test_retransmissions_count_once() -> None:
    script = lawful().change("one", lambda line: replace(line, times=(0.005,)))
    again = script.change("one-ok", lambda line: replace(line, times=(0.5, 1.5)))

    call = one(again.direct())

    assert call.verdicts == ()
    assert len(call.dialogs[0].refreshes) == 2


@pytest.mark.requirement("UAC-7.2-14", "UAS-9-20")
def test_the_deadline_is_counted_from_the_first_copy_of_a_2xx() -> None:
    call = one(silent.change("ok", lambda line: replace(line, times=(0.5, 1.5))).plus(*bye(100)).direct())

    agreed = call.dialogs[0].agreed[0]
    assert agreed.deadline is not None
    assert agreed.deadline - call.begin == pytest.approx(3 + 1768)


def test_a_clock_that_jumps_back_leaves_times_unjudged() -> None:
    script = silent.plus(*bye(1771, by=1)).direct()
    jumped = [
        replace(each, time=each.time - 7200 if count > 4 else each.time) for count, each in enumerate(script)
    ]

    call = one(jumped)

    assert call.jumped
    assert call.verdicts == ()


def test_a_proxys_own_answer_is_not_the_fault_but_the_silence_behind_it() -> None:
    """The proxy answers 408 for the callee, which did not answer but is there."""
    whole = unanswered(end=bye(940)).through()
    update = next(line for line in unanswered(end=()).lines if line.name == "one")
    timeout = replace(update, name="408", by=1, status="408 Request Timeout", times=(), at=935, rows=())
    near = [sent for sent in Script((timeout,)).through() if CARRIER in (sent.source, sent.target)]

    verdict = only(scenario.in_order([*whole, *near]))

    assert (verdict.rule, verdict.by.address) == (Rule.REFRESH_UNANSWERED, PBX)


def test_an_answer_that_the_capture_missed_is_no_silence() -> None:
    """The refresh was sent once: whoever gets no answer over UDP sends again (RFC 3261 17.1.2.2)."""
    call = one(lawful().without("one-ok", "two", "two-ok").direct())

    assert call.verdicts == ()


@pytest.mark.parametrize("side", [0, 1])
def test_one_direction_alone(side: int) -> None:
    call = one(lawful().only(lambda line: line.by == side).direct())

    assert call.one_way
    assert call.verdicts == ()


def test_a_call_whose_answer_was_not_captured() -> None:
    call = one(lawful().without("ok").direct())

    assert not call.whole
    assert call.verdicts == ()
