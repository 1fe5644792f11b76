"""A carrier calls: the 2xx that it gets, what Asterisk is sent, and the record."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, Side

from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.expectations import INTERNAL, assert_2xx, assert_no_timer
from tests.lab.peers.user_agent import Peer
from tests.lab.told import told

pytestmark = pytest.mark.smoke

TABLE_2 = [
    # Supported, refresher of the request, refresher of the 2xx, Require, refresher on record
    pytest.param(False, "", "uas", False, "local", id="unsupported"),
    pytest.param(False, ";refresher=uac", "uas", False, "local", id="unsupported-uac"),
    pytest.param(False, ";refresher=uas", "uas", False, "local", id="unsupported-uas"),
    pytest.param(True, "", "uac", True, "remote", id="open"),
    pytest.param(True, ";refresher=uac", "uac", True, "remote", id="uac"),
    pytest.param(True, ";refresher=uas", "uas", True, "local", id="uas"),
]


@pytest.mark.requirement("UAS-9-01", "UAS-9-05", "UAS-9-13", "UAS-9-14", "UAS-9-15", "UAS-9-16", "UAS-9-17")
@pytest.mark.requirement("S61-8.2.4-01", "MSE-5-04")
@pytest.mark.parametrize(("supports", "asked", "refresher", "requires", "side"), TABLE_2)
def test_refresher_by_table_2(
    peer: Peer, edge: Kamailio, supports: bool, asked: str, refresher: str, requires: bool, side: str
) -> None:
    call = peer(41).call()
    answer = call.dial(f"Session-Expires: 1234{asked}", *(["Supported: timer"] if supports else []))
    assert_2xx(answer, f"1234;refresher={refresher}", requires=requires)
    record = edge.record(call.call_id, interval="1234", refresher=side)
    assert record["supports"] == str(int(supports))
    assert record["local"] == answer.to_tag
    call.bye()
    edge.records(call.call_id, 0)


@pytest.mark.requirement("UAS-9-13", "UAS-9-16")
def test_a_2xx_that_is_sent_again_has_the_timer_again(peer: Peer, wire: Wire) -> None:
    """Where the first copy is lost the caller has nothing but the second."""
    call = peer(41).call()
    answer = call.final(call.invite("Supported: timer", "Session-Expires: 1234"))
    assert_2xx(answer, "1234;refresher=uac", requires=True)
    # Asterisk repeats it until it is confirmed.
    for copy in wire.copies(call.agent.address, answer, 3):
        assert_2xx(copy, "1234;refresher=uac", requires=True)
    call.ack(answer)
    call.bye()


@pytest.mark.requirement("UAS-9-14")
def test_open_refresher_goes_to_whom_the_profile_prefers(peer: Peer, edge: Kamailio) -> None:
    call = peer(45).call()
    assert_2xx(call.dial("Session-Expires: 1800", "Supported: timer"), "1800;refresher=uas", requires=True)
    edge.record(call.call_id, refresher="local", peer="real-90")
    call.bye()


@pytest.mark.requirement("UAS-9-06", "UAS-9-07", "UAS-9-08", "MSE-5-01")
@pytest.mark.parametrize(
    ("rows", "interval"),
    [
        pytest.param(["Session-Expires: 7200"], 3600, id="reduced"),
        pytest.param(["Session-Expires: 7200", "Min-SE: 5000;why=not"], 5000, id="not-below-its-min-se"),
        pytest.param(["Session-Expires: 3600"], 3600, id="the-most-we-take"),
    ],
)
def test_long_interval_is_reduced(peer: Peer, rows: list[str], interval: int) -> None:
    call = peer(48).call()
    assert_2xx(call.dial(*rows, "Supported: timer"), f"{interval};refresher=uac", requires=True)
    call.bye()


@pytest.mark.requirement("UAS-9-10")
def test_short_interval_is_not_increased(peer: Peer) -> None:
    call = peer(41).call()
    assert_2xx(call.dial("Session-Expires: 90", "Supported: timer"), "90;refresher=uac", requires=True)
    call.bye()


@pytest.mark.requirement("UAS-9-11", "UAS-9-12", "UAS-9-16")
@pytest.mark.parametrize(("rows", "interval"), [([], 1800), (["Min-SE: 2400"], 2400)])
def test_we_ask_where_a_supporting_caller_does_not(peer: Peer, rows: list[str], interval: int) -> None:
    call = peer(41).call()
    assert_2xx(call.dial("Supported: timer", *rows), f"{interval};refresher=uac", requires=True)
    call.bye()


@pytest.mark.requirement("S61-8.2.4-01", "SE-4-07")
def test_caller_without_timers_sees_none_and_is_watched_alone(peer: Peer, edge: Kamailio, wire: Wire) -> None:
    call = peer(41).call()
    answer = call.dial()
    assert answer.rows("Session-Expires") == ()
    assert "timer" not in answer.tokens("Require")
    edge.record(call.call_id, interval="1800", refresher="local", one_sided="1")
    assert told(wire.reached_asterisk(call.call_id, "INVITE")) == InternalHeader(
        Agreement.refreshed_alone(1800),
        peer_allows_update=True,
        edge="edge",
        peer="strict",
        placed=Side.REMOTE,
    )
    call.bye()


@pytest.mark.requirement("SE-4-02", "SE-4-08", "SE-4-09", "IANA-12-02")
@pytest.mark.requirement("S61-7.3.1-01", "S61-7.3.1-03", "S61-7.3.3-01", "S61-20-01")
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(["x: 1800;refresher=uas", "k: timer"], id="compact"),
        pytest.param(["X : 1800;Refresher=UAS", "K : TIMER"], id="upper-case"),
        pytest.param(["Session-Expires: 1800;refresher=uas", "k: 100rel", "Supported: timer"], id="mixed"),
        pytest.param(
            ["SESSION-EXPIRES: 1800;refresher=uas", "Supported: 100rel", "Supported: replaces ,Timer"],
            id="several-rows",
        ),
        pytest.param(
            ['session-expires:0001800 ; x-y="a;b" ; refresher = uas ; z', "supported:timer"], id="blanks"
        ),
        pytest.param(
            ["Session-Expires: 1800;\r\n refresher=uas", "Supported: path,\r\n\ttimer"], id="folded"
        ),
        pytest.param(
            ["Session-Expires: 1800;refresher=uas", "Supported:", "Supported: timer"], id="empty-row"
        ),
    ],
)
def test_legal_spellings_mean_the_same(peer: Peer, edge: Kamailio, wire: Wire, rows: list[str]) -> None:
    call = peer(41).call()
    assert_2xx(call.dial(*rows), "1800;refresher=uas", requires=True)
    edge.record(call.call_id, interval="1800", refresher="local", supports="1")
    invite = wire.reached_asterisk(call.call_id, "INVITE")
    assert_no_timer(invite)
    assert len(invite.rows(INTERNAL)) == 1
    call.bye()


@pytest.mark.requirement("S61-7.3.1-01", "S61-7.3.3-01")
def test_other_option_tags_reach_asterisk(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    call.dial("Session-Expires: 1800", "k: 100rel", "Supported: replaces, timer", "Supported: path")
    assert wire.reached_asterisk(call.call_id, "INVITE").tokens("Supported") == {"100rel", "replaces", "path"}
    call.bye()


@pytest.mark.requirement("UAC-7.1-12")
def test_require_and_proxy_require_are_met_by_the_edge(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    answer = call.dial("Session-Expires: 1800", "Supported: timer", "Require: timer", "Proxy-Require: timer")
    assert_2xx(answer, "1800;refresher=uac", requires=True)
    invite = wire.reached_asterisk(call.call_id, "INVITE")
    assert_no_timer(invite)
    assert invite.rows("Require") == ()
    assert invite.rows("Proxy-Require") == ()
    call.bye()


@pytest.mark.requirement("UAS-9-16")
def test_tags_join_the_rows_that_asterisk_wrote(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    answer = call.dial("Session-Expires: 1800", "Supported: timer")
    (asterisks,) = [each for each in wire.from_asterisk(call.call_id) if each.status == 200][:1]
    assert asterisks.rows("Supported")
    assert answer.rows("Supported") == (f"{asterisks.header('Supported')}, timer",)
    assert len(answer.rows("Require")) == 1
    call.bye()


@pytest.mark.requirement("SE-4-01", "SE-4-10")
def test_provisional_answers_carry_no_timer(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    call.dial("Session-Expires: 1800", "Supported: timer")
    early = [each.message for each in wire.packets(call.call_id) if (each.message.status or 200) < 200]
    assert early
    assert not [each for each in early if each.rows("Session-Expires") or "timer" in each.tokens("Require")]
    call.bye()


def test_asterisk_learns_interval_side_method_and_whom_to_ask(peer: Peer, wire: Wire) -> None:
    call = peer(41).call()
    call.dial("Session-Expires: 1800;refresher=uac", "Supported: timer", allow="Allow: INVITE, ACK, BYE")
    assert told(wire.reached_asterisk(call.call_id, "INVITE")) == InternalHeader(
        Agreement(1800, Side.REMOTE), edge="edge", peer="strict", placed=Side.REMOTE
    )
    call.bye()


@pytest.mark.requirement("SE-4-12", "S61-20-01", "DEF-2-05")
def test_session_expires_means_nothing_in_other_methods(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial("Session-Expires: 1800", "Supported: timer")
    before = edge.record_texts(call.call_id)
    answer = call.ask("OPTIONS", "Session-Expires: 5;refresher=uac", "Min-SE: 4000", "Supported: timer")
    assert answer.status == 200
    assert answer.rows("Session-Expires") == ()
    assert edge.record_texts(call.call_id) == before
    assert call.bye("Session-Expires: 5").status == 200
    edge.records(call.call_id, 0)


@pytest.mark.requirement("UAC-7.2-01", "UAS-9-18")
def test_calls_do_not_share_state(peer: Peer, edge: Kamailio) -> None:
    calls = [peer(41).call() for _ in range(4)]
    for number, call in enumerate(calls):
        call.dial(f"Session-Expires: {1000 + number}", "Supported: timer")
    for number, call in enumerate(calls):
        edge.record(call.call_id, interval=str(1000 + number))
        call.bye()
    for call in calls:
        edge.records(call.call_id, 0)
