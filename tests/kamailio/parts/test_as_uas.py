"""The peer calls, Asterisk answers: the edge is the UAS of RFC 4028 section 9."""

from __future__ import annotations

import pytest
from session_timer import Agreement, InternalHeader, Side

from tests.kamailio.fakes.edge import ASTERISK, OURS, STRICT, THEIRS, TIMER_HEADERS, Edge, MakeEdge


@pytest.mark.requirement("UAS-9-02", "UAS-9-03", "R422-6-01", "R422-6-02", "MSE-5-05", "IANA-12-03")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("expires", ["Session-Expires: 299", "x: 100;refresher=uac", "session-expires:0299"])
def test_too_small_is_answered_422_and_asterisk_hears_nothing(
    make_edge: MakeEdge, method: str, expires: str
) -> None:
    edge = make_edge(peer=STRICT)
    handled = edge.send((expires, "Supported: timer"), method=method, within=method == "UPDATE")
    assert handled.branches == []
    assert handled.answered is not None
    assert handled.answered.start == "SIP/2.0 422 Session Interval Too Small"
    assert handled.answered.rows == ("Min-SE: 300",)
    assert edge.count("422_sent") == 1
    assert edge.ksr.lines("info") == ["session timer: call-1: peer=strict 422 sent, Min-SE 300"]


@pytest.mark.requirement("UAS-9-02", "G-04")
def test_too_small_without_support_is_accepted_as_it_is(make_edge: MakeEdge) -> None:
    edge = make_edge(peer=STRICT)
    answer = edge.call("Session-Expires: 200")
    assert answer.value("Session-Expires") == "200;refresher=uas"
    assert answer.value("Require") is None


@pytest.mark.requirement("R422-6-01", "G-17")
def test_a_422_to_a_reinvite_leaves_record_and_deadline(make_edge: MakeEdge) -> None:
    edge = make_edge(peer=STRICT)
    edge.call("Session-Expires: 600;refresher=uac", "Supported: timer")
    before = edge.known()
    edge.ksr.now += 100
    handled = edge.send(("Session-Expires: 200", "Supported: timer"), within=True)
    assert handled.answered is not None
    assert handled.answered.code == 422
    after = edge.known()
    assert (after.at, after.last, after.dialog) == (before.at, before.last, before.dialog)


@pytest.mark.requirement("SE-4-02", "MSE-5-06")
@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("Session-Expires: abc", "Session-Expires"),
        ("Session-Expires: 1800;;refresher=uac", "Session-Expires"),
        ("Session-Expires: -1", "Session-Expires"),
        ("Session-Expires:", "Session-Expires"),
        ("x:", "Session-Expires"),
        ("Session-Expires: 18\u00ff", "Session-Expires"),
        ("Min-SE: 90s", "Min-SE"),
        ("Min-SE: ", "Min-SE"),
        ("Min-SE: \u00ff", "Min-SE"),
    ],
)
def test_malformed_is_answered_400(edge: Edge, row: str, header: str) -> None:
    handled = edge.send((*row.split("\r\n"), "Supported: timer"))
    assert handled.branches == []
    assert handled.answered is not None
    assert handled.answered.start == f"SIP/2.0 400 Malformed {header}"
    assert edge.count("malformed") == 1
    (line,) = edge.ksr.lines("info")
    assert line.startswith(f"session timer: call-1: 400 sent, {header}: ")


@pytest.mark.requirement("UAS-9-05", "UAS-9-13", "UAS-9-16", "SE-4-01")
def test_a_call_with_timer(edge: Edge) -> None:
    handled = edge.send(
        (
            "x: 1800;refresher=uac",
            "k: 100rel, timer",
            "Supported: path",
            "Min-SE: 120",
            "Require: timer, 100rel",
            "Proxy-Require: timer",
            "Allow: INVITE, ACK",
            "Allow: UPDATE",
            "X-Session-Timer: 5;refresher=local;v=1",
        )
    )
    sent = handled.sent
    assert sent.all(*TIMER_HEADERS) == ["Supported: 100rel, path", "Require: 100rel"]
    told = edge.told(sent)
    assert told == InternalHeader(
        Agreement(1800, Side.REMOTE),
        peer_allows_update=True,
        edge="edge-1",
        peer="carrier",
        placed=Side.REMOTE,
    )

    edge.ksr.now += 7
    answer = edge.sure(edge.answer(handled, 200, ("Require: 100rel", "Supported: replaces")))
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert answer.all("Require") == ["Require: 100rel, timer"]
    assert answer.all("Supported") == ["Supported: replaces, timer"]
    assert answer.value("Min-SE") is None
    assert answer.value("X-Session-Timer") is None

    record = edge.known()
    assert record.local_tag == OURS
    assert record.dialog.agreement is not None
    assert (record.dialog.agreement.interval, record.dialog.agreement.refresher) == (1800, Side.REMOTE)
    assert record.dialog.min_se == 120
    assert record.dialog.peer_supports
    assert record.dialog.peer_allows_update
    assert (record.at, record.refreshes, record.peer, record.last) == (1007.0, 0, "carrier", "remote:1")
    assert edge.count("negotiations") == 1
    assert edge.ksr.lines("info") == [
        "session timer: call-1: peer=carrier interval=1800 refresher=remote supported=1"
    ]


@pytest.mark.requirement("UAS-9-14", "UAS-9-15", "UAS-9-16", "UAS-9-17", "G-13")
@pytest.mark.parametrize(
    ("supported", "asked", "wish", "shown", "required"),
    [
        (False, "", "uac", "uas", False),
        (False, ";refresher=uac", "uac", "uas", False),
        (False, ";refresher=uas", "uac", "uas", False),
        (True, "", "uac", "uac", True),
        (True, "", "uas", "uas", True),
        (True, ";refresher=uac", "uas", "uac", True),
        (True, ";refresher=uas", "uac", "uas", True),
    ],
)
def test_table_2(
    make_edge: MakeEdge, *, supported: bool, asked: str, wish: str, shown: str, required: bool
) -> None:
    edge = make_edge(config={"session_timer": {"prefer_refresher": wish}, "asterisk": [ASTERISK]})
    answer = edge.call(f"Session-Expires: 600{asked}", *(["Supported: timer"] if supported else []))
    assert answer.value("Session-Expires") == f"600;refresher={shown}"
    assert answer.tags("Require") == (["timer"] if required else [])
    agreement = edge.known().dialog.agreement
    assert agreement is not None
    assert agreement.refresher is (Side.REMOTE if shown == "uac" else Side.LOCAL)


@pytest.mark.requirement("UAS-9-11", "UAS-9-12")
def test_support_without_a_value_is_asked_for_a_timer(edge: Edge) -> None:
    assert edge.call("Supported: timer", "Min-SE: 2400").value("Session-Expires") == "2400;refresher=uac"


@pytest.mark.requirement("G-05", "UAC-7.2-08")
def test_without_support_the_answer_has_no_timer_and_we_watch_alone(edge: Edge) -> None:
    answer = edge.call("Supported: 100rel")
    assert answer.all("Session-Expires", "Require") == []
    agreement = edge.known().dialog.agreement
    assert agreement is not None
    assert agreement.one_sided
    assert agreement.refresher is Side.LOCAL


@pytest.mark.requirement("SE-4-01", "SE-4-10")
@pytest.mark.parametrize("code", [180, 183, 302, 404, 486, 503, 603])
def test_only_a_2xx_is_completed(edge: Edge, code: int) -> None:
    handled = edge.send(("Session-Expires: 1800", "Supported: timer"))
    rows = ("Supported: replaces", "Retry-After: 5")
    answer = edge.sure(edge.answer(handled, code, rows))
    assert answer.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == rows
    assert edge.record() is None


@pytest.mark.requirement("MSE-5-04", "SE-4-01")
def test_what_asterisk_says_of_timers_is_not_handed_on(edge: Edge) -> None:
    answer = edge.call(
        "Session-Expires: 1800;refresher=uac",
        "Supported: timer",
        answer=("x: 90;refresher=uas", "Min-SE: 90", "Require: timer", "Supported: timer"),
    )
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert answer.all("Min-SE") == []
    assert answer.tags("Require") == ["timer"]
    assert answer.tags("Supported") == ["timer"]


@pytest.mark.requirement("UAS-9-18", "DEF-2-03", "UAC-7.4-11")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_by_the_peer_moves_the_record(edge: Edge, method: str) -> None:
    edge.call("Session-Expires: 1800;refresher=uac", "Supported: timer")
    edge.ksr.now += 900
    handled = edge.send(
        ("Session-Expires: 1200;refresher=uac", "Supported: timer"), method=method, within=True
    )
    assert handled.sent.all(*TIMER_HEADERS) == []
    answer = edge.sure(edge.answer(handled))
    assert answer.value("Session-Expires") == "1200;refresher=uac"
    assert answer.tags("Require") == ["timer"]
    record = edge.known()
    assert record.dialog.agreement is not None
    assert record.dialog.agreement.interval == 1200
    assert (record.at, record.refreshes, record.last) == (1900.0, 1, "remote:2")
    assert list(edge.ksr.tables["session_timer_changes"]) == list(edge.ksr.tables["session_timer"])


@pytest.mark.requirement("UAC-7.4-11", "UAC-7.2-13", "UAS-9-14")
@pytest.mark.parametrize("refresher", [Side.LOCAL, Side.REMOTE])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_roles_are_translated_when_asterisk_refreshes(edge: Edge, method: str, refresher: Side) -> None:
    role = {Side.LOCAL: "uas", Side.REMOTE: "uac"}[refresher]
    edge.call(f"Session-Expires: 1800;refresher={role}", "Supported: timer")
    handled = edge.send(("Supported: replaces",), method=method, from_us=True, within=True)
    turned = {Side.LOCAL: "uac", Side.REMOTE: "uas"}[refresher]
    assert handled.sent.all(*TIMER_HEADERS) == [
        "Supported: replaces, timer",
        f"Session-Expires: 1800;refresher={turned}",
    ]
    edge.ksr.now += 10
    answer = edge.sure(
        edge.answer(handled, 200, (f"Session-Expires: 1800;refresher={turned}", "Require: timer"))
    )
    assert answer.all(*TIMER_HEADERS) == []
    record = edge.known()
    assert record.dialog.agreement is not None
    assert record.dialog.agreement.refresher is refresher
    assert (record.at, record.refreshes) == (1010.0, 1)
    assert record.local_tag == OURS


@pytest.mark.requirement("UAS-9-19", "UAC-7.2-10")
@pytest.mark.parametrize("keep", [False, True])
def test_a_refresh_without_timer_ends_it_by_the_letter(make_edge: MakeEdge, *, keep: bool) -> None:
    """Some stacks leave the timer out of a hold and count on: then our side refreshes alone."""
    settings = {"request_timer": False, "keep_after_bare_2xx": keep}
    edge = make_edge(config={"session_timer": settings, "asterisk": [ASTERISK]})
    edge.call("Session-Expires: 1200;refresher=uac", "Supported: timer")
    answer = edge.sure(edge.answer(edge.send(("Supported: timer",), within=True)))
    assert answer.value("Session-Expires") is None
    assert edge.known().dialog.agreement == (Agreement.refreshed_alone(1200) if keep else None)


@pytest.mark.requirement("G-08")
def test_a_retransmitted_2xx_is_the_same_again_and_moves_nothing(edge: Edge) -> None:
    handled = edge.send(("Session-Expires: 1800;refresher=uac", "Supported: timer"))
    first = edge.answer(handled)
    before = edge.known()
    edge.ksr.now += 4
    assert edge.answer(handled) == first
    assert edge.known() == before


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, None),
        ("5", 5),
        ("7;duration=3600", 7),
        ("9 (busy)", 9),
        ("soon", None),
        ("0123456789", 123456789),
        ("9" * 400, 2**32 - 1),
        ("\u00b2", None),
        ("", None),
    ],
)
def test_a_refused_refresh_is_on_record_and_the_deadline_stays(
    edge: Edge, retry_after: str | None, seconds: int | None
) -> None:
    edge.call("Session-Expires: 1800;refresher=uac", "Supported: timer")
    before = edge.known()
    edge.ksr.now += 900
    handled = edge.send(("Session-Expires: 1800;refresher=uac", "Supported: timer"), within=True)
    rows = () if retry_after is None else (f"Retry-After: {retry_after}".encode().decode("latin-1"),)
    edge.answer(handled, 500, rows)
    record = edge.known()
    refused = edge.refused(Side.REMOTE)
    assert (refused.method, refused.cseq, refused.code) == ("INVITE", 2, 500)
    assert (refused.at, refused.ended, refused.retry_after) == (1900.0, 1900.0, seconds)
    assert (record.at, record.dialog, record.refreshes) == (before.at, before.dialog, 0)
    assert edge.count("refused_remote") == 1
    assert (
        edge.ksr.lines("info")[-1] == "session timer: call-1: peer=carrier refresh from remote answered 500"
    )
    assert edge.ksr.tables["session_timer_changes"] == {}


@pytest.mark.requirement("UAC-7.4-04")
def test_a_min_se_learned_while_a_refresh_of_the_peer_is_open_is_not_forgotten_by_its_2xx(edge: Edge) -> None:
    edge.call("Session-Expires: 1800;refresher=uac", "Supported: timer")
    theirs = edge.send(("Session-Expires: 1800;refresher=uac", "Supported: timer"), within=True)
    ours = edge.send(method="UPDATE", from_us=True, within=True)
    assert edge.sure(edge.answer(ours, 422, ("Min-SE: 2500",))).code == 422
    edge.answer(theirs)
    assert edge.known().dialog.min_se == 2500


@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize(
    ("code", "ends"), [(200, True), (408, True), (481, True), (407, False), (500, False)]
)
def test_a_bye_ends_the_record_unless_it_is_refused(
    edge: Edge, *, from_us: bool, code: int, ends: bool
) -> None:
    edge.call("Session-Expires: 1800", "Supported: timer")
    bye = edge.send(method="BYE", from_us=from_us, within=True)
    assert edge.record() is not None
    edge.answer(bye, code)
    assert (edge.record() is None) is ends


@pytest.mark.requirement("SE-4-12", "SE-4-10")
@pytest.mark.parametrize(
    "method", ["ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "INFO", "MESSAGE"]
)
def test_timer_headers_elsewhere_mean_nothing(edge: Edge, method: str) -> None:
    rows = ("Session-Expires: 1", "Min-SE: x", "Supported: timer")
    handled = edge.send(rows, method=method, within=True)
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == rows


@pytest.mark.requirement("UAC-7.2-12", "UAS-9-18")
def test_every_fork_has_its_record(edge: Edge) -> None:
    handled = edge.send(("Session-Expires: 1800;refresher=uac", "Supported: timer"), forks=2)
    edge.answer(handled, to_tag="one", branch=0)
    edge.ksr.now += 1
    edge.answer(handled, to_tag="two", branch=1)
    assert edge.known("one", THEIRS).local_tag == "one"
    assert edge.known("two", THEIRS).local_tag == "two"
    assert (edge.known("one", THEIRS).at, edge.known("two", THEIRS).at) == (1000.0, 1001.0)


@pytest.mark.parametrize("from_us", [False, True])
def test_a_2xx_whose_headers_kamailio_cannot_parse_takes_the_record_away(
    edge: Edge, *, from_us: bool
) -> None:
    """What the record says of the time before is no proof that no refresh came after."""
    edge.call("Session-Expires: 1800;refresher=uac", "Supported: timer")
    edge.ksr.now += 900
    handled = edge.send(("Supported: timer",), from_us=from_us, within=True)
    edge.answer(handled, 200, ("Retry-After: soon",))
    assert edge.record() is None


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_reload_with_a_larger_minimum_refuses_no_interval_that_runs(edge: Edge, method: str) -> None:
    timer = ("Supported: timer", "Session-Expires: 200;refresher=uac")
    edge.call(*timer)
    edge.config = {**edge.config, "session_timer": {"min_se": 600}}
    edge.start()
    assert edge.sure(edge.answer(edge.send(timer, method=method, within=True))).code == 200
    edge.call_id = "call-2"
    refused = edge.send(timer).answered
    assert refused is not None
    assert refused.code == 422
