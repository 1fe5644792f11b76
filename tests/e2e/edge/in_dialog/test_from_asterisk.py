"""Asterisk refreshes within the dialog, made to by AMI as a companion would."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from session_timer import Outcome, Side

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import INTERNAL, assert_no_timer
from tests.lab.peers.user_agent import ALLOW, Call, Originate, Peer, sdp
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.waiting import NotInTimeError, wait_until

Refresh = Callable[[Call, str], SipMessage]
OURS = ("Supported: timer", "Session-Expires: 1800;refresher=uas")
THEIRS = ("Supported: timer", "Session-Expires: 1800;refresher=uac")


@pytest.fixture
def refresh(stack: Stack) -> Refresh:
    """Make Asterisk send an INVITE or UPDATE in a call; gives it as it comes in at the peer."""

    def send(call: Call, method: str) -> SipMessage:
        if method == "UPDATE":
            asterisk_orders.update(stack, call)
        else:
            asterisk_orders.reinvite(stack, call)
        return call.expect(method)

    return send


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.4-08", "UAC-7.4-09", "UAC-7.4-11", "UAC-7.2-17", "REF-10-01", "S61-12.2-01")
@pytest.mark.requirement("UAC-7.1-01", "UAC-7.4-01", "S61-12.2.1.1-02")
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
@pytest.mark.parametrize(("rows", "role", "side"), [(OURS, "uac", "local"), (THEIRS, "uas", "remote")])
def test_refresh_repeats_interval_and_refresher_as_the_sender_sees_them(
    peer: Peer,
    edge: Kamailio,
    wire: Wire,
    refresh: Refresh,
    method: str,
    rows: tuple[str, ...],
    role: str,
    side: str,
) -> None:
    call = peer(41).call()
    answer = call.dial(*rows)
    before = edge.record(call.call_id, refresher=side)
    request = refresh(call, method)
    assert request.rows("Session-Expires") == (f"1800;refresher={role}",)
    assert request.rows("Min-SE") == ()
    assert "timer" in request.tokens("Supported")
    assert request.rows("Require") == ()
    assert request.rows(INTERNAL) == ()
    assert request.header("Contact") == answer.header("Contact")
    call.accept(request, "Require: timer", f"Session-Expires: 1800;refresher={role}")
    after = edge.record(call.call_id, refreshes="1", refresher=side, interval="1800")
    assert float(after["at"]) > float(before["at"])
    told = wire.reached_asterisk(call.call_id, 200)
    assert_no_timer(told)
    # Asterisk reads our header in INVITE, and in what answers it.
    expected = f"1800;refresher={side};allow=UPDATE;" if method == "INVITE" else ""
    assert (told.header(INTERNAL) or "")[: len(expected) or None] == expected
    call.bye()


@pytest.mark.requirement("UAC-7.4-16", "UAC-7.4-18", "UPD-5.1-03", "S61-12.2.1.1-01")
def test_update_has_no_body_and_the_next_cseq(peer: Peer, refresh: Refresh) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    first = refresh(call, "UPDATE")
    assert first.body == b""
    assert first.header("Content-Type") is None
    assert first.header("Contact")
    call.accept(first, "Require: timer", "Session-Expires: 1800;refresher=uac")
    second = refresh(call, "UPDATE")
    assert second.cseq[0] == first.cseq[0] + 1
    call.accept(second, "Require: timer", "Session-Expires: 1800;refresher=uac")
    call.bye()


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.2-09", "UAC-7.2-10", "UAC-7.2-11")
def test_2xx_without_session_expires_turns_the_timer_off(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh
) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    call.accept(refresh(call, "UPDATE"))
    edge.record(call.call_id, refreshes="1", interval="0", refresher="none")
    assert_no_timer(wire.reached_asterisk(call.call_id, 200))
    call.bye()


@pytest.mark.requirement("UAC-7.2-08", "UAC-7.2-10")
def test_one_sided_refresh_goes_on_where_the_peer_never_knew_timers(
    peer: Peer, edge: Kamailio, refresh: Refresh
) -> None:
    call = peer(41).call()
    call.dial()
    edge.record(call.call_id, one_sided="1", refresher="local")
    request = refresh(call, "UPDATE")
    assert "timer" in request.tokens("Supported")
    call.accept(request)
    edge.record(call.call_id, refreshes="1", one_sided="1", refresher="local", interval="1800")
    call.bye()


@pytest.mark.requirement("UAC-7.4-02", "UAC-7.4-04", "UAC-7.4-09", "REF-10-03", "UAC-7.3-01")
def test_422_to_a_refresh_is_remembered_and_asterisks_to_answer(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh
) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    first = refresh(call, "UPDATE")
    call.answer(first, 422, "Min-SE: 3600")
    wire.reached_asterisk(call.call_id, 422)
    edge.ended(call.call_id, Side.LOCAL, Outcome.REFUSED, 422)
    edge.record(call.call_id, min_se="3600")
    second = refresh(call, "UPDATE")
    assert second.cseq[0] > first.cseq[0], "RFC 4028 7.3: the next try has a CSeq of its own"
    assert second.rows("Session-Expires") == ("3600;refresher=uac",)
    assert second.rows("Min-SE") == ("3600",)
    call.accept(second, "Require: timer", "Session-Expires: 3600;refresher=uac")
    edge.record(call.call_id, refreshes="1", interval="3600", min_se="3600")
    third = refresh(call, "UPDATE")
    assert third.rows("Min-SE") == ("3600",)
    call.accept(third, "Require: timer", "Session-Expires: 3600;refresher=uac")
    call.bye()


@pytest.mark.smoke
@pytest.mark.parametrize(("method", "provisional"), [("UPDATE", None), ("INVITE", None), ("INVITE", 180)])
def test_what_nobody_answers_reaches_asterisk_as_a_refusal_that_keeps_the_dialog(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh, method: str, provisional: int | None
) -> None:
    """24 s of interval leave 2 s to the first response, and 4 s to the final one once it rings."""
    call = peer(42).call()
    call.dial("Session-Expires: 24;refresher=uas", "Supported: timer")
    request = refresh(call, method)
    if provisional is not None:
        call.answer(request, provisional)
    # At once: a record has only the last request, and half of the interval later the companion has its own.
    ended = edge.ended(call.call_id, Side.LOCAL, Outcome.TIMED_OUT)
    assert (ended.method, ended.cseq) == (method, request.cseq[0])
    wire.reached_asterisk(call.call_id, 504)
    assert ended.ended is not None
    assert ended.ended - ended.at < 8
    accepted = ("Require: timer", "Session-Expires: 24;refresher=uac")
    call.accept(refresh(call, "UPDATE"), *accepted)
    with suppress(NotInTimeError):  # the companion tries another form too
        call.accept(call.expect("UPDATE", timeout=1), *accepted)
    edge.ended(call.call_id, Side.LOCAL, Outcome.ANSWERED)
    assert call.bye().status == 200


@pytest.mark.smoke
def test_a_response_counts_however_late_it_comes(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh
) -> None:
    """A slow peer is no dead one, though tm has forgotten the request by then."""
    call = peer(42).call()
    call.dial("Session-Expires: 60;refresher=uas", "Supported: timer")
    request = refresh(call, "UPDATE")
    wire.reached_asterisk(call.call_id, 504)
    edge.ended(call.call_id, Side.LOCAL, Outcome.TIMED_OUT)
    wait_until(
        lambda: [each for each in edge.rpc("tm.list")["result"] if call.call_id in str(each)],
        20,
        "tm to forget the request",
        holds=lambda seen: not seen,
    )
    call.accept(request, "Require: timer", "Session-Expires: 60;refresher=uac")
    edge.record(call.call_id, refreshes="1", interval="60")
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("code", [408, 481])
def test_that_the_call_is_gone_is_the_far_sides_to_say(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh, code: int
) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    call.answer(refresh(call, "UPDATE"), code)
    wire.reached_asterisk(call.call_id, code)
    call.accept(call.expect("BYE"))
    edge.records(call.call_id, 0)


@pytest.mark.smoke
def test_a_bye_that_is_refused_ends_no_record(peer: Peer, edge: Kamailio, wire: Wire) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    hung_up = wire.stack.channels()[call.call_id]
    wire.stack.ami("Hangup", Channel=hung_up)
    call.answer(call.expect("BYE"), 407, 'Proxy-Authenticate: Digest realm="a", nonce="b"')
    wire.reached_asterisk(call.call_id, 407)
    edge.record(call.call_id, interval="1800")
    edge.rpc("htable.delete", "session_timer", *edge.record_texts(call.call_id))


@pytest.mark.smoke
@pytest.mark.parametrize("rows", [OURS, ()])
def test_asterisk_gets_no_100_for_a_re_invite(
    peer: Peer, wire: Wire, refresh: Refresh, stack: Stack, rows: tuple[str, ...]
) -> None:
    """After one it would wait for ever, should the edge die. tm sends it before it hands a request on."""
    call = peer(41).call()
    call.dial(*rows)
    request = refresh(call, "INVITE")
    call.accept(request, *(("Require: timer", "Session-Expires: 1800;refresher=uac") if rows else ()))
    wire.reached_asterisk(call.call_id, 200)
    told = [
        each.message.status
        for each in wire.packets(call.call_id)
        if each.destination.address == stack.asterisk and each.message.cseq[0] == request.cseq[0]
    ]
    assert told == [200]
    call.bye()


@pytest.mark.smoke
def test_a_call_whose_requests_go_past_the_edge_says_so(
    peer: Peer, originate: Originate, edge: Kamailio, stack: Stack
) -> None:
    """The peer does not copy Record-Route, so Asterisk sends straight to its Contact."""
    call, invite = originate(peer(41))
    call.routes = []
    bare = replace(invite, headers=tuple(row for row in invite.headers if row[0] != "Record-Route"))
    call.accept(bare, "Supported: timer", "Require: timer", "Session-Expires: 1800;refresher=uac")
    assert edge.record(call.call_id)["on_path"] == "0"
    assert stack.logged("edge", call.call_id, "no Record-Route of this edge in the 2xx")
    call.bye()


@pytest.mark.requirement("UAC-7.4-02", "UAC-7.4-04")
def test_min_se_of_the_peers_refresh_is_in_ours(peer: Peer, edge: Kamailio, refresh: Refresh) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    call.ask("UPDATE", *OURS, "Min-SE: 200")
    edge.record(call.call_id, refreshes="1", min_se="200")
    request = refresh(call, "UPDATE")
    assert request.rows("Min-SE") == ("200",)
    assert request.rows("Session-Expires") == ("1800;refresher=uac",)
    call.accept(request, "Require: timer", "Session-Expires: 1800;refresher=uac")
    call.bye()


@pytest.mark.smoke
@pytest.mark.requirement("REF-10-02", "UPD-5.3-01", "REF-10-05")
@pytest.mark.parametrize(
    ("code", "rows", "wait"), [(488, [], ""), (491, [], ""), (500, ["Retry-After: 7 (busy);duration=1"], "7")]
)
def test_refused_refresh_is_written_down_and_moves_nothing(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh, code: int, rows: list[str], wait: str
) -> None:
    counted = edge.counter("refused_local")
    call = peer(41).call()
    call.dial(*OURS)
    before = edge.record(call.call_id)
    call.answer(refresh(call, "UPDATE"), code, *rows)
    ended = edge.ended(call.call_id, Side.LOCAL, Outcome.REFUSED, code)
    assert (ended.method, ended.retry_after) == ("UPDATE", int(wait) if wait else None)
    after = edge.record(call.call_id)
    assert (after["at"], after["interval"], after["refreshes"]) == (before["at"], "1800", "0")
    assert edge.counter("refused_local") == counted + 1
    wire.reached_asterisk(call.call_id, code)
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.requirement("REF-10-02")
def test_refusal_that_comes_once_more_is_no_refusal_of_the_next_refresh(
    peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh
) -> None:
    counted = edge.counter("refused_local")
    call = peer(41).call()
    call.dial(*OURS)
    refused = refresh(call, "INVITE")
    call.answer(refused, 500)
    edge.ended(call.call_id, Side.LOCAL, Outcome.REFUSED, 500)
    call.accept(refresh(call, "UPDATE"), "Require: timer", "Session-Expires: 1800;refresher=uac")
    edge.record(call.call_id, refreshes="1")
    edge.ended(call.call_id, Side.LOCAL, Outcome.ANSWERED, 200)
    for _ in range(3):
        call.answer(refused, 500)
    wire.packets(call.call_id)  # by now the edge has answered a message that was sent after them
    edge.ended(call.call_id, Side.LOCAL, Outcome.ANSWERED, 200)
    assert call.bye().status == 200
    assert edge.counter("refused_local") == counted + 1


def test_update_of_asterisk_after_a_reliable_183_does_not_decide(
    peer: Peer, originate: Originate, edge: Kamailio, refresh: Refresh
) -> None:
    call, invite = originate(peer(41))
    call.answer(invite, 183, ALLOW, "Require: 100rel", "RSeq: 5", body=sdp(call.agent.address))
    prack = call.expect("PRACK")
    assert "timer" in prack.tokens("Supported")
    assert prack.rows(INTERNAL) == prack.rows("Session-Expires") == ()
    call.accept(prack)
    request = refresh(call, "UPDATE")
    assert "refresher" not in (request.header("Session-Expires") or ""), "nothing is agreed yet"
    call.accept(request, "Supported: timer", "Require: timer", "Session-Expires: 1800;refresher=uac")
    edge.record(call.call_id, interval="1800", refresher="local")
    call.accept(invite, "Supported: timer", "Require: timer", "Session-Expires: 600;refresher=uas")
    call.expect("ACK")
    edge.record(call.call_id, interval="600", refresher="remote")
    call.bye()


@pytest.mark.smoke
def test_2xx_after_the_bye_leaves_no_record(peer: Peer, edge: Kamailio, wire: Wire, refresh: Refresh) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    pending = refresh(call, "UPDATE")
    assert call.bye().status == 200
    assert edge.record_texts(call.call_id) == {}
    negotiated = edge.counter("negotiations")
    call.accept(pending, "Require: timer", "Session-Expires: 1800;refresher=uac")
    wire.reached_asterisk(call.call_id, 200)
    assert edge.record_texts(call.call_id) == {}
    assert edge.counter("negotiations") == negotiated


@pytest.mark.requirement("DEF-2-01", "UAC-7.2-11")
def test_peer_shortens_the_interval_in_its_2xx(peer: Peer, edge: Kamailio, refresh: Refresh) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    call.accept(refresh(call, "UPDATE"), "Require: timer", "Session-Expires: 120;refresher=uas")
    edge.record(call.call_id, refreshes="1", interval="120", refresher="remote")
    (name,) = edge.record_texts(call.call_id)
    assert "result" in edge.rpc("htable.get", "session_timer_changes", name)
    call.bye()


@pytest.mark.requirement("S61-14.2-02", "REF-10-02")
def test_glare_is_answered_491_and_the_call_goes_on(peer: Peer, edge: Kamailio, refresh: Refresh) -> None:
    call = peer(41).call()
    call.dial(*OURS)
    pending = refresh(call, "INVITE")
    crossing = call.final(call.invite(*OURS))
    assert crossing.status == 491
    assert crossing.rows("Session-Expires") == ()
    call.accept(pending, "Require: timer", "Session-Expires: 1800;refresher=uac")
    call.expect("ACK")
    edge.record(call.call_id, refreshes="1", interval="1800", refresher="local")
    assert call.bye().status == 200
