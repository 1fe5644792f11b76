"""Where Asterisk sends what comes next, after Contacts that say the peer is elsewhere."""

from __future__ import annotations

from tests.e2e import asterisk_orders as orders
from tests.lab.peers.audio import Audio, described
from tests.lab.peers.user_agent import ALLOW, Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together

together = Together()
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")


def update(stage: Stage, call: Call) -> SipMessage:
    """The next UPDATE of Asterisk; not yet answered."""
    orders.update(stage.stack, call)
    return call.expect("UPDATE")


def target(request: SipMessage) -> str:
    """The user for whom it is."""
    return (request.request_uri or "").removeprefix("sip:").partition("@")[0]


@together.test("S61-12.2.1.2-02")
def test_contact_of_the_2xx_to_a_refresh_is_where_the_next_requests_go(stage: Stage) -> None:
    call = stage.peer(41).call()
    call.dial(*OURS)
    first = update(stage, call)
    assert target(first) == "carrier"
    call.user = "moved"
    call.accept(first)
    stage.wire.reached_asterisk(call.call_id, 200)
    second = update(stage, call)
    assert target(second) == "moved"
    call.accept(second)
    orders.hang_up(stage.stack, call)
    bye = call.expect("BYE")
    assert target(bye) == "moved"
    call.accept(bye)


@together.test()
def test_refused_update_of_asterisk_moves_nothing_but_the_peers_refused_reinvite_does(stage: Stage) -> None:
    """The second half is against RFC 6141 4.6: the target must stay where the request is refused."""
    call = stage.peer(41).call()
    call.dial(*OURS)
    call.user = "nowhere"
    call.answer(update(stage, call), 488)
    stage.wire.reached_asterisk(call.call_id, 488)
    request = update(stage, call)
    assert target(request) == "carrier"
    call.user = "carrier"
    call.accept(request)
    # The edge's processes could hand on the INVITE sooner, and then the older Contact is what counts.
    stage.wire.reached_asterisk(call.call_id, 200)
    call.user = "refused"
    unknown = described(call.agent.address, "0").replace("RTP/AVP 0", "RTP/AVP 9").replace("0 PCMU", "9 G722")
    assert call.ask("INVITE", *OURS, body=unknown).status == 488
    moved = update(stage, call)
    assert target(moved) == "refused"
    call.accept(moved)
    assert call.bye().status == 200


@together.test()
def test_contact_of_a_provisional_answer_is_not_followed_but_that_of_the_2xx_is(stage: Stage) -> None:
    """Nor is that of a reliable 183 to a re-INVITE, against RFC 6141 4.7; it is not even confirmed."""
    call = stage.peer(41).call()
    call.dial(*OURS)
    orders.reinvite(stage.stack, call)
    reinvite = call.expect("INVITE")
    call.user = "ringing"
    call.answer(reinvite, 180)
    call.answer(reinvite, 183, "Require: 100rel", "RSeq: 77")
    stage.wire.reached_asterisk(call.call_id, 183)
    request = update(stage, call)
    assert target(request) == "carrier"
    call.user = "carrier"
    call.accept(request)
    stage.wire.reached_asterisk(call.call_id, 200)  # the edge's processes could hand on the next one sooner
    call.user = "moved"
    call.accept(reinvite)
    assert target(call.expect("ACK")) == "moved"
    request = update(stage, call)
    assert target(request) == "moved"
    call.accept(request)
    assert not [each for each in stage.observed(call).packets if each.message.is_request("PRACK")]
    assert call.bye().status == 200


@together.test("RI-4.4-01")
def test_request_that_changes_the_session_leaves_our_target_as_it_was(stage: Stage) -> None:
    call = stage.peer(41).call()
    body = described(call.agent.address, "0 8 101")
    answer = call.final(call.send("INVITE", ALLOW, *OURS, body=body))
    call.ack(answer)
    was = Audio.read(answer.body)
    orders.change_digits(stage.stack, call, "info")  # from now on without telephone-event
    request = call.expect("INVITE")
    assert Audio.read(request.body).unchanged != was.unchanged
    assert request.header("Contact") == answer.header("Contact")
    call.answer(request, 200, ALLOW, body=described(call.agent.address, "0 8", version=2))
    call.expect("ACK")
    if orders.sends_offers(stage.stack):
        orders.refresh_with_offer(stage.stack, call, "UPDATE", "ulaw")
        request = call.expect("UPDATE")
        assert Audio.read(request.body).media.split()[3:] == ["0"]
        assert request.header("Contact") == answer.header("Contact")
        call.answer(request, 200, ALLOW, body=described(call.agent.address, "0", version=3))
    assert call.bye().status == 200
