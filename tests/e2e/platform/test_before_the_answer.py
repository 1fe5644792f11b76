"""A call that still rings: what Asterisk, as its UAS, takes, refuses and sends."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

from tests.e2e import asterisk_orders as orders
from tests.lab.peers.user_agent import Call, sdp
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
TRIES = 6
"""So often the same Retry-After would be no accident: once in 100,000."""

UNANSWERED = 45.0
"""Seconds: after 30 the edge answers in the place of who does not."""

_numbers = itertools.count(os.getpid() * 1000)


def ringing(stage: Stage, code: int, *rows: str) -> tuple[Call, SipMessage, Call, SipMessage]:
    """Asterisk bridges the carrier's call to a callee that rings.

    Gives the call with its 1xx, and the callee's with its INVITE. The INVITE of the call has CSeq 1.
    """
    user = str(next(_numbers))
    call = stage.peer(41).call(f"sip:9{user}@{stage.stack.edge}")
    call.invite(*OURS, *rows)
    callee, invite = stage.peer(40).called(user)
    callee.answer(invite, code, body=sdp(callee.agent.address) if code == 183 else "")
    early = call.expect(code)
    call.establish(early)
    return call, early, callee, invite


def take(call: Call, callee: Call, invite: SipMessage) -> None:
    """The callee takes the call."""
    callee.accept(invite)
    call.ack(call.final(1))
    callee.expect("ACK")


def end(call: Call, callee: Call) -> None:
    """The caller hangs up, which ends both calls."""
    assert call.bye().status == 200
    callee.accept(callee.expect("BYE"))


def assert_come_again(answers: Iterable[SipMessage]) -> None:
    """Each is a 500 with a Retry-After of 0 to 10 seconds, drawn by lot."""
    waits = set()
    for answer in answers:
        assert answer.status == 500
        waits.add(int(answer.header("Retry-After") or "none"))
    assert waits <= set(range(11))
    assert len(waits) > 1


@together.test("UPD-5.2-03")
def test_update_with_an_offer_is_told_to_come_again_while_the_first_offer_waits(stage: Stage) -> None:
    call, _, callee, invite = ringing(stage, 180)
    offer = sdp(call.agent.address)
    assert_come_again([call.ask("UPDATE", *OURS, body=offer) for _ in range(TRIES)])
    assert call.ask("UPDATE", *OURS).status == 200, "without an offer nothing stands against it"
    take(call, callee, invite)
    end(call, callee)


@together.test("S61-14.2-01")
def test_second_invite_is_told_to_come_again_while_the_first_waits(stage: Stage) -> None:
    call, _, callee, invite = ringing(stage, 180)
    if stage.stack.asterisk_release() >= (18, 0):
        assert_come_again([call.final(call.invite(*OURS)) for _ in range(TRIES)])
    else:
        # 16.28 says nothing at all, and the edge ends the wait.
        assert call.final(call.invite(*OURS), UNANSWERED).status == 408
    take(call, callee, invite)
    end(call, callee)


@together.test("UPD-4-01", "UPD-4-02")
def test_allow_names_update_in_the_invite_the_reliable_183_and_the_2xx(stage: Stage) -> None:
    call, early, callee, invite = ringing(stage, 183, "Require: 100rel")
    assert "update" in invite.tokens("Allow")
    assert early.header("RSeq")
    assert early.body != b""
    assert "update" in early.tokens("Allow")
    assert call.ask("PRACK", f"RAck: {early.header('RSeq')} 1 INVITE").status == 200
    callee.accept(invite)
    answer = call.final(1)
    assert "update" in answer.tokens("Allow")
    call.ack(answer)
    callee.expect("ACK")
    end(call, callee)


@together.test("S61-15-01")
def test_asterisk_ends_a_ringing_call_by_an_answer_and_not_by_bye(stage: Stage) -> None:
    call, _, callee, invite = ringing(stage, 180)
    orders.hang_up(stage.stack, call)
    callee.accept(callee.expect("CANCEL"))
    callee.answer(invite, 487)
    callee.expect("ACK")
    assert call.final(1).status == 603
    assert not [each for each in stage.observed(call).packets if each.message.is_request("BYE")]
