"""Both ends run their own timers: the edge is the proxy of RFC 4028 section 8."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import INTERNAL
from tests.lab.peers.user_agent import Call, Peer
from tests.lab.sip import SipMessage

Through = Callable[..., tuple[Call, Call, SipMessage]]
SUPPORTED = "Supported: timer"


@pytest.fixture
def through(peer: Peer) -> Through:
    """Send an INVITE from the proxied peer to another carrier: the call at both ends, and what came in."""

    def call(*rows: str) -> tuple[Call, Call, SipMessage]:
        user = f"through{secrets.token_hex(4)}"
        caller = peer(46).call(peer(49).reachable(user))
        caller.invite(*rows)
        callee, invite = peer(49).called(user)
        return caller, callee, invite

    return call


def connect(caller: Call, callee: Call, invite: SipMessage, *rows: str) -> SipMessage:
    """The callee takes the call; gives the 200 as the caller sees it."""
    callee.accept(invite, *rows)
    answer = caller.final(1)
    caller.ack(answer)
    callee.expect("ACK")
    return answer


def end(caller: Call, callee: Call) -> None:
    """The caller hangs up."""
    caller.send("BYE")
    callee.accept(callee.expect("BYE"))


@pytest.mark.smoke
@pytest.mark.requirement("PRX-8-01", "PRX-8-03", "PRX-8.1-02", "PRX-8.1-04", "PRX-8.1-19", "SE-4-11")
@pytest.mark.requirement("PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "PRX-8.2-07", "PRX-8.2-09")
def test_proxy_asks_and_completes_the_answer_of_a_callee_without_timers(
    through: Through, edge: Kamailio, wire: Wire
) -> None:
    caller, callee, invite = through(SUPPORTED)
    assert invite.rows("Session-Expires") == ("12",)
    assert invite.rows("Min-SE") == ()
    assert invite.rows("Record-Route")
    assert invite.rows("Supported") == ("timer",)
    answer = connect(caller, callee, invite, "Require: 100rel")
    assert answer.rows("Session-Expires") == ("12;refresher=uac",)
    assert answer.rows("Require") == ("100rel, timer",)
    edge.record(caller.call_id, interval="12", refresher="remote", peer="passing")
    end(caller, callee)
    assert not [each for each in wire.packets(caller.call_id) if each.message.rows(INTERNAL)]


@pytest.mark.requirement("PRX-8.1-03", "PRX-8.1-18")
def test_inserted_interval_is_not_below_the_requests_min_se(through: Through) -> None:
    caller, callee, invite = through(SUPPORTED, "Min-SE: 3600")
    assert invite.rows("Session-Expires") == ("3600",)
    assert invite.rows("Min-SE") == ("3600",)
    connect(caller, callee, invite)
    end(caller, callee)


@pytest.mark.smoke
@pytest.mark.requirement("PRX-8.2-06", "PRX-8.2-11", "PRX-8.1-07", "PRX-8.1-09")
@pytest.mark.parametrize("shown", ["1800;refresher=uas", "2;refresher=uac;x=1", "9999;refresher=uas"])
def test_session_expires_of_either_side_passes_as_it_is(through: Through, edge: Kamailio, shown: str) -> None:
    caller, callee, invite = through(SUPPORTED, "Session-Expires: 600;refresher=uas;x-y=z")
    assert invite.rows("Session-Expires") == ("600;refresher=uas;x-y=z",)
    assert invite.rows("Min-SE") == ()
    answer = connect(caller, callee, invite, SUPPORTED, "Require: timer", f"Session-Expires: {shown}")
    assert answer.rows("Session-Expires") == (shown,)
    assert answer.rows("Require") == ("timer",)
    assert answer.rows("Supported") == ("timer",)
    edge.record(caller.call_id, interval=shown.partition(";")[0])
    end(caller, callee)


@pytest.mark.requirement("PRX-8.2-02")
def test_where_neither_end_knows_timers_the_answer_passes_bare(through: Through, edge: Kamailio) -> None:
    caller, callee, invite = through()
    assert invite.rows("Session-Expires") == ("12",)
    answer = connect(caller, callee, invite)
    assert answer.rows("Session-Expires") == ()
    assert answer.rows("Require") == ()
    edge.record(caller.call_id, interval="0", refresher="none")
    end(caller, callee)


@pytest.mark.smoke
@pytest.mark.requirement("PRX-8.1-10", "PRX-8.1-11", "PRX-8.1-01")
def test_too_small_interval_of_a_supporting_caller_is_refused(peer: Peer, wire: Wire) -> None:
    caller = peer(46).call(peer(49).reachable("nobody"))
    answer = caller.final(caller.invite(SUPPORTED, "Session-Expires: 3"))
    assert answer.start_line == "SIP/2.0 422 Session Interval Too Small"
    assert answer.rows("Min-SE") == ("4",)
    assert not [each for each in wire.packets(caller.call_id) if each.destination.address == peer(49).address]


@pytest.mark.requirement("PRX-8.1-13", "PRX-8.1-14", "PRX-8.1-17", "PRX-8.1-08", "PRX-8.1-15")
@pytest.mark.parametrize("min_se", [[], ["Min-SE: 3"]])
def test_too_small_interval_of_a_caller_without_support_is_raised(
    through: Through, min_se: list[str]
) -> None:
    caller, callee, invite = through("Session-Expires: 3;refresher=uas", *min_se)
    assert invite.rows("Session-Expires") == ("4;refresher=uas",)
    assert invite.rows("Min-SE") == ("4",)
    connect(caller, callee, invite)
    end(caller, callee)


@pytest.mark.requirement("PRX-8.1-16")
def test_min_se_is_never_lowered(through: Through) -> None:
    caller, callee, invite = through("Session-Expires: 3", "Min-SE: 700")
    assert invite.rows("Session-Expires") == ("700",)
    assert invite.rows("Min-SE") == ("700",)
    connect(caller, callee, invite)
    end(caller, callee)


@pytest.mark.requirement("PRX-8.2-01", "SE-4-01", "SE-4-12")
def test_other_answers_pass_untouched(through: Through, edge: Kamailio) -> None:
    caller, callee, invite = through(SUPPORTED, "Session-Expires: 600")
    callee.answer(invite, 183, "Session-Expires: 90;refresher=uac", "Require: timer")
    early = caller.expect(183)
    assert early.rows("Session-Expires") == ("90;refresher=uac",)
    callee.answer(invite, 486)
    busy = caller.final(1)
    assert busy.status == 486
    assert busy.rows("Session-Expires") == ()
    assert edge.record_texts(caller.call_id) == {}


@pytest.mark.requirement("PRX-8.1-01", "PRX-8.2-08", "S61-12.2-01")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_refresh_of_the_callee_passes_by_the_same_rules(
    through: Through, edge: Kamailio, method: str
) -> None:
    caller, callee, invite = through(SUPPORTED, "Session-Expires: 600;refresher=uas")
    connect(caller, callee, invite, SUPPORTED, "Require: timer", "Session-Expires: 600;refresher=uas")
    before = edge.record(caller.call_id, interval="600", refreshes="0")
    number = callee.send(method, SUPPORTED, "Session-Expires: 600;refresher=uac")
    refresh = caller.expect(method)
    assert refresh.rows("Session-Expires") == ("600;refresher=uac",)
    caller.accept(refresh, SUPPORTED, "Require: timer", "Session-Expires: 300;refresher=uac")
    assert callee.final(number).rows("Session-Expires") == ("300;refresher=uac",)
    after = edge.record(caller.call_id, interval="300", refreshes="1")
    assert after["refresher"] == before["refresher"]
    assert float(after["at"]) > float(before["at"])
    end(caller, callee)


@pytest.mark.parametrize("of_the_callee", [False, True])
def test_call_that_comes_to_nothing_after_an_early_update_leaves_no_record(
    through: Through, edge: Kamailio, *, of_the_callee: bool
) -> None:
    caller, callee, invite = through(SUPPORTED, "Session-Expires: 600")
    callee.answer(invite, 183)
    caller.establish(caller.expect(183))
    sender, receiver = (callee, caller) if of_the_callee else (caller, callee)
    number = sender.send("UPDATE", SUPPORTED, "Session-Expires: 600;refresher=uac")
    receiver.accept(
        receiver.expect("UPDATE"), SUPPORTED, "Require: timer", "Session-Expires: 600;refresher=uac"
    )
    assert sender.final(number).status == 200
    edge.record(caller.call_id, interval="600")
    callee.answer(invite, 486)
    callee.expect("ACK")
    assert caller.expect(486).status == 486
    assert edge.record_texts(caller.call_id) == {}


@pytest.mark.requirement("SE-4-02")
def test_what_neither_can_read_is_left_to_the_far_end(through: Through, edge: Kamailio) -> None:
    faults = edge.counter("faults")
    caller, callee, invite = through(SUPPORTED, "Session-Expires: a while")
    assert invite.rows("Session-Expires") == ("a while",)
    callee.answer(invite, 488)
    assert caller.final(1).status == 488
    assert edge.counter("faults") == faults


@pytest.mark.requirement("PRX-8.2-10", "UAC-7.2-12")
def test_each_forked_answer_has_a_record(through: Through, edge: Kamailio) -> None:
    caller, callee, invite = through(SUPPORTED, "Session-Expires: 600")
    callee.accept(invite, SUPPORTED, "Session-Expires: 600;refresher=uac", "Require: timer", tag="one")
    # Two in the same moment go to two workers, and tm takes only one of them for the transaction's.
    edge.records(caller.call_id, 1)
    callee.accept(invite, tag="two")
    records = edge.records(caller.call_id, 2)
    assert sorted((each["interval"], each["refresher"]) for each in records) == [
        ("600", "remote"),
        ("600", "remote"),
    ]
