"""The peer answers 422: another try with the Min-SE that it named, and what is remembered of it."""

from __future__ import annotations

import pytest
from session_timer import Outcome, Side

from tests.kamailio.fakes.edge import CARRIER, CONFIG, TIMER_HEADERS, Edge, MakeEdge, Script


@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-03", "UAC-7.4-05", "UAC-7.4-06")
def test_422_is_retried_while_min_se_grows(edge: Edge) -> None:
    handled = edge.send(from_us=True)
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    assert handled.last.all(*TIMER_HEADERS) == ["Supported: timer", "Session-Expires: 3600", "Min-SE: 3600"]
    assert edge.answer(handled, 422, ("Min-SE: 4000;x=y",)) is None
    assert handled.last.all("Session-Expires", "Min-SE") == ["Session-Expires: 4000", "Min-SE: 4000"]
    answer = edge.sure(edge.answer(handled, 200, ("Session-Expires: 4000;refresher=uac", "Require: timer")))
    assert (answer.value("X-Session-Timer") or "").startswith("4000;refresher=local;")
    record = edge.known()
    assert record.ours is None
    assert record.dialog.min_se is None, "the Min-SE from before the dialog is forgotten with it"
    assert [edge.count(name) for name in ("422_received", "422_retried")] == [2, 2]
    assert edge.ksr.lines("info")[:2] == [
        "session timer: call-1: peer=carrier 422 retried with Min-SE 3600",
        "session timer: call-1: peer=carrier 422 retried with Min-SE 4000",
    ]


@pytest.mark.requirement("UAC-7.3-01", "REF-10-06")
@pytest.mark.parametrize(
    "rows",
    [(), ("Min-SE: nonsense",), ("Min-SE:",), ("Min-SE: 2000\u00ff",)],
)
def test_422_that_brings_nothing_new_reaches_asterisk(edge: Edge, rows: tuple[str, ...]) -> None:
    handled = edge.send(from_us=True)
    answer = edge.sure(edge.answer(handled, 422, rows))
    assert answer.code == 422
    assert len(handled.branches) == 1
    assert [edge.count(name) for name in ("422_received", "422_retried")] == [1, 0]
    assert edge.ksr.lines("info")[-1].startswith(
        "session timer: call-1: peer=carrier 422 not retried, Min-SE "
    )
    assert edge.record() is None


@pytest.mark.requirement("REF-10-06")
@pytest.mark.parametrize("again", [3600, 3599, 90])
def test_a_min_se_that_does_not_grow_ends_the_retries(edge: Edge, again: int) -> None:
    handled = edge.send(from_us=True)
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    assert edge.sure(edge.answer(handled, 422, (f"Min-SE: {again}",))).code == 422
    assert len(handled.branches) == 2


@pytest.mark.requirement("REF-10-06")
def test_a_min_se_that_grows_for_ever_is_given_up(edge: Edge) -> None:
    handled = edge.send(from_us=True)
    for grown in range(1, 6):
        assert edge.answer(handled, 422, (f"Min-SE: {2000 + grown}",)) is None
    assert edge.sure(edge.answer(handled, 422, ("Min-SE: 9000",))).code == 422
    assert len(handled.branches) == 6


def test_a_retry_that_is_taken_for_a_loop_is_explained(edge: Edge) -> None:
    handled = edge.send(from_us=True)
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    assert edge.sure(edge.answer(handled, 482, ())).code == 482
    assert len(handled.branches) == 2
    assert edge.ksr.lines("warn") == [
        "session timer: call-1: peer=carrier took the retry after its 422 for a loop and answered 482; "
        "set default_expires: 3600 in its profile, so that no call meets a 422"
    ]
    edge.call_id = "call-2"
    assert edge.send(from_us=True).sent.value("Session-Expires") == "3600"


def test_a_482_without_a_retry_is_not_explained(edge: Edge) -> None:
    assert edge.sure(edge.answer(edge.send(from_us=True), 482, ())).code == 482
    assert edge.ksr.lines("warn") == []


@pytest.mark.parametrize("code", [302, 404, 407, 486, 503])
def test_other_refusals_are_not_ours(edge: Edge, code: int) -> None:
    handled = edge.send(from_us=True)
    answer = edge.sure(edge.answer(handled, code, ("Min-SE: 3600", "Supported: timer")))
    assert answer.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == (
        "Min-SE: 3600",
        "Supported: timer",
    )
    assert len(handled.branches) == 1
    assert edge.ksr.tables["session_timer"] == {}


@pytest.mark.parametrize("target", [CARRIER, "203.0.113.99", "trunk.example"])
def test_what_a_destination_told_is_known_to_the_next_call(make_edge: MakeEdge, target: str) -> None:
    edge = make_edge(config={**CONFIG, "edge": {"learned_min_se": 60}})
    edge.answer(edge.send(from_us=True, target=target), 422, ("Min-SE: 3600",))
    edge.call_id = "call-2"
    assert edge.send(from_us=True, target=target).sent.all("Session-Expires", "Min-SE") == [
        "Session-Expires: 3600",
        "Min-SE: 3600",
    ]
    assert edge.send(from_us=True, target="elsewhere.example").sent.all("Min-SE") == []
    edge.ksr.now += 61
    assert edge.send(from_us=True, target=target).sent.all("Min-SE") == [], "it has an age"


def test_what_a_next_hop_told_is_known_to_the_next_call(edge: Edge) -> None:
    """The script sends by a destination URI, to another host than the request URI names."""

    class ByOutboundProxy(Script):
        def request(self) -> None:
            edge.ksr.setdsturi("sip:203.0.113.200:5080")
            super().request()

    edge.script_class = ByOutboundProxy
    handled = edge.send(from_us=True, target="trunk.example")
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    assert handled.branches[-1].destination_uri == "sip:203.0.113.200:5080"
    edge.call_id = "call-2"
    assert edge.send(from_us=True, target="trunk.example").sent.value("Min-SE") == "3600"


def test_a_422_after_a_failover_is_retried_at_the_gateway_that_sent_it(make_edge: MakeEdge) -> None:
    """Kamailio starts each failure route from the Request-URI that the first try had."""

    class ToTheNextGateway(Script):
        def failure(self) -> None:
            if self._timers.on_failure():
                self._ksr.tm.t_relay()
            elif self._ksr.pv.gete("$T_reply_code") == 503:
                self._ksr.seturi("sip:100@second.example")
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=ToTheNextGateway)
    handled = edge.send(from_us=True, target="first.example")
    assert edge.answer(handled, 503) is None
    assert edge.answer(handled, 422, ("Min-SE: 3600",)) is None
    assert handled.last.start == "INVITE sip:100@second.example SIP/2.0"
    assert handled.last.value("Min-SE") == "3600"
    edge.call_id = "call-2"
    assert edge.send(from_us=True, target="second.example").sent.value("Min-SE") == "3600"
    assert edge.send(from_us=True, target="first.example").sent.value("Min-SE") is None


@pytest.mark.requirement("UAC-7.3-01")
@pytest.mark.parametrize(("refuses", "declines"), [(0, 1), (1, 0)])
def test_of_two_that_are_called_at_once_the_one_that_answered_422_is_tried_again(
    make_edge: MakeEdge, refuses: int, declines: int
) -> None:
    class AtOnce(Script):
        def request(self) -> None:
            if self._timers.on_request():
                return
            for host in ("first.example", "second.example"):
                self._ksr.seturi(f"sip:100@{host}")
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=AtOnce)
    handled = edge.send(from_us=True)
    edge.answer(handled, 422, ("Min-SE: 3600",), branch=refuses)
    assert edge.answer(handled, 486, branch=declines) is None
    host = ("first.example", "second.example")[refuses]
    assert handled.last.start == f"INVITE sip:100@{host} SIP/2.0"
    assert handled.last.all("Session-Expires", "Min-SE") == ["Session-Expires: 3600", "Min-SE: 3600"]
    assert edge.sure(edge.answer(handled, 486)).start.startswith("SIP/2.0 486")


@pytest.mark.requirement("UAC-7.4-02", "UAC-7.4-04", "REF-10-02", "REF-10-03")
def test_422_to_a_refresh_is_remembered_in_the_dialog_and_nothing_is_sent_twice(edge: Edge) -> None:
    """RFC 4028 7.3 wants a CSeq of its own, which only Asterisk can give."""
    edge.call(from_us=True, answer=("Session-Expires: 1800;refresher=uac", "Supported: timer"))
    edge.ksr.now += 900
    handled = edge.send(from_us=True, within=True, method="UPDATE")
    assert edge.sure(edge.answer(handled, 422, ("Min-SE: 2500",))).code == 422
    assert len(handled.branches) == 1
    record = edge.known()
    assert (record.at, record.dialog.min_se) == (1000.0, 2500)
    assert edge.refused(Side.LOCAL).code == 422
    handled = edge.send(from_us=True, within=True, method="UPDATE")
    assert handled.last.all("Session-Expires", "Min-SE") == [
        "Session-Expires: 2500;refresher=uac",
        "Min-SE: 2500",
    ]
    edge.answer(handled, 200, ("Session-Expires: 2500;refresher=uac", "Supported: timer"))
    record = edge.known()
    assert record.ours is not None
    assert record.ours.outcome is Outcome.ANSWERED
    assert (record.at, record.dialog.min_se) == (1900.0, 2500)
    later = edge.send(from_us=True, within=True).sent
    assert later.all("Session-Expires", "Min-SE") == ["Session-Expires: 2500;refresher=uac", "Min-SE: 2500"]
