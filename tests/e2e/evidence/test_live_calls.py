"""Live calls whose refreshes the edge cannot see answered: none of them ends, whatever is silent.

Each was a BYE to a live call in release 0.1.0.
"""

from __future__ import annotations

import pytest

from tests.lab.peers.audio import described
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    HALF,
    INTERVAL,
    NO_UPDATE,
    SWALLOWING,
    TIMER,
    agree,
    keep,
    received,
    refresh,
)
from tests.lab.peers.user_agent import Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, wait_until

together = Together()


def stands(stage: Stage, call: Call) -> None:
    """No BYE has come, Asterisk has the channel, and our own BYE ends it."""
    assert stage.observed(call).bye is None
    assert call.call_id in stage.stack.channels()
    assert call.bye().status == 200


def from_asterisk(stage: Stage, call: Call, *methods: str) -> list[SipMessage]:
    """The requests of Asterisk's within the dialog that reached the edge."""
    seen = stage.wire.from_asterisk(call.call_id)
    return [each for each in seen if each.is_request(*methods) and each.to_tag is not None]


@together.test("REF-10-04", "D-01")
def test_requests_that_go_past_the_edge_are_no_evidence(stage: Stage) -> None:
    """The peer's 2xx has no Record-Route: Asterisk talks straight to it, and it answers each refresh."""
    call, invite = stage.originate(stage.peer(BY_UPDATE))
    call.accept(
        invite, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac", record_route=False
    )
    call.next_hop = (stage.stack.asterisk, 5060)
    call.expect("ACK")
    for _ in range(3):
        request = call.expect("UPDATE", timeout=INTERVAL)
        assert "Session-Expires" not in request.start_line
        call.accept(request)
    stage.edge.record(call.call_id, on_path="0", refreshes="0")
    wait_until(
        lambda: stage.companion.log(call.call_id),
        PATIENCE,
        "a line that this edge cannot judge",
        holds=_off_path,
    )
    assert call.call_id in stage.stack.channels()
    assert call.bye().status == 200


def _off_path(log: str) -> bool:
    return "the edge is not on the path of this call" in log


@pytest.mark.smoke
@together.test("REF-10-04", "UAC-7.4-16", "D-02")
def test_an_update_that_a_path_swallows_costs_one_refresh_and_not_the_call(stage: Stage) -> None:
    """The edge's own timeout reaches Asterisk as 504, which keeps the dialog; the re-INVITE is answered."""
    call, _ = received(stage, SWALLOWING)
    refresh(call, "UPDATE")  # swallowed
    request = call.expect("INVITE", timeout=HALF)
    agree(call, request)
    to_asterisk = [each for each in stage.wire.to_asterisk(call.call_id) if each.status == 504]
    assert to_asterisk
    assert not [each for each in stage.wire.to_asterisk(call.call_id) if each.status == 408]
    stage.edge.record(call.call_id, refreshes="1")
    # What was learned holds: the next refresh does not try UPDATE again.
    agree(call, refresh(call, "INVITE"))
    stands(stage, call)


@together.test("REF-10-03", "UAC-7.4-09", "UAC-7.3-01")
def test_a_422_in_the_dialog_is_met_by_a_new_request_and_never_repeated_by_the_edge(stage: Stage) -> None:
    """A strict peer answers 408 to a copy with the same CSeq; any CSeq above it gets 200."""
    call, _ = received(stage, BY_UPDATE)
    first = refresh(call, "UPDATE")
    call.answer(first, 422, "Min-SE: 20")
    again = call.expect("UPDATE", timeout=4)
    assert again.cseq[0] > first.cseq[0]
    assert again.rows("Session-Expires") == ("20;refresher=uac",)
    call.answer(again, 200, "Require: timer", "Session-Expires: 20;refresher=uac")
    stage.edge.record(call.call_id, refreshes="1", min_se="20", interval="20")
    assert [each.cseq for each in from_asterisk(stage, call, "UPDATE")] == [first.cseq, again.cseq]
    stands(stage, call)


@together.test("UAC-7.2-10", "REF-10-02")
def test_a_bare_200_of_a_peer_that_names_timer_leaves_us_refreshing_alone(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), 200, TIMER)
    stage.edge.record(call.call_id, refreshes="1", refresher="local", one_sided="1", interval=str(INTERVAL))
    agree(call, call.expect("UPDATE", timeout=INTERVAL))
    stands(stage, call)


@together.test("REF-10-04", "S61-22-01")
def test_a_challenge_is_answered_by_asterisk_and_met_once_a_round(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    challenged = refresh(call, "UPDATE")
    call.answer(challenged, 401, 'WWW-Authenticate: Digest realm="carrier", nonce="1"')
    # The lab's endpoint has no credentials, so Asterisk leaves it at that, and nothing follows at once.
    agree(call, call.expect("UPDATE", timeout=2 * INTERVAL))
    round_of_both = from_asterisk(stage, call, "UPDATE", "INVITE")
    assert len(round_of_both) == 2
    stands(stage, call)


@together.test("REF-10-07", "D-02")
def test_a_request_of_the_peer_is_a_sign_of_life_whatever_asterisk_says_to_it(stage: Stage) -> None:
    """It answers no form of our probe, but asks something itself, which is refused."""
    call, _ = received(stage, BY_UPDATE, "24;refresher=uac", allow=NO_UPDATE)
    call.expect("INVITE", timeout=24)
    body = described(call.agent.address, "0", version=2)
    assert call.final(call.send("INVITE", TIMER, body=body)).status == 491  # it crosses our own
    wait_until(
        lambda: stage.companion.log(call.call_id),
        24,
        "a line that the peer is alive",
        holds=lambda log: "event=peer_alive" in log,
        pause=0.3,
    )
    known = max(each.cseq[0] for each in from_asterisk(stage, call, "INVITE"))
    # It is probed again, and answers this time.
    while (probe := call.expect("INVITE", timeout=24)).cseq[0] <= known:
        pass
    agree(call, probe)
    stage.edge.record(call.call_id, refreshes="1")
    stands(stage, call)


@together.test("REF-10-07", "D-06")
def test_report_keeps_a_call_whose_peer_is_dead(stage: Stage) -> None:
    """Nor does Asterisk hang up in our stead: no timeout of the edge's reaches it as 408."""
    call = stage.peer(BY_THEM).call(f"sip:wait@{stage.stack.edge}")
    call.local = "<sip:carrier@reported.example>"
    call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uac")
    wait_until(
        lambda: stage.companion.log(call.call_id),
        3 * INTERVAL,
        "two reports that the call has expired",
        holds=lambda log: log.count("event=expiry_reported") >= 2,
        pause=0.5,
    )
    assert stage.observed(call).bye is None
    assert call.call_id in stage.stack.channels()
    assert call.bye().status == 200


@together.test("REF-10-04", "REF-10-08")
def test_a_re_invite_that_only_rings_is_no_answer(stage: Stage) -> None:
    """180 and nothing more: the edge ends the wait, and the call is over soon after its interval."""
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    first = refresh(call, "INVITE")
    call.answer(first, 180)
    call.answer(call.expect("INVITE", timeout=HALF), 180)
    call.expect("BYE", timeout=HALF + 4)
    seen = stage.observed(call)
    assert seen.bye is not None
    assert seen.established is not None
    assert seen.bye.time - seen.established.time <= INTERVAL + 3


@together.test("REF-10-04", "REF-10-08", "S61-12.2.1.2-01")
def test_the_whole_chain_ends_the_call(stage: Stage) -> None:
    """Two forms passed the edge and timed out there: the peer is dead."""
    call, _ = received(stage, BY_UPDATE)
    keep(call, "UPDATE", 1)
    refresh(call, "UPDATE")
    call.answer(call.expect("BYE", timeout=INTERVAL), 200)
    stage.edge.records(call.call_id, count=0)
