"""Calls in the shapes in which captures have them, lawful and not: nobody is accused who did nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion.explain.judging.ending import SUSPECTS
from session_timer_companion.explain.judging.rules import Level, Rule
from session_timer_companion.explain.judging.verdict import Explained
from session_timer_companion.explain.telling.report import conclusion

from tests.companion.explain.asking import judged, one, only, rules
from tests.companion.explain.scenario import (
    ALLOW,
    CARRIER,
    PBX,
    PROXY,
    SDP,
    SUPPORTED,
    Line,
    Script,
    Sent,
    after_422,
    bye,
    exchange,
    in_order,
    lawful,
    refresh,
    setup,
)
from tests.companion.explain.writers import written

PHONE = "198.18.81.50"
_TIMEOUT = (0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)

silent = lawful().without("one", "one-ok", "two", "two-ok", "bye", "bye-ok")


def each(sent: list[Sent]) -> list[Explained]:
    """Every call on the wire."""
    with tempfile.TemporaryDirectory() as folder:
        return judged(written(Path(folder) / "calls.pcap", sent))


def within(name: str, at: float, cseq: int, by: int, status: str, body: str) -> tuple[Line, ...]:
    """A re-INVITE, its answer and ACK."""
    rows = {"Session-Expires": f"1800;refresher={'uac' if by == 0 else 'uas'}", **SUPPORTED}
    return (
        Line(name, at, by, "INVITE", cseq, rows=tuple(rows.items()), body=body),
        Line(f"{name}-no", at + 0.1, 1 - by, "INVITE", cseq, status),
        Line(f"{name}-ack", at + 0.15, by, "ACK", cseq),
    )


def tagged(lines: tuple[Line, ...], tag: str, more: float = 0.0) -> tuple[Line, ...]:
    return tuple(replace(line, tag=tag, at=line.at + more) for line in lines)


FAX = SDP.replace("o=- 1 1", "o=- 1 2").replace("audio 4000 RTP/AVP 8", "image 4000 udptl t38")
HOLD = SDP.replace("o=- 1 1", "o=- 1 2") + "a=sendonly\r\n"


# What was refused, and whether it mattered.


@pytest.mark.requirement("REF-10-05")
@pytest.mark.parametrize("timer", [True, False], ids=["with a timer", "without one"])
@pytest.mark.parametrize(("by", "body"), [(0, FAX), (1, HOLD)], ids=["fax", "hold"])
def test_a_new_offer_that_is_refused_ends_nothing(by: int, body: str, *, timer: bool) -> None:
    script = lawful() if timer else Script((*setup({}, {}), *bye(2000)))

    assert rules(script.plus(*within("new", 40, 20, by, "488 Not Acceptable Here", body)).direct()) == []


@pytest.mark.requirement("REF-10-05")
def test_a_refusal_after_which_the_next_try_succeeds_is_no_cause() -> None:
    script = lawful().change(
        "one-ok", lambda line: replace(line, status="500 Server Internal Error", rows=(("Retry-After", "2"),))
    )

    assert rules(script.plus(*refresh("again", 906, 20)).direct()) == []


@pytest.mark.requirement("REF-10-05")
def test_a_refusal_over_which_the_call_ends_is_its_cause_also_without_a_timer() -> None:
    """The re-INVITE of a carrier each 20 minutes."""
    script = Script((*setup({}, {}), *within("re", 1203, 2, 0, "488 Not Acceptable Here", SDP), *bye(1203.3)))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.REFRESH_REFUSED, PBX)
    assert verdict.due == "a 2xx: nothing changed"


@pytest.mark.requirement("REF-10-05")
def test_a_new_description_that_ended_the_call_is_told_as_that() -> None:
    script = Script((*setup({}, {}), *within("fax", 40, 2, 0, "488 Not Acceptable Here", FAX), *bye(41)))

    assert "the description was a new one" in only(script.direct()).due


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize("status", ["481 Call/Transaction Does Not Exist", "408 Request Timeout"])
def test_who_says_that_the_call_is_gone_and_answers_its_bye_knew_it(status: str) -> None:
    script = silent.plus(*refresh("one", 903, 2), *bye(903.5)).change(
        "one-ok", lambda line: replace(line, status=status, rows=())
    )

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.REFRESH_REFUSED, PBX)
    assert verdict.stood == f"{status}, and yet it answered what came later"


@pytest.mark.requirement("REF-10-04")
def test_a_refresh_that_crosses_a_bye_is_refused_rightly() -> None:
    request, answer = refresh("one", 903, 2)
    script = silent.plus(request, *bye(903.01, by=1), replace(answer, at=903.05, status="481 Gone", rows=()))

    assert rules(script.direct()) == []


@pytest.mark.requirement("REF-10-05")
def test_who_never_meets_a_challenge_is_named_in_the_conclusion() -> None:
    script = silent.plus(*refresh("one", 903, 2), *bye(1771, by=1)).change(
        "one-ok", lambda line: replace(line, status="407 Proxy Authentication Required", rows=())
    )

    call = one(script.direct())

    assert [verdict.rule for verdict in call.verdicts] == [Rule.NOT_RETRIED]
    assert conclusion(call).startswith(f"Nobody broke a rule. {CARRIER} had a refresh refused")


def test_glare_that_is_settled_is_none() -> None:
    """Both sides refresh at once, both are told 491, one tries again."""
    both = (
        *within("a", 903, 2, 0, "491 Request Pending", SDP),
        *within("b", 903.02, 5, 1, "491 Request Pending", SDP),
    )

    assert rules(silent.plus(*both, *refresh("again", 905.5, 3, method="INVITE"), *bye(1300)).direct()) == []


# Who hung up, and why.


@pytest.mark.requirement("REF-10-07", "UAC-7.2-15")
@pytest.mark.parametrize("seconds", [1768, 1800])
def test_a_refresher_that_hangs_up_where_the_other_may_took_itself_for_that_one(seconds: int) -> None:
    verdict = only(silent.plus(*bye(3 + seconds, cseq=2)).direct())

    assert (verdict.rule, verdict.by.address) == (Rule.NO_REFRESH, CARRIER)
    assert f"the caller itself hung up after {seconds} of 1800 s" in verdict.stood


@pytest.mark.requirement("REF-10-07")
@pytest.mark.parametrize(
    "reason",
    [
        'Q.850;cause=102;text="Recovery on timer expiry"',
        'SIP;cause=408;text="RTP timer expired"',
        "SIP;cause=200",
    ],
)
def test_another_timer_is_not_the_sessions(reason: str) -> None:
    assert rules(silent.plus(*bye(500, by=1, Reason=reason)).direct()) == []


@pytest.mark.requirement("DEF-2-03")
@pytest.mark.parametrize("same_id", [True, False], ids=["the same Call-ID", "another Call-ID"])
def test_a_hang_up_that_a_b2bua_passes_on_is_not_its_own(*, same_id: bool) -> None:
    """The PBX did not refresh its second leg: that is cut. Then it ends the first, which was refreshed."""
    first = silent.plus(*refresh("one", 903, 2), *bye(1771.3, by=1, cseq=2))
    second = replace(silent.plus(*bye(1771, by=1, cseq=2)), caller=PBX, callee=PHONE)
    if not same_id:
        second = replace(second, call_id="leg-2@pbx")
    legs = second.direct()
    if same_id:
        legs = [
            replace(sent, text=sent.text.replace(b"tag=call", b"tag=leg").replace(b"z9hG4bK", b"z9hG4bKleg"))
            for sent in legs
        ]
    late = [replace(sent, time=sent.time + 0.05) for sent in legs]

    found = [verdict for call in each(in_order([*first.direct(), *late])) for verdict in call.verdicts]

    assert [(verdict.rule, verdict.by.address) for verdict in found] == [(Rule.NO_REFRESH, PBX)]


@pytest.mark.requirement("DEF-2-03")
def test_who_hangs_up_though_refreshed_may_have_passed_it_on() -> None:
    """What is behind it is not in the capture, so it is the cause and no breach."""
    script = silent.plus(*refresh("one", 903, 2), *bye(1771, by=1))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.level) == (Rule.REFRESH_IGNORED, Level.CAUSE)


@pytest.mark.requirement("UAS-9-13")
def test_who_was_not_told_to_refresh_is_not_asked_why_it_did_not() -> None:
    script = Script((*setup(answer={"Session-Expires": "1800", **SUPPORTED}), *bye(1771, by=1)))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.NO_REFRESHER, PBX)


@pytest.mark.requirement("UAS-9-14")
def test_who_cannot_refresh_is_not_asked_why_it_did_not() -> None:
    answer = {"Session-Expires": "1800;refresher=uac", **SUPPORTED}
    script = Script((*setup({"Allow": ALLOW}, answer), *bye(1771, by=1)))

    verdict = only(script.direct())

    assert (verdict.rule, verdict.by.address) == (Rule.UAC_CANNOT_REFRESH, PBX)


@pytest.mark.parametrize("by", [0, 1])
def test_an_ack_that_was_seen_was_not_lost(by: int) -> None:
    """A person hung up after 32 seconds."""
    call = one(Script((*setup({}, {}), *bye(35, by=by))).direct())

    assert call.ending.suspect is None


def test_an_ack_that_did_not_arrive_is_the_suspect() -> None:
    """It was sent, and the answer is repeated all the same."""
    script = Script((*setup({}, {}), *bye(35, by=1))).change("ok", lambda line: replace(line, times=_TIMEOUT))

    assert one(script.direct()).ending.suspect == SUSPECTS[32]


# Forks, early dialogs, several legs.


def test_an_update_before_the_answer_has_no_timer_to_keep() -> None:
    """The INVITE asked for one; until its 2xx none runs."""
    early = exchange("early", 1.0, 0, "UPDATE", 2, dict(SUPPORTED), dict(SUPPORTED))
    script = silent.plus(*early, *refresh("one", 903, 3), *bye(1000))

    assert rules(script.direct()) == []


def test_a_branch_that_is_given_up_is_not_the_call() -> None:
    """An announcement answers early; the caller ends it, and another one takes the call."""
    ringing = Line("183", 0.2, 1, "INVITE", 1, "183 Session Progress", body=SDP, tag="early")
    script = lawful().plus(ringing, *tagged(exchange("drop", 2.0, 0, "BYE", 2, {}, {}), "early"))

    (call,) = each(script.direct())

    assert call.whole
    assert call.verdicts == ()
    assert call.ending.lasted == pytest.approx(1997)


def test_forks_that_both_answer_through_a_proxy() -> None:
    """The caller ends the second one; the call goes on with the first."""
    rows = setup()[3].rows
    kept = tagged((*refresh("one", 903, 3), *bye(1000)), "a")
    dropped = tagged(exchange("drop", 3.3, 0, "BYE", 2, {}, {}), "b")
    answers = [
        Line(f"ok-{tag}", 3.0 + later, 1, "INVITE", 1, "200 OK", rows=rows, body=SDP, tag=tag)
        for tag, later in (("a", 0.0), ("b", 0.2))
    ]
    acks = [Line(f"ack-{one.tag}", one.at + 0.05, 0, "ACK", 1, tag=one.tag) for one in answers]
    near = Script((setup()[0], *answers, *acks, *kept, *dropped), callee=PROXY).direct()
    far = [
        Script((setup()[0], answer, ack, *after), caller=PROXY, callee=callee).direct()
        for answer, ack, after, callee in zip(answers, acks, (kept, dropped), (PBX, PHONE), strict=True)
    ]

    (call,) = each(in_order([*near, *far[0], *far[1]]))

    assert call.verdicts == ()
    assert len(call.dialogs) == 4
    assert call.ending.lasted == pytest.approx(997)


def test_a_branch_that_is_busy_does_not_end_the_call() -> None:
    """One after the other: 40 seconds later the rest of the call is still the same one."""
    busy = Script(
        (
            replace(setup()[0], at=0.01, branch="first"),
            Line("busy", 0.5, 1, "INVITE", 1, "486 Busy Here", tag="busy", branch="first"),
            Line("busy-ack", 0.51, 0, "ACK", 1, tag="busy", branch="first"),
        ),
        caller=PROXY,
        callee=PHONE,
    )
    noise = [
        sent
        for count in range(20)
        for sent in replace(Script((*setup({}, {}), *bye(5))), call_id=f"noise-{count}").direct()
    ]
    spread = [replace(sent, time=sent.time + 4 * count) for count, sent in enumerate(noise)]

    calls = each(in_order([*lawful().through(), *busy.direct(), *spread]))
    (call,) = [call for call in calls if not call.call_id.startswith("noise")]

    assert call.verdicts == ()
    assert call.ending.how == "BYE"


def test_a_call_id_that_is_used_again_is_another_call() -> None:
    again = [replace(sent, time=sent.time + 7200) for sent in lawful().direct()]

    calls = each([*lawful().direct(), *again])

    assert [len(call.dialogs[0].agreed) for call in calls] == [3, 3]


def test_another_try_after_a_minute_is_the_same_call() -> None:
    """A person types the password that a 407 asked for."""
    refused = (
        setup()[0],
        Line("407", 0.1, 1, "INVITE", 1, "407 Proxy Authentication Required"),
        Line("407-ack", 0.2, 0, "ACK", 1),
    )

    (call,) = each(Script((*refused, *setup(cseq=2, at=60), *bye(100, cseq=3))).direct())

    assert call.ending.lasted == pytest.approx(37)


def test_a_422_that_came_from_further_on_is_judged_there_by_any_clock() -> None:
    """The hop behind the proxy was captured by another host, whose clock is ahead."""
    sent = after_422().through(behind=lambda line: line.with_rows(Session_Expires="1800"))
    skewed = [replace(one_, time=one_.time + 4 * (PBX in (one_.source, one_.target))) for one_ in sent]

    assert Rule.NEEDLESS_422 not in rules(in_order(skewed))


# What the capture does not have.


@pytest.mark.requirement("REF-10-04")
def test_an_answer_is_missed_only_where_both_directions_were_captured() -> None:
    request, answer = refresh("one", 903, 2)
    alone = silent.plus(replace(request, times=_TIMEOUT), *bye(935.5, cseq=3)).direct()
    passed = silent.plus(replace(request, times=_TIMEOUT[:3]), answer, *bye(1300, cseq=3)).through()

    assert rules([sent for sent in alone if sent.source == CARRIER]) == []
    assert rules([sent for sent in passed if sent.source != PBX]) == []


@pytest.mark.requirement("UAC-7.2-15")
@pytest.mark.parametrize("cseq", [3, 4])
def test_a_refresh_that_was_not_captured_shows_in_the_next_cseq(cseq: int) -> None:
    """Files of a ring buffer, one of them lost: 3 is missing before 4, and nothing before 3."""
    script = silent.plus(*refresh("one", 903, 2), *refresh("three", 2803, cseq), *bye(3000, cseq=cseq + 1))

    assert rules(script.direct()) == ([Rule.NO_REFRESH] if cseq == 3 else [])


def test_an_answer_without_its_invite_tells_how_the_call_ended() -> None:
    (call,) = each(Script((Line("no", 0, 1, "INVITE", 1, "403 Forbidden"),)).direct())

    assert call.ending.how == "403 Forbidden"
    assert call.ending.by is not None
    assert call.ending.by.address == PBX


def test_a_call_without_an_answer_is_not_called_faultless() -> None:
    (call,) = each(Script((setup()[0],)).direct())

    assert conclusion(call) == "The capture has no answer to this call: there is no session timer to judge."


def test_what_was_not_judged_is_not_called_faultless() -> None:
    call = one(lawful().only(lambda line: line.by == 0).direct())

    assert conclusion(call) == "No fault was found in what could be judged."


# The same packet in several places.


@pytest.mark.parametrize("apart", [0.0002, 0.2, 3.0])
def test_one_hop_captured_twice(apart: float) -> None:
    """By two interfaces, or by two hosts whose clocks differ."""
    for script, expected in ((lawful(), []), (silent.plus(*bye(1771, by=1)), [Rule.NO_REFRESH])):
        sent = script.direct()
        assert rules(in_order([*sent, *[replace(one_, time=one_.time + apart) for one_ in sent]])) == expected


def test_one_hop_captured_before_and_behind_address_translation() -> None:
    for script, expected in ((lawful(), []), (silent.plus(*bye(1771, by=1)), [Rule.NO_REFRESH])):
        inside = {CARRIER: "198.18.90.1", PBX: "198.18.90.2"}
        behind = [
            replace(sent, time=sent.time + 0.0002, source=inside[sent.source], target=inside[sent.target])
            for sent in script.direct()
        ]
        assert rules(in_order([*script.direct(), *behind])) == expected
