"""A profile that neither address nor domain picks: the script names it, as after a dispatcher's choice."""

from __future__ import annotations

import pytest

from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.user_agent import Originate, Peer


@pytest.mark.requirement("UAC-7.1-02")
def test_peer_named_by_the_script_is_not_asked_but_told_of_support(
    peer: Peer, originate: Originate, edge: Kamailio
) -> None:
    call, invite = originate(peer(49), "dispatched")
    assert invite.rows("Session-Expires") == ()
    assert "timer" in invite.tokens("Supported")
    call.accept(invite, "Supported: timer", "Require: timer", "Session-Expires: 600;refresher=uac")
    call.expect("ACK")
    edge.record(call.call_id, interval="600", refresher="local", peer="unasked")
    call.bye()
