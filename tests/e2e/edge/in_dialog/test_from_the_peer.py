"""The carrier refreshes, holds and changes within the dialog."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, Outcome, Side

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import assert_2xx, assert_no_timer
from tests.lab.peers.user_agent import Call, Originate, Peer, sdp
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.told import INTERNAL, told

CALLER_REFRESHES = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
CALLEE_REFRESHES = ("Supported: timer", "Session-Expires: 1800;refresher=uas")


def change(call: Call, method: str, *rows: str, body: bool) -> SipMessage:
    """An INVITE or UPDATE within the dialog, with or without SDP."""
    return call.ask(method, *rows, body=sdp(call.agent.address) if body else "")


@pytest.mark.smoke
@pytest.mark.requirement("DEF-2-03", "REF-10-02", "UAS-9-18", "UAS-9-20", "UPD-5.1-01", "UPD-5.1-03")
@pytest.mark.parametrize(("method", "body"), [("INVITE", True), ("UPDATE", True), ("UPDATE", False)])
def test_refresh_of_the_peer_moves_the_record_on(
    peer: Peer, edge: Kamailio, wire: Wire, method: str, body: bool
) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    before = edge.record(call.call_id, refreshes="0")
    answer = change(call, method, *CALLER_REFRESHES, body=body)
    assert_2xx(answer, "1800;refresher=uac", requires=True)
    assert answer.header("Contact")
    after = edge.record(call.call_id, refreshes="1", interval="1800", refresher="remote")
    assert float(after["at"]) > float(before["at"])
    assert after["clock"] == before["clock"]
    assert after["local"] == before["local"]
    inside = wire.reached_asterisk(call.call_id, method, 2 if method == "INVITE" else 1)
    assert_no_timer(inside)
    if method == "INVITE":
        assert told(inside) == InternalHeader(
            Agreement(1800, Side.REMOTE),
            peer_allows_update=True,
            edge="edge",
            peer="strict",
            placed=Side.REMOTE,
        )
    else:
        assert inside.rows(INTERNAL) == (), "Asterisk reads our header in INVITE only"
    call.bye()


@pytest.mark.requirement("UAC-7.2-17", "UAC-7.4-15", "S61-12.2-01", "UAS-9-15")
@pytest.mark.parametrize("direction", ["sendonly", "inactive", "sendrecv"])
def test_hold_by_the_caller_leaves_us_the_refresher(peer: Peer, edge: Kamailio, direction: str) -> None:
    call = peer(41).call()
    assert_2xx(call.dial(*CALLEE_REFRESHES), "1800;refresher=uas", requires=True)
    body = sdp(call.agent.address, version=2, direction=direction)
    answer = call.ask("INVITE", *CALLEE_REFRESHES, body=body)
    assert_2xx(answer, "1800;refresher=uas", requires=True)
    edge.record(call.call_id, refreshes="1", refresher="local")
    call.bye()


@pytest.mark.smoke
@pytest.mark.requirement("S61-12.2-01", "UAC-7.2-07", "UAC-7.4-14")
@pytest.mark.parametrize(("ours", "role"), [("local", "uas"), ("remote", "uac")])
def test_open_refresher_stays_who_it_was_when_roles_flip(
    peer: Peer, originate: Originate, edge: Kamailio, ours: str, role: str
) -> None:
    call, invite = originate(peer(41))
    # In the INVITE's transaction we are the UAC, in the re-INVITE's the UAS.
    first = "uac" if ours == "local" else "uas"
    call.accept(invite, "Supported: timer", "Require: timer", f"Session-Expires: 1800;refresher={first}")
    call.expect("ACK")
    edge.record(call.call_id, refresher=ours)
    answer = change(call, "INVITE", "Supported: timer", "Session-Expires: 1800", body=True)
    assert_2xx(answer, f"1800;refresher={role}", requires=True)
    edge.record(call.call_id, refreshes="1", refresher=ours)
    call.bye()


@pytest.mark.requirement("UAC-7.4-12", "UAS-9-15", "UAC-7.2-06")
def test_peer_may_hand_the_role_over_and_the_companion_is_told(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    edge.record(call.call_id, refresher="remote")
    answer = change(call, "UPDATE", "Supported: timer", "Session-Expires: 600;refresher=uas", body=False)
    assert_2xx(answer, "600;refresher=uas", requires=True)
    edge.record(call.call_id, refreshes="1", refresher="local", interval="600")
    (name,) = edge.record_texts(call.call_id)
    changes = edge.rpc("htable.get", "session_timer_changes", name)["result"]["item"]["value"]
    assert changes == edge.record_texts(call.call_id)[name]
    call.bye()


@pytest.mark.requirement("UAS-9-11", "UAS-9-18")
def test_refresh_without_session_expires_keeps_the_interval(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1000;refresher=uac")
    assert_2xx(change(call, "UPDATE", "Supported: timer", body=False), "1000;refresher=uac", requires=True)
    edge.record(call.call_id, refreshes="1", interval="1000", refresher="remote")
    call.bye()


@pytest.mark.requirement("UAS-9-19", "UAC-7.2-10", "S61-8.2.4-01")
def test_peer_that_leaves_the_timer_out_is_refreshed_by_us_alone(peer: Peer, edge: Kamailio) -> None:
    """By the letter it has switched the timer off; some do so with each hold, and count on."""
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    answer = change(call, "UPDATE", body=False)
    assert answer.status == 200
    assert answer.rows("Session-Expires") == ()
    edge.record(call.call_id, refreshes="1", interval="1800", refresher="local", one_sided="1")
    call.bye()


@pytest.mark.requirement("S61-14.1-05", "S61-14.2-05")
def test_reinvite_without_sdp_is_a_refresh_too(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    answer = call.final(call.send("INVITE", *CALLER_REFRESHES))
    assert_2xx(answer, "1800;refresher=uac", requires=True)
    assert b"m=audio" in answer.body
    call.send("ACK", "Content-Type: application/sdp", cseq=answer.cseq[0], body=sdp(call.agent.address))
    edge.record(call.call_id, refreshes="1")
    call.bye()


@pytest.mark.requirement("S61-14.1-03", "REF-10-02")
def test_refused_change_is_written_down_and_moves_nothing(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    before = edge.record(call.call_id)
    body = sdp(call.agent.address).replace("RTP/AVP 0", "RTP/AVP 9").replace("0 PCMU", "9 G722")
    answer = call.ask("INVITE", *CALLER_REFRESHES, body=body)
    assert answer.status == 488
    assert answer.rows("Session-Expires") == ()
    edge.ended(call.call_id, Side.REMOTE, Outcome.REFUSED, 488)
    after = edge.record(call.call_id)
    assert (after["at"], after["refreshes"]) == (before["at"], "0")
    change(call, "UPDATE", *CALLER_REFRESHES, body=False)
    edge.record(call.call_id, refreshes="1")
    edge.ended(call.call_id, Side.REMOTE, Outcome.ANSWERED, 200)
    call.bye()


@pytest.mark.requirement("UPD-5.1-01", "DEF-2-03")
def test_update_before_the_answer_does_not_decide(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    call.answer(invite, 183)
    wire.reached_asterisk(call.call_id, 183)
    answer = call.ask("UPDATE", "Supported: timer", "Session-Expires: 600;refresher=uac")
    assert_2xx(answer, "600;refresher=uac", requires=True)
    call.accept(invite, "Session-Expires: 1800;refresher=uas", "Require: timer")
    call.expect("ACK")
    record = edge.record(call.call_id, interval="1800", refresher="remote")
    assert record["local"] == invite.from_tag
    call.bye()


@pytest.mark.parametrize("cancelled", [False, True])
def test_call_that_comes_to_nothing_after_an_early_update_leaves_no_record(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire, stack: Stack, *, cancelled: bool
) -> None:
    refused = edge.counter("refused_local")
    call, invite = originate(peer(41))
    call.answer(invite, 183)
    wire.reached_asterisk(call.call_id, 183)
    call.ask("UPDATE", "Supported: timer", "Session-Expires: 600;refresher=uac")
    edge.record(call.call_id, interval="600")
    if cancelled:
        asterisk_orders.hang_up(stack, call)
        call.answer(call.expect("CANCEL"), 200)
    call.answer(invite, 487 if cancelled else 486)
    call.expect("ACK")
    wire.reached_asterisk(call.call_id, 487 if cancelled else 486)
    assert edge.record_texts(call.call_id) == {}
    assert edge.counter("refused_local") == refused


FORMS = [
    ("Supported: 100rel", "Supported: timer", "Session-Expires: 1800\r\n ;refresher=uac"),
    ("k: 100rel,\r\n\ttimer", "x: 1800 ; refresher=uac"),
    ("SUPPORTED:\r\n 100rel, timer", "SESSION-EXPIRES :\r\n 1800;REFRESHER=UAC"),
    ("k: timer", "Supported: 100rel", "k: timer", "x:1800;refresher=uac", "Require: timer", "Require: timer"),
]


@pytest.mark.smoke
@pytest.mark.parametrize("rows", FORMS, ids=["several", "compact", "folded", "all"])
def test_refresh_in_every_form_that_rows_may_have(
    peer: Peer, edge: Kamailio, wire: Wire, rows: tuple[str, ...]
) -> None:
    call = peer(41).call()
    call.dial(*CALLEE_REFRESHES)
    assert_2xx(change(call, "UPDATE", *rows, body=False), "1800;refresher=uac", requires=True)
    edge.record(call.call_id, refreshes="1", interval="1800", refresher="remote")
    told = wire.reached_asterisk(call.call_id, "UPDATE")
    assert_no_timer(told)
    assert told.rows("Supported") == ("100rel",)
    call.bye()


@pytest.mark.smoke
def test_bye_from_either_side_ends_the_record(peer: Peer, originate: Originate, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    edge.record(call.call_id)
    assert call.bye().status == 200
    assert edge.record_texts(call.call_id) == {}
    call, invite = originate(peer(41))
    call.accept(invite, "Session-Expires: 1800;refresher=uas", "Require: timer")
    call.expect("ACK")
    edge.record(call.call_id)
    assert call.bye().status == 200
    assert edge.record_texts(call.call_id) == {}


@pytest.mark.requirement("S61-12.2.2-02")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_unknown_dialog_is_answered_481_and_leaves_no_record(
    peer: Peer, edge: Kamailio, stack: Stack, method: str
) -> None:
    call = peer(41).call()
    call.remote_tag = "never-heard-of"
    call.routes = [f"<sip:{stack.edge};lr>"]
    call.target = f"sip:{stack.asterisk}"
    answer = call.final(call.send(method, *CALLER_REFRESHES))
    assert answer.status == 481
    assert edge.record_texts(call.call_id) == {}


@pytest.mark.requirement("S61-12.2.2-01")
def test_older_cseq_is_answered_500_and_a_gap_is_fine(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    gap = call.final(call.send("UPDATE", *CALLER_REFRESHES, cseq=20))
    assert_2xx(gap, "1800;refresher=uac", requires=True)
    edge.record(call.call_id, refreshes="1")
    assert call.final(call.send("UPDATE", *CALLER_REFRESHES, cseq=19)).status == 500
    edge.record(call.call_id, refreshes="1")
    edge.ended(call.call_id, Side.REMOTE, Outcome.ANSWERED, 200)
    call.final(call.send("BYE", cseq=21))


@pytest.mark.smoke
def test_a_bye_whose_tags_are_the_wrong_way_round_ends_no_record(
    peer: Peer, edge: Kamailio, wire: Wire
) -> None:
    call = peer(41).call()
    call.dial(*CALLER_REFRESHES)
    remote = call.remote_tag
    assert remote is not None
    call.local_tag, call.remote_tag = remote, call.local_tag
    assert call.bye().status == 481
    wire.reached(call.agent.address, call.call_id, 481)
    call.local_tag, call.remote_tag = call.remote_tag, remote
    edge.record(call.call_id, interval="1800", refresher="remote")
    assert call.bye().status == 200
    edge.records(call.call_id, 0)
