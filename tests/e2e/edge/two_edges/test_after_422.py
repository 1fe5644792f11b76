"""The far end's view of a request that is sent once more after a 422: same Call-ID, From tag and CSeq.

RFC 4028 7.3 wants CSeq + 1, which a proxy cannot give. A UAS that still has the first transaction may take
the second for one that came on two ways, and answer 482 (RFC 3261 8.2.2.2); within a dialog it may answer 500
to a CSeq that does not grow (12.2.2).
"""

from __future__ import annotations

import re

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Originate, Peer
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("nothing_learned")

MIN_SE = 2000


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.4-05", "REF-10-06")
def test_a_far_end_that_takes_the_second_try_for_a_loop(
    peer: Peer, originate: Originate, stack: Stack, edge: Kamailio, wire: Wire
) -> None:
    """One call is lost, at once and with a final answer; the log says why; the next one succeeds."""
    retried = edge.counter("422_retried")
    call, first = originate(peer(49))
    call.answer(first, 422, f"Min-SE: {MIN_SE}", "Supported: timer")
    call.expect("ACK")
    second = call.expect("INVITE")
    call.answer(second, 482)
    call.expect("ACK")
    final = wire.reached_asterisk(call.call_id, 482)
    assert final.cseq == first.cseq
    assert edge.counter("422_retried") == retried + 1
    wait_until(lambda: call.call_id not in stack.channels(), PATIENCE, "Asterisk to have ended the call")
    assert len(wire.requests(call.agent.address, call.call_id, "INVITE")) == 2
    finals = [each.status for each in wire.to_asterisk(call.call_id) if (each.status or 0) >= 200]
    assert finals == [482]
    # The number alone occurs in ports, CSeqs and Call-IDs.
    row = rf"^.*{re.escape(call.call_id)}.*answered 482.*$"
    (told,) = wait_until(
        lambda: re.findall(row, stack.logs("edge"), re.MULTILINE), PATIENCE, "the log to tell"
    )
    assert f"default_expires: {MIN_SE}" in told

    other, invite = originate(peer(49))
    assert invite.rows("Session-Expires") == (str(MIN_SE),)
    assert invite.rows("Min-SE") == (str(MIN_SE),)
    other.accept(invite, "Supported: timer", "Require: timer", f"Session-Expires: {MIN_SE};refresher=uac")
    other.expect("ACK")
    assert other.bye().status == 200
