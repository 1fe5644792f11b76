"""Asterisk calls someone who has registered from two places: both ring, each with an answer of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Peer
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack

pytestmark = pytest.mark.usefixtures("nothing_learned")

TIMER = ("Supported: timer", "Require: timer")
Ringing = Callable[[], list[tuple[Call, SipMessage]]]


@pytest.fixture
def both(peer: Peer, stack: Stack) -> Ringing:
    """Make Asterisk call; gives the call and its INVITE as they come in at each place."""

    def call() -> list[tuple[Call, SipMessage]]:
        user, places = f"both{secrets.token_hex(4)}", (peer(40), peer(49))
        for place in places:
            uri = place.reachable(user)
        stack.place_call(uri)
        return [place.called(user) for place in places]

    return call


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.3-01")
@pytest.mark.parametrize("refuses", [0, 1])
def test_the_place_that_answered_422_is_the_one_that_is_tried_again(
    both: Ringing, edge: Kamailio, refuses: int
) -> None:
    ringing = both()
    call, invite = ringing[refuses]
    other, declined = ringing[1 - refuses]
    call.answer(invite, 422, "Min-SE: 3600")
    call.expect("ACK")
    other.answer(declined, 486)
    other.expect("ACK")
    again = call.expect("INVITE")
    assert again.rows("Min-SE") == ("3600",)
    call.accept(again, *TIMER, "Session-Expires: 3600;refresher=uac")
    call.expect("ACK")
    edge.record(call.call_id, interval="3600")
    call.bye()


def test_the_2xx_of_one_place_counts_and_not_the_422_of_the_other(both: Ringing, edge: Kamailio) -> None:
    retried = edge.counter("422_retried")
    (call, invite), (other, refused) = both()
    other.answer(refused, 422, "Min-SE: 3600")
    other.expect("ACK")
    call.accept(invite, *TIMER, "Session-Expires: 1800;refresher=uac")
    call.expect("ACK")
    edge.record(call.call_id, interval="1800", min_se="0")
    assert edge.counter("422_retried") == retried
    call.bye()
    assert edge.record_texts(call.call_id) == {}


@pytest.mark.requirement("UAC-7.2-12")
def test_both_places_answer_and_the_end_of_one_leaves_the_record_of_the_other(
    both: Ringing, edge: Kamailio, wire: Wire
) -> None:
    (call, invite), (late, cancelled) = both()
    late.answer(cancelled, 180)
    wire.reached_asterisk(late.call_id, 180)
    call.accept(invite, *TIMER, "Session-Expires: 1800;refresher=uac")
    call.expect("ACK")
    late.answer(late.expect("CANCEL"), 200)
    late.accept(cancelled, *TIMER, "Session-Expires: 600;refresher=uas")
    records = edge.records(call.call_id, 2)
    assert {(each["interval"], each["refresher"]) for each in records} == {
        ("1800", "local"),
        ("600", "remote"),
    }
    call.bye()
    assert edge.record(call.call_id)["interval"] == "600"
    late.bye()
