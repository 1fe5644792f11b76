"""What a request may require of the edge: the sanity module's check, which the lab's script asks for."""

from __future__ import annotations

import pytest

from tests.lab.parts.observed_edge import Wire
from tests.lab.peers.user_agent import Peer
from tests.lab.stack import Stack


@pytest.mark.smoke
@pytest.mark.requirement("S61-16.3-01")
@pytest.mark.parametrize("required", ["unheard-of", "timer, unheard-of"])
def test_tag_that_the_proxy_does_not_know_is_answered_420(
    peer: Peer, wire: Wire, stack: Stack, required: str
) -> None:
    call = peer(41).call()
    answer = call.final(call.invite("Supported: timer", f"Proxy-Require: {required}"))
    assert answer.status == 420
    assert answer.tokens("Unsupported") == {"unheard-of"}
    inside = [each for each in wire.packets(call.call_id) if each.destination.address == stack.asterisk]
    assert inside == []


def test_timer_may_be_required_of_it(peer: Peer) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800", "Proxy-Require: timer")
    assert call.bye().status == 200
