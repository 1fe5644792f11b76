"""Asterisk calls, the peer answers: the edge is the UAC of RFC 4028 section 7."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, Side

from tests.kamailio.fakes.edge import ASTERISK, CONFIG, OURS, STRICT, THEIRS, TIMER_HEADERS, Edge, MakeEdge


@pytest.mark.requirement("UAC-7.1-01", "UAC-7.1-08", "UAC-7.1-11", "SE-4-04")
def test_an_initial_invite_asks_for_a_timer(edge: Edge) -> None:
    sent = edge.send(("Supported: replaces", "k: path", "x: 5;refresher=uas", "Min-SE: 5"), from_us=True).sent
    assert sent.all(*TIMER_HEADERS) == ["Supported: replaces,path, timer", "Session-Expires: 1800"]


@pytest.mark.requirement("UAC-7.1-01", "UAC-7.1-07", "UAC-7.1-09")
def test_a_minimum_of_our_own_shows(make_edge: MakeEdge) -> None:
    sent = make_edge(peer=STRICT).send(from_us=True).sent
    assert sent.all(*TIMER_HEADERS) == ["Supported: timer", "Session-Expires: 1800", "Min-SE: 300"]


@pytest.mark.requirement("UAC-7.1-03", "UAC-7.1-04", "UAC-7.1-06", "UAC-7.1-10")
def test_what_the_operator_insists_on(make_edge: MakeEdge) -> None:
    settings = {
        "require_timer": True,
        "proxy_require_timer": True,
        "offer_refresher": True,
        "default_expires": 600,
    }
    edge = make_edge(config={**CONFIG, "session_timer": settings})
    sent = edge.send(("Require: 100rel",), from_us=True).sent
    assert sent.all(*TIMER_HEADERS) == [
        "Supported: timer",
        "Session-Expires: 600;refresher=uac",
        "Require: 100rel, timer",
        "Proxy-Require: timer",
    ]


@pytest.mark.requirement("UAC-7.1-02")
def test_support_is_said_where_no_timer_is_asked_for(make_edge: MakeEdge) -> None:
    edge = make_edge(config={**CONFIG, "session_timer": {"request_timer": False}})
    assert edge.send(from_us=True).sent.all(*TIMER_HEADERS) == ["Supported: timer"]


@pytest.mark.requirement("UAC-7.1-01")
@pytest.mark.parametrize("method", ["BYE", "OPTIONS", "PRACK", "INFO", "REFER", "SUBSCRIBE", "NOTIFY"])
def test_every_other_request_says_support(edge: Edge, method: str) -> None:
    edge.call(from_us=True)
    sent = edge.send(("Supported: path",), method=method, from_us=True, within=True).sent
    assert sent.all(*TIMER_HEADERS) == ["Supported: path, timer"]


@pytest.mark.requirement("UAC-7.1-01")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_do_not(edge: Edge, method: str) -> None:
    assert edge.send(method=method, from_us=True, within=True).sent.all("Supported") == []


@pytest.mark.requirement("UAC-7.2-02", "UAC-7.2-04", "UAC-7.2-06", "UAC-7.2-07", "UAC-7.2-14")
@pytest.mark.parametrize(
    ("expires", "interval", "refresher"),
    [
        ("Session-Expires: 600;refresher=uas", 600, Side.REMOTE),
        ("x: 600 ; refresher = UAC", 600, Side.LOCAL),
        ("Session-Expires: 600", 600, Side.LOCAL),
        ("Session-Expires: 90;foo;refresher=uas", 90, Side.REMOTE),
    ],
)
def test_the_answer_decides(edge: Edge, expires: str, interval: int, refresher: Side) -> None:
    handled = edge.send(from_us=True)
    edge.ksr.now += 3
    rows = (expires, "Require: timer", "k: timer, path", "Allow: INVITE, UPDATE", "X-Session-Timer: 1;v=1")
    answer = edge.sure(edge.answer(handled, 200, rows))
    assert answer.all(*TIMER_HEADERS) == ["Supported: path"]
    assert edge.told(answer) == InternalHeader(
        Agreement(interval, refresher),
        peer_allows_update=True,
        edge="edge-1",
        peer="carrier",
        placed=Side.LOCAL,
    )
    record = edge.known()
    assert record.dialog.agreement is not None
    assert (record.dialog.agreement.interval, record.dialog.agreement.refresher) == (interval, refresher)
    assert (record.local_tag, record.at, record.last) == (OURS, 1003.0, "local:1")
    assert record.dialog.peer_allows_update


@pytest.mark.requirement("UAC-7.2-08")
def test_a_peer_without_support_is_refreshed_by_us_alone(edge: Edge) -> None:
    answer = edge.call(from_us=True)
    assert edge.told(answer).agreement == Agreement(1800, Side.LOCAL, one_sided=True)


@pytest.mark.requirement("UAC-7.2-09")
def test_without_one_sided_there_is_no_timer(make_edge: MakeEdge) -> None:
    edge = make_edge(config={**CONFIG, "session_timer": {"one_sided": False}})
    assert (edge.call(from_us=True).value("X-Session-Timer") or "").startswith("0;refresher=none;")
    assert edge.known().dialog.agreement is None
    assert edge.count("without") == 1


@pytest.mark.requirement("UAC-7.2-10", "G-06")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_answered_without_timer_ends_it(edge: Edge, method: str) -> None:
    edge.call(from_us=True, answer=("Session-Expires: 1800;refresher=uac", "Supported: timer"))
    edge.answer(edge.send(method=method, from_us=True, within=True))
    assert edge.known().dialog.agreement is None
    assert len(edge.ksr.tables["session_timer_changes"]) == 1


@pytest.mark.requirement("UAC-7.2-03", "G-02")
@pytest.mark.parametrize(
    "bad", ["Session-Expires: soon", "x:", "Session-Expires: 0", "Session-Expires: \u00ff"]
)
def test_a_malformed_answer_counts_as_none_and_is_told(edge: Edge, bad: str) -> None:
    edge.call(from_us=True, answer=(bad, "Require: timer"))
    assert edge.known().dialog.agreement is None
    line = edge.ksr.lines("warn")[0]
    assert line.startswith("session timer: call-1: peer=carrier defect in a 200: Session-Expires: ")


@pytest.mark.requirement("G-02")
def test_a_2xx_that_requires_a_timer_and_names_none_is_logged(edge: Edge) -> None:
    edge.call(from_us=True, answer=("Require: timer",))
    assert edge.known().dialog.agreement is None
    assert edge.ksr.lines("warn") == [
        "session timer: call-1: peer=carrier defect in a 200: Require: timer, but no Session-Expires: "
        "taken as no timer"
    ]


@pytest.mark.requirement("UAC-7.4-11", "UAS-9-14")
@pytest.mark.parametrize(("shown", "refresher"), [("uac", Side.LOCAL), ("uas", Side.REMOTE)])
def test_roles_are_translated_when_the_peer_refreshes(edge: Edge, shown: str, refresher: Side) -> None:
    edge.call(from_us=True, answer=(f"Session-Expires: 1800;refresher={shown}", "Supported: timer"))
    turned = {"uac": "uas", "uas": "uac"}[shown]
    edge.ksr.now += 5
    handled = edge.send((f"Session-Expires: 1800;refresher={turned}", "Supported: timer"), within=True)
    assert (handled.sent.value("X-Session-Timer") or "").startswith(f"1800;refresher={refresher};")
    answer = edge.sure(edge.answer(handled))
    assert answer.value("Session-Expires") == f"1800;refresher={turned}"
    record = edge.known()
    assert record.dialog.agreement is not None
    assert record.dialog.agreement.refresher is refresher
    assert (record.local_tag, record.at, record.refreshes) == (OURS, 1005.0, 1)


@pytest.mark.requirement("UAC-7.4-11", "UAS-9-14")
def test_a_hold_without_timer_headers_keeps_the_role(edge: Edge) -> None:
    edge.call(from_us=True, answer=("Session-Expires: 1800;refresher=uac", "Supported: timer"))
    answer = edge.sure(edge.answer(edge.send(("Supported: timer",), within=True)))
    assert answer.value("Session-Expires") == "1800;refresher=uas"


@pytest.mark.requirement("G-08")
def test_a_retransmitted_2xx_is_the_same_again_and_moves_nothing(edge: Edge) -> None:
    handled = edge.send(from_us=True)
    rows = ("Session-Expires: 600;refresher=uas", "Require: timer")
    first = edge.answer(handled, 200, rows)
    before = edge.known()
    edge.ksr.now += 4
    assert edge.answer(handled, 200, rows) == first
    assert edge.known() == before


@pytest.mark.requirement("UAC-7.2-01", "UAC-7.2-12")
def test_two_answers_of_a_fork_are_two_sessions(edge: Edge) -> None:
    handled = edge.send(from_us=True)
    edge.answer(handled, 200, ("Session-Expires: 600;refresher=uas",), to_tag="one")
    edge.answer(handled, 200, ("Session-Expires: 90;refresher=uac",), to_tag="two")
    edge.answer(handled, 200, ("Supported: timer",), to_tag="three")
    agreed = [edge.known(OURS, tag).dialog.agreement for tag in ("one", "two", "three")]
    assert [a and (a.interval, a.refresher) for a in agreed] == [
        (600, Side.REMOTE),
        (90, Side.LOCAL),
        None,
    ]


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("code", [408, 481, 491, 405, 501, 500, 503])
def test_a_refused_refresh_is_on_record_with_its_code(edge: Edge, code: int) -> None:
    edge.call(from_us=True, answer=("Session-Expires: 1800;refresher=uac", "Supported: timer"))
    before = edge.known()
    edge.ksr.now += 900
    handled = edge.send(from_us=True, within=True, method="UPDATE")
    edge.answer(handled, code, ("Retry-After: 3 (overload);duration=60",))
    record = edge.known()
    refused = edge.refused(Side.LOCAL)
    assert (refused.code, refused.method, refused.cseq, refused.retry_after) == (code, "UPDATE", 2, 3)
    assert (record.at, record.dialog) == (before.at, before.dialog)


@pytest.mark.requirement("UAC-7.4-11")
def test_an_early_update_is_negotiated_too(edge: Edge) -> None:
    invite = edge.send(from_us=True)
    edge.answer(invite, 183, ("Session-Expires: 90;refresher=uas", "Supported: timer"))
    assert edge.record() is None
    update = edge.send(method="UPDATE", from_us=True, within=True)
    edge.answer(update, 200, ("Session-Expires: 1200;refresher=uas", "Supported: timer"))
    edge.answer(invite, 200, ("Session-Expires: 600;refresher=uac", "Supported: timer"))
    agreement = edge.known().dialog.agreement
    assert agreement is not None
    assert (agreement.interval, agreement.refresher) == (600, Side.LOCAL)


@pytest.mark.parametrize("rows", [(), ("Supported: timer", "X-Session-Timer: 1800;refresher=remote;v=1")])
def test_between_two_asterisks_nothing_happens_but_the_header_goes(
    make_edge: MakeEdge, rows: tuple[str, ...]
) -> None:
    edge = make_edge(peer="192.0.2.21", config={**CONFIG, "asterisk": [ASTERISK, "192.0.2.21"]})
    handled = edge.send(rows, from_us=True)
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == rows[:1]
    edge.answer(handled)
    assert edge.ksr.tables["session_timer"] == {}


@pytest.mark.parametrize("method", ["BYE", "INFO", "OPTIONS"])
def test_to_another_asterisk_no_support_is_said(make_edge: MakeEdge, method: str) -> None:
    edge = make_edge(peer="192.0.2.21", config={**CONFIG, "asterisk": [ASTERISK, "192.0.2.21"]})
    assert edge.send(method=method, from_us=True, within=True).sent.all("Supported") == []


def test_the_record_tells_who_is_who_when_an_address_does_not(edge: Edge) -> None:
    """A peer's request by another of its addresses, which matches no profile, is the same peer's."""
    edge.call(from_us=True, answer=("Session-Expires: 1800;refresher=uas", "Supported: timer"))
    handled = edge.send(("Supported: timer",), within=True, source="198.51.100.7")
    edge.answer(handled)
    assert edge.known(OURS, THEIRS).peer == "carrier"


@pytest.mark.parametrize("from_us", [False, True])
def test_within_a_dialog_the_record_says_whose_end_is_whose(edge: Edge, *, from_us: bool) -> None:
    """Asterisk's Contact, and where it sends from since, is an address that the settings do not name."""
    timer = ("Supported: timer", "Session-Expires: 1800;refresher=uac", "Allow: INVITE, UPDATE")
    public = "198.51.100.77"
    edge.call(*timer, from_us=from_us, answer=timer)
    handled = edge.send(timer, method="UPDATE", within=True, target=public)
    assert handled.sent.all(*TIMER_HEADERS) == [], "the timer is hidden from Asterisk"
    answer = edge.sure(edge.answer(handled, source=public))
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    handled = edge.send(method="UPDATE", from_us=True, within=True, source=public)
    assert handled.sent.value("Session-Expires") == "1800;refresher=uas"
    answer = edge.sure(edge.answer(handled, 200, ("Supported: timer", "Session-Expires: 1800;refresher=uas")))
    assert answer.all(*TIMER_HEADERS) == []
    assert (edge.known().refreshes, edge.known().peer) == (2, "carrier")
