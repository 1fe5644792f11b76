"""Every way in which tm makes a branch: the timer is negotiated on whichever is answered, never on none."""

from __future__ import annotations

import pytest
from session_timer import Side

from tests.kamailio.fakes.edge import ASTERISK, CARRIER, CONFIG, OFF, Edge, MakeEdge, Script

TIMER = ("Supported: timer", "Require: timer", "Session-Expires: 1800;refresher=uac", "Allow: INVITE, UPDATE")


class ByDns(Script):
    """tm itself sends what it sent before to the next address of a name; no branch route runs for that."""

    def failure(self) -> None:
        if self._timers.on_failure():
            self._ksr.tm.t_relay()
        elif self._ksr.pv.gete("$T_reply_code") == 503:
            transaction = self._ksr._transaction
            assert transaction is not None
            transaction.branches.append(transaction.branches[-1].branch())


def test_a_call_that_dns_failover_carries_has_its_timer(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=ByDns)
    invite = edge.send(from_us=True)
    assert edge.answer(invite, 503) is None
    answer = edge.sure(edge.answer(invite, 200, TIMER))
    assert answer.all("Session-Expires", "Require") == []
    assert edge.told(answer).agreement is not None
    assert edge.known().on_path


def test_a_call_to_asterisk_that_dns_failover_carries_has_its_timer(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=ByDns)
    invite = edge.send(TIMER)
    assert edge.answer(invite, 503) is None
    assert edge.sure(edge.answer(invite)).value("Session-Expires") == "1800;refresher=uac"
    assert edge.known().placed is Side.REMOTE


def test_a_refresh_that_dns_failover_carries_is_on_record(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=ByDns)
    edge.call(from_us=True, answer=TIMER)
    edge.ksr.now += 900
    refresh = edge.send(method="UPDATE", from_us=True, within=True)
    assert edge.answer(refresh, 503) is None
    edge.answer(refresh, 200, TIMER)
    assert (edge.known().refreshes, edge.known().at) == (1, 1900.0)


def test_a_422_on_a_branch_of_dns_failover_is_retried(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=ByDns)
    invite = edge.send(from_us=True)
    assert edge.answer(invite, 503) is None
    assert edge.answer(invite, 422, ("Min-SE: 3600",)) is None
    assert invite.last.all("Session-Expires", "Min-SE") == ["Session-Expires: 3600", "Min-SE: 3600"]


def test_the_retry_goes_where_the_refusal_came_from_and_to_no_next_hop_of_the_first_try(
    make_edge: MakeEdge,
) -> None:
    """The first gateway was reached by a next hop of its own, the second by its Request-URI alone."""

    class ToTheNextGateway(Script):
        def request(self) -> None:
            self._ksr.setdsturi("sip:203.0.113.200:5080")
            super().request()

        def failure(self) -> None:
            if self._timers.on_failure():
                self._ksr.tm.t_relay()
            elif self._ksr.pv.gete("$T_reply_code") == 503:
                self._ksr.seturi("sip:100@second.example")
                self._ksr.resetdsturi()
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=ToTheNextGateway)
    invite = edge.send(from_us=True, target="first.example")
    assert edge.answer(invite, 503) is None
    assert edge.answer(invite, 422, ("Min-SE: 3600",)) is None
    assert invite.branches[-1].request_uri == "sip:100@second.example"
    assert invite.branches[-1].destination_uri == ""


def test_of_several_422_at_once_the_smallest_is_tried_again(make_edge: MakeEdge) -> None:
    class AtOnce(Script):
        def request(self) -> None:
            if self._timers.on_request():
                return
            for host in ("first.example", "second.example"):
                self._ksr.seturi(f"sip:100@{host}")
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=AtOnce)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 4000",), branch=1)
    assert edge.answer(invite, 422, ("Min-SE: 3600",), branch=0) is None
    assert invite.last.start == "INVITE sip:100@first.example SIP/2.0"
    assert invite.last.value("Min-SE") == "3600"
    assert edge.count("422_received") == 2


@pytest.mark.parametrize("told", ["4294967295", "7201"])
def test_what_one_stranger_says_in_a_422_binds_his_call_and_little_of_others(edge: Edge, told: str) -> None:
    invite = edge.send(from_us=True, target=CARRIER)
    assert edge.answer(invite, 422, (f"Min-SE: {told}",)) is None
    assert invite.last.value("Min-SE") == told
    edge.call_id = "call-2"
    assert edge.send(from_us=True, target=CARRIER).sent.value("Min-SE") == "7200"
    edge.call_id = "call-3"
    other = edge.send(from_us=True, target="203.0.113.99").sent
    assert other.value("Min-SE") is None, "who said it, said it for himself"


def test_max_expires_bounds_what_is_learned(make_edge: MakeEdge) -> None:
    edge = make_edge(config={"session_timer": {"max_expires": 3600}, "asterisk": ["192.0.2.20"]})
    edge.answer(edge.send(from_us=True), 422, ("Min-SE: 9999",))
    edge.call_id = "call-2"
    assert edge.send(from_us=True).sent.value("Min-SE") == "3600"


@pytest.mark.parametrize("second", [OFF, "192.0.2.21"])
def test_a_failover_to_who_has_no_timers_of_ours_is_none_of_ours(make_edge: MakeEdge, second: str) -> None:
    """What waits on the branch before is not meant for it: it is switched off, or another Asterisk."""

    class Next(Script):
        def failure(self) -> None:
            if self._timers.on_failure():
                self._ksr.tm.t_relay()
            elif self._ksr.pv.gete("$T_reply_code") == 503:
                self._ksr.seturi(f"sip:100@{second}")
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=Next, config={**CONFIG, "asterisk": [ASTERISK, "192.0.2.21"]})
    invite = edge.send(from_us=True)
    assert edge.answer(invite, 503) is None
    assert invite.last.all("Session-Expires", "Supported") == []
    answer = edge.sure(edge.answer(invite, 200, TIMER))
    assert answer.without("From", "To", "Call-ID", "CSeq", "Record-Route") == TIMER
    assert edge.record() is None


def test_a_branch_that_is_answered_422_many_times_keeps_one_of_them(edge: Edge) -> None:
    invite = edge.send(from_us=True, forks=2)
    for number in range(50):
        edge.answer(invite, 422, (f"Min-SE: {'1' * 1000}",), to_tag=f"tag{number}", branch=0)
    assert len(invite.avps["session_timer_refused"]) < 400
    assert edge.answer(invite, 486, branch=1) is not None
    assert len(invite.branches) == 2
    assert edge.ksr.lines("info")[-1].startswith("session timer: call-1: peer=carrier 422 not retried")
