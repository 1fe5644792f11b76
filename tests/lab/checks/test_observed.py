"""The questions put to a call, and the comparisons made of the answers."""

from __future__ import annotations

import pytest
from demo.checks import Check, at_least, contains, equal, near

from tests.lab import wire
from tests.lab.drawn_calls import packet, the_call
from tests.lab.observed import ObservedCall
from tests.lab.wire import ASTERISK, CARRIER, EDGE

CALL = ObservedCall.of(the_call(), "call-1", edge=EDGE, carrier=CARRIER, asterisk=ASTERISK)


def test_both_tries_and_what_was_agreed() -> None:
    assert [each.message.cseq for each in CALL.invites] == [(1, "INVITE"), (2, "INVITE")]
    refusal = CALL.response(CALL.invites[0])
    assert refusal is not None
    assert refusal.message.status == 422
    assert CALL.agreed == "12;refresher=uas"
    assert CALL.established is not None
    assert CALL.established.time == pytest.approx(1000.21)


def test_refreshes_by_either_side() -> None:
    ours, theirs = CALL.refreshes_by(EDGE), CALL.refreshes_by(CARRIER)

    assert [each.request.message.method for each in ours] == ["UPDATE"]
    assert [each.request.message.method for each in theirs] == ["INVITE"]
    assert [each.agreed for each in CALL.refreshes] == ["12;refresher=uac"] * 2
    assert all(each.answered for each in CALL.refreshes)


def test_an_unanswered_refresh_is_not_answered_by_another_call_of_the_same_number() -> None:
    stray = packet(21.0, EDGE, CARRIER, wire.request("UPDATE", "CSeq: 9 UPDATE", "To: <sip:c@d>;tag=2"))
    refused = packet(21.5, CARRIER, EDGE, wire.response("491 Request Pending", "UPDATE", "CSeq: 9 UPDATE"))

    alone = ObservedCall.of([*the_call(), stray], "call-1", edge=EDGE, carrier=CARRIER, asterisk=ASTERISK)
    answered = ObservedCall.of(
        [*the_call(), stray, refused], "call-1", edge=EDGE, carrier=CARRIER, asterisk=ASTERISK
    )

    assert alone.refreshes[-1].response is None
    assert not alone.refreshes[-1].answered
    assert alone.refreshes[-1].agreed is None
    assert answered.refreshes[-1].response == refused
    assert not answered.refreshes[-1].answered


def test_legs_and_the_end() -> None:
    assert len(CALL.inside) == 3
    assert all(not each.retransmission for each in CALL.outside)
    assert CALL.bye is not None
    assert CALL.bye.source.address == EDGE


def test_a_call_that_was_not_captured() -> None:
    nothing = ObservedCall.of(the_call(), "another", edge=EDGE, carrier=CARRIER, asterisk=ASTERISK)

    assert (nothing.invites, nothing.established, nothing.agreed, nothing.bye) == ([], None, None, None)


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (equal("x", 422, 422), True),
        (equal("x", 422, None), False),
        (at_least("x", 24, 24.5, " s"), True),
        (at_least("x", 24, 23.9), False),
        (at_least("x", 24, None), False),
        (near("x", 8.0, 7.79), False),
        (near("x", 8.0, 7.9), True),
        (near("x", 8.0, 9.0), True),
        (near("x", 8.0, 9.1), False),
        (near("x", 8.0, None), False),
        (contains("x", "expired", "call expired"), True),
        (contains("x", "expired", ""), False),
    ],
)
def test_checks(check: Check, passed: bool) -> None:
    assert check.passed is passed


def test_a_check_says_what_was_expected_and_seen() -> None:
    assert near("BYE", 8.0, 11.5) == Check("BYE", "8.0 s (-0.2, +1)", "11.5 s", passed=False)
    assert at_least("lived", 24, None, " s") == Check("lived", "at least 24 s", "nothing", passed=False)
