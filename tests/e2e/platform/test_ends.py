"""Answers that nobody confirms, that come twice, or that come too late to be cancelled."""

from __future__ import annotations

import pytest

from tests.e2e import asterisk_orders as orders
from tests.lab.peers.audio import Audio
from tests.lab.peers.user_agent import Call, sdp
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together
from tests.lab.waiting import wait_until

together = Together()
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
THEIRS = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
TIMER_H = 32
"""Seconds, 64*T1: so long a UAS repeats its 2xx (RFC 3261, 13.3.1.4)."""


def hung_up_unconfirmed(stage: Stage) -> tuple[Call, SipMessage]:
    """A call that Asterisk has answered and hung up without an ACK; gives the 2xx too."""
    call = stage.peer(41).call()
    answer = call.final(call.invite(*OURS))
    call.establish(answer)
    orders.hang_up(stage.stack, call)
    wait_until(lambda: call.call_id not in stage.stack.channels(), 15, "Asterisk to have hung up")
    return call, answer


@together.test("S61-15-01")
def test_bye_of_the_callee_waits_for_the_ack(stage: Stage) -> None:
    call, answer = hung_up_unconfirmed(stage)
    call.ack(answer)
    call.accept(call.expect("BYE"))
    inside = [each.message for each in stage.observed(call).inside]
    assert [each.method for each in inside if each.status is None] == ["INVITE", "ACK", "BYE"]


@together.test("S61-15-01")
def test_without_ack_the_callee_sends_bye_after_32_seconds_but_none_for_a_reinvite(stage: Stage) -> None:
    """RFC 3261 14.2 wants BYE for the re-INVITE too: Asterisk lets the call live."""
    living = stage.peer(41).call()
    living.dial(*OURS)
    assert living.final(living.invite(*OURS)).status == 200
    call, _ = hung_up_unconfirmed(stage)
    bye = call.expect("BYE", timeout=TIMER_H + 8)
    call.accept(bye)
    seen = stage.observed(call)
    assert seen.bye is not None
    assert seen.established is not None
    assert seen.bye.time - seen.established.time == pytest.approx(TIMER_H, abs=2)
    # The re-INVITE's 2xx is the older of the two, so its time is over as well.
    assert living.ask("UPDATE", *THEIRS).status == 200
    assert not [each for each in stage.observed(living).packets if each.message.is_request("BYE")]
    assert living.bye().status == 200


@together.test()
def test_of_two_forked_2xx_only_the_first_is_confirmed(stage: Stage) -> None:
    """RFC 3261 13.2.2.4 wants ACK and BYE for the other too: Asterisk passes over it."""
    call, invite = stage.originate(stage.peer(41))
    for count, tag in enumerate(("one", "two"), 1):
        call.accept(invite, tag=tag)
        # Of two in the same moment tm takes only one for the transaction's.
        assert stage.wire.reached_asterisk(call.call_id, 200, count).to_tag == tag
    assert call.expect("ACK").to_tag == "one"
    call.local_tag = "one"
    assert call.bye().status == 200
    assert not [
        each
        for each in stage.observed(call).inside
        if each.message.status is None and each.message.to_tag == "two"
    ]


@together.test("RI-3.8-01")
def test_cancelled_reinvite_whose_change_is_made_is_answered_200_and_refreshes(stage: Stage) -> None:
    """Asterisk changes and answers in one step: no CANCEL ever meets a change that is made but not answered.

    One that meets the INVITE at the edge, before it went on, is answered 487 there: nothing was changed.
    """
    call = stage.peer(41).call()
    call.dial(*THEIRS)
    for count, (held, other) in enumerate((("sendonly", "recvonly"), ("sendrecv", "sendrecv")), 1):
        body = sdp(call.agent.address, version=1 + count, direction=held)
        number = call.send("INVITE", *THEIRS, body=body)
        stage.wire.reached_asterisk(call.call_id, "INVITE", 1 + count)
        call.send("CANCEL", cseq=number, branch=call.invite_branch)
        answer = call.final(number)
        assert answer.status == 200
        assert Audio.read(answer.body).direction == other
        call.ack(answer)
        stage.edge.record(call.call_id, refreshes=str(count), interval="1800", refresher="remote")
    assert call.bye().status == 200
