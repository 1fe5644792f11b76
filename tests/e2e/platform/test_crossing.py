"""Requests that meet others on their way: what Asterisk answers, and what it sends meanwhile."""

from __future__ import annotations

from tests.e2e import asterisk_orders as orders
from tests.lab.peers.user_agent import sdp
from tests.lab.together import Stage, Together

together = Together()
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
THEIRS = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


@together.test("S61-14.1-02", "UPD-5.1-05")
def test_update_without_offer_passes_a_reinvite_and_one_with_an_offer_waits(stage: Stage) -> None:
    call = stage.peer(41).call()
    call.dial(*OURS)
    orders.reinvite(stage.stack, call)
    reinvite = call.expect("INVITE")
    assert call.ask("UPDATE", *THEIRS).status == 200, "the peer's passes"
    orders.update(stage.stack, call)
    bare = call.expect("UPDATE")
    assert bare.body == b""
    call.accept(bare)
    orders.refresh_with_offer(stage.stack, call, "UPDATE")
    call.accept(reinvite)
    call.expect("ACK")
    if orders.sends_offers(stage.stack):
        orders.refresh_with_offer(stage.stack, call, "UPDATE")
        offer = call.expect("UPDATE")
        assert offer.body != b""
        call.accept(offer)
    seen = [each.message for each in stage.observed(call).outside]
    answered = seen.index(next(each for each in seen if (each.cseq, each.status) == (reinvite.cseq, 200)))
    assert [each.cseq for each in seen[:answered] if each.is_request("UPDATE") and each.body] == []
    assert call.bye().status == 200


@together.test("S61-14.1-01")
def test_second_reinvite_waits_for_the_response_to_the_first(stage: Stage) -> None:
    call = stage.peer(41).call()
    call.dial(*OURS)
    orders.reinvite(stage.stack, call)
    first = call.expect("INVITE")
    orders.reinvite(stage.stack, call)
    orders.update(stage.stack, call)
    call.accept(call.expect("UPDATE"))  # ordered after the second re-INVITE, and sent before it
    call.accept(first)
    call.expect("ACK")
    second = call.expect("INVITE")
    assert second.cseq > first.cseq
    call.accept(second)
    call.expect("ACK")
    seen = [each.message for each in stage.observed(call).outside]
    answered = seen.index(next(each for each in seen if (each.cseq, each.status) == (first.cseq, 200)))
    assert {each.cseq for each in seen[:answered] if each.is_request("INVITE")} == {(1, "INVITE"), first.cseq}
    assert call.bye().status == 200


@together.test("RI-3.5-01")
def test_updates_without_offer_may_cross(stage: Stage) -> None:
    call = stage.peer(41).call()
    call.dial(*OURS)
    orders.update(stage.stack, call)
    pending = call.expect("UPDATE")
    assert call.ask("UPDATE", *OURS).status == 200
    call.accept(pending, "Require: timer", "Session-Expires: 1800;refresher=uac")
    record = stage.edge.record(call.call_id, refreshes="2", interval="1800")
    assert record["refresher"] == "local", "both transactions name the same end"
    assert call.bye().status == 200


@together.test("UPD-5.2-02")
def test_offer_that_meets_ours_is_answered_491(stage: Stage) -> None:
    call = stage.peer(41).call()
    call.dial(*OURS)
    orders.reinvite(stage.stack, call)
    reinvite = call.expect("INVITE")
    assert call.ask("UPDATE", *THEIRS, body=sdp(call.agent.address)).status == 491
    call.accept(reinvite)
    call.expect("ACK")
    assert call.ask("UPDATE", *THEIRS, body=sdp(call.agent.address)).status == 200
    assert call.bye().status == 200


@together.test()
def test_updates_in_a_row_are_answered_one_after_the_other(stage: Stage) -> None:
    """Each has its final answer before Asterisk takes up the next, so none meets one that is pending."""
    call = stage.peer(41).call()
    call.dial(*OURS)
    numbers = [call.send("UPDATE", *THEIRS) for _ in range(6)]
    answered = {number: call.final(number).status for number in numbers}
    inside = [each.message for each in stage.observed(call).inside if each.message.is_request("UPDATE")]
    arrived = [each.cseq[0] for each in inside]
    assert sorted(arrived) == numbers
    # The edge's processes may hand them on in another order: whatever was overtaken is out of order.
    assert answered == {
        number: 200 if number == max(arrived[: at + 1]) else 500 for at, number in enumerate(arrived)
    }
    assert call.bye().status == 200
