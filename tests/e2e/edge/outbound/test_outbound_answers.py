"""A carrier answers Asterisk's call: what comes into force, what Asterisk is told."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, Side

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import INTERNAL, assert_no_timer
from tests.lab.peers.user_agent import Originate, Peer
from tests.lab.told import told

pytestmark = pytest.mark.usefixtures("nothing_learned")

ANSWERS = [
    # rows of the 2xx, interval, refresher and one_sided on record
    pytest.param(["Session-Expires: 1800;refresher=uas", "Require: timer"], "1800", "remote", "0", id="uas"),
    pytest.param(["Session-Expires: 1800;refresher=uac", "Require: timer"], "1800", "local", "0", id="uac"),
    pytest.param(
        ["x: 600;Refresher=UAS", "k: timer", "Require: 100rel, TIMER"], "600", "remote", "0", id="compact"
    ),
    pytest.param(["Session-Expires: 600;refresher=uac"], "600", "local", "0", id="without-require"),
    pytest.param(["Session-Expires: 600", "Require: timer"], "600", "local", "0", id="no-refresher"),
    pytest.param(["Session-Expires: 600;refresher=me"], "600", "local", "0", id="unknown-refresher"),
    pytest.param(["Session-Expires: 7200;refresher=uac"], "7200", "local", "0", id="longer-than-asked"),
    pytest.param([], "1800", "local", "1", id="bare"),
    pytest.param(["Supported: timer"], "0", "none", "0", id="supports-but-sets-none"),
    pytest.param(["Require: timer"], "0", "none", "0", id="requires-but-sets-none"),
    pytest.param(["Session-Expires: 0;refresher=uas"], "1800", "local", "1", id="zero"),
    pytest.param(["Session-Expires: never"], "1800", "local", "1", id="malformed"),
]


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.2-02", "UAC-7.2-03", "UAC-7.2-05", "UAC-7.2-06", "UAC-7.2-08", "UAC-7.2-09")
@pytest.mark.requirement("UAC-7.2-11", "UAC-7.2-13", "DEF-2-01", "SE-4-07", "S61-7.3.1-03")
@pytest.mark.parametrize(("rows", "interval", "refresher", "one_sided"), ANSWERS)
def test_2xx_decides(
    peer: Peer,
    originate: Originate,
    edge: Kamailio,
    wire: Wire,
    rows: list[str],
    interval: str,
    refresher: str,
    one_sided: str,
) -> None:
    faults = edge.counter("faults")
    call, invite = originate(peer(41))
    call.accept(invite, *rows)
    call.expect("ACK")
    record = edge.record(call.call_id, interval=interval, refresher=refresher, one_sided=one_sided)
    assert record["local"] == invite.from_tag
    assert record["update"] == "1"
    answer = wire.reached_asterisk(call.call_id, 200)
    assert_no_timer(answer)
    agreed = Agreement(int(interval), Side(refresher), one_sided == "1") if int(interval) else None
    assert told(answer) == InternalHeader(
        agreed, peer_allows_update=True, edge="edge", peer="strict", placed=Side.LOCAL
    )
    assert edge.counter("faults") == faults
    call.bye()
    edge.records(call.call_id, 0)


@pytest.mark.requirement("UPD-4-03", "UAC-7.4-17")
@pytest.mark.parametrize(("allow", "update"), [("", "0"), ("Allow: INVITE, ACK, BYE", "0")])
def test_peer_that_does_not_allow_update(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire, allow: str, update: str
) -> None:
    call, invite = originate(peer(41))
    call.accept(invite, "Session-Expires: 1800;refresher=uac", "Require: timer", allow=allow)
    call.expect("ACK")
    edge.record(call.call_id, update=update)
    assert ";allow=INVITE;" in (wire.reached_asterisk(call.call_id, 200).header(INTERNAL) or "")
    call.bye()


@pytest.mark.smoke
def test_internal_header_of_an_outsider_is_taken_off_every_answer(
    peer: Peer, originate: Originate, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    forged = 'x-session-timer: 5;refresher=local;rpc="udp:198.18.99.99:1";v=1'
    call.answer(invite, 180, forged)
    assert wire.reached_asterisk(call.call_id, 180).rows(INTERNAL) == ()
    call.accept(invite, forged, "Session-Expires: 1800;refresher=uas", "Require: timer", forged)
    call.expect("ACK")
    (told,) = wire.reached_asterisk(call.call_id, 200).rows(INTERNAL)
    assert told.startswith("1800;refresher=remote;")
    call.bye()


@pytest.mark.requirement("SE-4-01", "SE-4-12", "UAC-7.2-14", "S61-20-01")
def test_provisional_answer_sets_no_timer(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    call.answer(invite, 183, "Session-Expires: 90;refresher=uac", "Require: timer")
    wire.reached_asterisk(call.call_id, 183)
    assert edge.record_texts(call.call_id) == {}
    call.accept(invite, "Session-Expires: 1800;refresher=uas", "Require: timer")
    call.expect("ACK")
    edge.record(call.call_id, interval="1800", refresher="remote")
    call.bye()


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.2-01", "UAC-7.2-12")
def test_forked_answers_have_a_record_each(peer: Peer, originate: Originate, edge: Kamailio) -> None:
    call, invite = originate(peer(41))
    call.accept(invite, "Session-Expires: 1800;refresher=uas", "Require: timer", tag="fork-a")
    # Two in the same moment go to two workers, and tm takes only one of them for the transaction's.
    edge.records(call.call_id, 1)
    call.accept(invite, "Session-Expires: 600;refresher=uac", "Require: timer", tag="fork-b")
    edge.records(call.call_id, 2)
    by_peer_tag = {
        key.replace(invite.from_tag or "", "").strip(";").rpartition(";")[2]: text
        for key, text in edge.record_texts(call.call_id).items()
    }
    assert set(by_peer_tag) == {"fork-a", "fork-b"}
    assert "interval=1800;refresher=remote;" in by_peer_tag["fork-a"]
    assert "interval=600;refresher=local;" in by_peer_tag["fork-b"]
    # Asterisk takes one of them; the end of that dialog leaves the other's record alone.
    call.local_tag = call.expect("ACK").to_tag or ""
    call.bye()
    (left,) = edge.record_texts(call.call_id).items()
    assert left[0].count(call.local_tag) == 0


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.2-14", "DEF-2-03")
def test_retransmitted_2xx_moves_nothing(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    rows = ("Session-Expires: 1800;refresher=uas", "Require: timer")
    call.accept(invite, *rows)
    call.expect("ACK")
    before = edge.record_texts(call.call_id)
    first = wire.reached_asterisk(call.call_id, 200)
    for again in (2, 3):
        call.accept(invite, *rows)
        # Each copy reaches Asterisk as the first did: without the timer.
        copies = wire.copies(wire.stack.asterisk, first, again)
        assert {each.rows("Session-Expires") for each in copies} == {()}
    assert edge.record_texts(call.call_id) == before
    call.bye()


@pytest.mark.smoke
def test_2xx_that_comes_once_more_after_the_bye_brings_no_record_back(
    peer: Peer, originate: Originate, edge: Kamailio, wire: Wire
) -> None:
    call, invite = originate(peer(41))
    rows = ("Session-Expires: 1800;refresher=uas", "Require: timer")
    call.accept(invite, *rows)
    call.expect("ACK")
    first = wire.reached_asterisk(call.call_id, 200)
    assert call.bye().status == 200
    negotiated = edge.counter("negotiations")
    call.accept(invite, *rows)
    for copy in wire.copies(wire.stack.asterisk, first, 2):
        assert_no_timer(copy)
    assert edge.record_texts(call.call_id) == {}
    assert edge.counter("negotiations") == negotiated
