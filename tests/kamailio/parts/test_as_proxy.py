"""Both ends run their own timers: the edge is the proxy of RFC 4028 section 8."""

from __future__ import annotations

from typing import Any

import pytest
from session_timer import Side

from tests.kamailio.fakes.edge import (
    CARRIER,
    OURS,
    OUTSIDER,
    PASSING,
    THEIRS,
    TIMER_HEADERS,
    Edge,
    MakeEdge,
    Script,
    through,
)


class Stateless(Script):
    """Relays by forward(): without a transaction Kamailio runs neither branch route nor onreply route."""

    def branch(self) -> None: ...

    def onreply(self) -> None: ...


@pytest.mark.requirement("PRX-8-02")
def test_without_a_transaction_no_timer_is_asked_for(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    edge.script_class = Stateless
    handled = edge.send(("Supported: timer",))
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == (
        "Supported: timer",
    )


@pytest.mark.requirement("PRX-8.1-02", "PRX-8.1-04", "PRX-8.1-05", "PRX-8.1-06", "PRX-8.1-07", "PRX-8.1-09")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("rows", "settings", "forwarded"),
    [
        (("Supported: timer",), {}, ("Supported: timer", "Session-Expires: 1800")),
        ((), {}, ("Session-Expires: 1800",)),
        (("Min-SE: 3600",), {}, ("Min-SE: 3600", "Session-Expires: 3600")),
        ((), {"request_timer": False}, ()),
        (("x: 3600;refresher=uas;a=b",), {"max_expires": 1800}, ("Session-Expires: 1800;refresher=uas;a=b",)),
        (
            ("Min-SE: 2000", "x: 3600"),
            {"max_expires": 1800},
            ("Min-SE: 2000", "Session-Expires: 2000"),
        ),
        (("x: 600;refresher=uac",), {}, ("x: 600;refresher=uac",)),
        (("Supported: timer", "Min-SE: 120", "x: 600"), {"min_se": 300}, None),
        (("x: 100",), {"min_se": 300}, ("Session-Expires: 300", "Min-SE: 300")),
        (("x: 100", "min-se: 120"), {"min_se": 300}, ("Session-Expires: 300", "Min-SE: 300")),
        (("x: 100", "Min-SE: 900"), {"min_se": 300}, ("Min-SE: 900", "Session-Expires: 900")),
    ],
)
def test_requests(
    make_edge: MakeEdge,
    *,
    method: str,
    rows: tuple[str, ...],
    settings: dict[str, Any],
    forwarded: tuple[str, ...] | None,
) -> None:
    handled = through(make_edge, **settings).send(rows, method=method)
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == (
        rows if forwarded is None else forwarded
    )


@pytest.mark.requirement("PRX-8.1-10", "PRX-8.1-11")
def test_too_small_with_support_is_answered_422(make_edge: MakeEdge) -> None:
    handled = through(make_edge, min_se=300).send(("Supported: timer", "x: 299"))
    assert handled.answered is not None
    assert (handled.answered.code, handled.answered.rows) == (422, ("Min-SE: 300",))


@pytest.mark.requirement("PRX-8.1-22", "PRX-8.1-23")
@pytest.mark.parametrize(("insist", "required"), [(False, []), (True, ["Require: 100rel, timer"])])
def test_require_where_the_operator_insists(make_edge: MakeEdge, insist: bool, required: list[str]) -> None:
    sent = through(make_edge, require_timer=insist).send(("Require: 100rel",)).sent
    assert sent.all("Require") == (required or ["Require: 100rel"])


@pytest.mark.requirement("PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "PRX-8.1-19")
def test_a_bare_2xx_is_completed_for_a_caller_that_knows_timers(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    answer = edge.call("Supported: timer", answer=("Require: 100rel",))
    assert answer.all(*TIMER_HEADERS) == [
        "Session-Expires: 1800;refresher=uac",
        "Require: 100rel, timer",
    ]
    record = edge.known()
    assert record.dialog.agreement is not None
    assert (record.dialog.agreement.interval, record.dialog.agreement.refresher) == (1800, Side.REMOTE)
    assert record.local_tag == OURS, "the callee's"


@pytest.mark.requirement("PRX-8.1-20")
def test_what_was_asked_lasts_as_long_as_the_transaction(make_edge: MakeEdge) -> None:
    """Neither time, nor provisional answers, nor another 2xx, nor a script that is loaded anew uses it up."""
    edge = through(make_edge)
    handled = edge.send(("Supported: timer",))
    for code in (180, 183):
        edge.ksr.now += 60
        assert edge.sure(edge.answer(handled, code)).all("Session-Expires") == []
    edge.config = {**edge.config, "session_timer": {"default_expires": 3600}}
    edge.start()
    for tag in ("one", "two"):
        answer = edge.sure(edge.answer(handled, to_tag=tag))
        assert answer.all(*TIMER_HEADERS) == ["Session-Expires: 1800;refresher=uac", "Require: timer"]
        agreement = edge.known(tag, THEIRS).dialog.agreement
        assert agreement is not None
        assert (agreement.interval, agreement.refresher) == (1800, Side.REMOTE)


@pytest.mark.requirement("PRX-8.2-02", "PRX-8.1-21")
def test_without_any_support_the_2xx_passes(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    assert edge.call(answer=("Supported: path",)).all(*TIMER_HEADERS) == ["Supported: path"]
    assert edge.known().dialog.agreement is None


@pytest.mark.requirement("PRX-8.2-06", "PRX-8.2-07", "PRX-8.2-09", "PRX-8.2-11", "SE-4-11")
@pytest.mark.parametrize(
    ("asked", "shown", "interval", "refresher"),
    [
        ("", "x: 30;refresher=uas", 30, Side.LOCAL),
        ("", "Session-Expires: 600;refresher=uac", 600, Side.REMOTE),
        ("", "Session-Expires: 600", 600, Side.REMOTE),
        (";refresher=uas", "Session-Expires: 600", 600, Side.LOCAL),
        (";refresher=uac", "Session-Expires: 600", 600, Side.REMOTE),
    ],
)
def test_a_2xx_with_timer_is_never_changed(
    make_edge: MakeEdge, *, asked: str, shown: str, interval: int, refresher: Side
) -> None:
    edge = through(make_edge)
    answer = edge.call(f"Session-Expires: 1800{asked}", "Supported: timer", answer=(shown,))
    assert answer.all(*TIMER_HEADERS) == [shown]
    agreement = edge.known().dialog.agreement
    assert agreement is not None
    assert (agreement.interval, agreement.refresher) == (interval, refresher)


@pytest.mark.requirement("PRX-8.2-01")
@pytest.mark.parametrize("code", [183, 422, 486])
def test_other_answers_pass(make_edge: MakeEdge, code: int) -> None:
    edge = through(make_edge)
    rows = ("Min-SE: 900", "Supported: timer")
    handled = edge.send(("Supported: timer",))
    assert (
        edge.sure(edge.answer(handled, code, rows)).without(
            "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route"
        )
        == rows
    )
    assert edge.record() is None


@pytest.mark.requirement("SE-4-02")
@pytest.mark.parametrize("bad", ["Session-Expires: soon", "x:", "Min-SE: -1", "x: \u00ff"])
def test_malformed_is_the_far_ends_to_answer(make_edge: MakeEdge, bad: str) -> None:
    edge = through(make_edge)
    handled = edge.send((bad, "Supported: timer"))
    assert handled.answered is None
    assert handled.sent.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == (
        bad,
        "Supported: timer",
    )
    assert edge.sure(edge.answer(handled)).all("Session-Expires") == []


def test_a_malformed_2xx_passes_as_it_is(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    assert edge.call("Supported: timer", answer=("x: soon",)).all("Session-Expires", "Require") == ["x: soon"]


@pytest.mark.requirement("PRX-8.2-08", "PRX-8.1-01", "UAC-7.2-13")
def test_refreshes_by_either_end_move_the_record(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    edge.call("Supported: timer", "x: 1800", answer=("x: 1800;refresher=uac",))
    edge.ksr.now += 900
    handled = edge.send(
        ("x: 1800;refresher=uas", "Supported: timer"), method="UPDATE", from_us=True, within=True
    )
    edge.answer(handled, 200, ("x: 1200;refresher=uas",))
    record = edge.known()
    assert record.dialog.agreement is not None
    assert (record.dialog.agreement.interval, record.dialog.agreement.refresher) == (1200, Side.REMOTE)
    assert (record.at, record.refreshes, record.local_tag) == (1900.0, 1, OURS)
    edge.answer(edge.send(("Supported: timer",), within=True), 500)
    assert edge.refused(Side.REMOTE).code == 500


def test_two_ends_that_are_no_asterisk_are_passed_whatever_the_profile(make_edge: MakeEdge) -> None:
    edge = make_edge(peer=OUTSIDER)
    handled = edge.send(("Supported: timer",), target="far.example")
    assert handled.sent.all(*TIMER_HEADERS) == ["Supported: timer", "Session-Expires: 1800"]
    edge.answer(handled, 200, ("x: 600;refresher=uas",), source="198.51.100.9")
    assert edge.known().local_tag == OURS


def test_asterisk_may_call_a_peer_with_a_proxy_profile(make_edge: MakeEdge) -> None:
    edge = through(make_edge)
    handled = edge.send(("Supported: timer",), from_us=True)
    assert handled.sent.all(*TIMER_HEADERS) == ["Supported: timer", "Session-Expires: 1800"]
    answer = edge.sure(edge.answer(handled))
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert edge.known().local_tag == OURS


@pytest.mark.requirement("UAC-7.4-11", "UAC-7.2-13")
@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize(("role", "turned"), [("uac", "uas"), ("uas", "uac")])
def test_a_dialog_that_we_speak_for_from_now_on_keeps_its_roles(
    make_edge: MakeEdge, *, from_us: bool, role: str, turned: str
) -> None:
    """Its profile's mode is another one since a reload."""
    edge = through(make_edge)
    edge.call("Supported: timer", from_us=from_us, answer=(f"x: 1800;refresher={role}",))
    edge.config = {**edge.config, "peers": [{"name": "passing", "match": {"address": [PASSING]}}]}
    edge.start()
    ours = edge.send(method="UPDATE", from_us=True, within=True).sent
    assert ours.all(*TIMER_HEADERS, "X-Session-Timer") == [
        "Supported: timer",
        f"Session-Expires: 1800;refresher={role if from_us else turned}",
    ]
    theirs = edge.send(("Supported: timer",), within=True)
    assert theirs.sent.value("X-Session-Timer") is not None
    answer = edge.sure(edge.answer(theirs))
    assert answer.value("Session-Expires") == f"1800;refresher={turned if from_us else role}"
    assert edge.known().local_tag == OURS


@pytest.mark.parametrize(("role", "refresher"), [("uac", Side.LOCAL), ("uas", Side.REMOTE)])
def test_a_call_that_passes_the_edge_twice_is_ours_in_its_record(
    edge: Edge, role: str, refresher: Side
) -> None:
    """Asterisk's call comes back from the edge itself, and only then goes out."""
    rows = (f"Session-Expires: 1800;refresher={role}", "Supported: timer")
    for within in (False, True):
        cseq = 2 if within else 1
        first = edge.send(from_us=True, within=within, target="192.0.2.10", cseq=cseq)
        again = edge.send(
            tuple(first.sent.all(*TIMER_HEADERS)), source="192.0.2.10", target=CARRIER, cseq=cseq,
            tags=(OURS, THEIRS if within else ""),
        )  # fmt: skip
        out = edge.sure(edge.answer(again, 200, rows, to_tag=THEIRS, source=CARRIER))
        edge.answer(first, 200, tuple(out.all(*TIMER_HEADERS)))
        record = edge.known()
        assert record.local_tag == OURS
        assert record.dialog.agreement is not None
        assert record.dialog.agreement.refresher is refresher
    assert record.refreshes == 1


@pytest.mark.requirement("D-03")
@pytest.mark.parametrize("from_us", [False, True])
def test_a_malformed_header_in_a_2xx_that_passes_is_logged(make_edge: MakeEdge, *, from_us: bool) -> None:
    edge = make_edge(peer=PASSING)
    answer = edge.call("Supported: timer", from_us=from_us, answer=("Session-Expires: soon",))
    assert answer.value("Session-Expires") == "soon", "a proxy leaves it alone"
    (line,) = edge.ksr.lines("warn")
    assert line.startswith("session timer: call-1: peer=passing defect in a 200: Session-Expires: 'soon'")
