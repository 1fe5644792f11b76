"""Every way in which tm makes a branch: the timer is negotiated on whichever is answered, never on none."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Side

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


PATH = "<sip:203.0.113.90;lr>, <sip:203.0.113.91;lr>"


class Registered(Script):
    """Two contacts of one user, as usrloc has them: the second one behind proxies, on another socket."""

    def request(self) -> None:
        if self._timers.on_request():
            return
        self._ksr.seturi("sip:100@first.example")
        self._ksr.pvx.sbranch_reset()
        self._ksr.pv.sets("$sbranch(uri)", "sip:100@second.example")
        self._ksr.pv.sets("$sbranch(dst_uri)", "sip:203.0.113.90;lr")
        self._ksr.pv.sets("$sbranch(path)", PATH)
        self._ksr.pv.sets("$sbranch(send_socket)", "udp:192.0.2.10:5070")
        self._ksr.pv.seti("$sbranch(flags)", -(2**31) + 64)
        self._ksr.pvx.sbranch_append()
        self._ksr.tm.t_relay()


def test_the_retry_goes_the_way_of_the_branch_that_was_refused(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=Registered)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=1)
    assert edge.answer(invite, 486, branch=0) is None
    _, refused, again = invite.branches
    assert refused.path == PATH
    for way in ("request_uri", "destination_uri", "path", "socket", "flags"):
        assert getattr(again, way) == getattr(refused, way)
    assert again.sent().value("Route") == PATH


def test_the_retry_of_one_who_has_no_way_of_his_own_takes_none_of_the_others(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=Registered)
    invite = edge.send(from_us=True)
    edge.answer(invite, 486, branch=1)
    assert edge.answer(invite, 422, ("Min-SE: 3600",), branch=0) is None
    again = invite.branches[-1]
    assert (again.request_uri, again.destination_uri) == ("sip:100@first.example", "")
    assert (again.path, again.socket, again.flags) == ("", "", 0)


def test_a_path_is_looked_for_only_where_the_next_hop_is_a_loose_router(make_edge: MakeEdge) -> None:
    edge = make_edge()
    edge.send(from_us=True)
    assert "corex.append_branch_uri" not in edge.ksr.calls
    edge = make_edge(script_class=Registered)
    edge.send(from_us=True)
    assert edge.ksr.calls.count("corex.append_branch_uri") == 1


def test_of_several_422_at_once_each_is_tried_again_with_the_largest_min_se(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=Registered)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 4000",), branch=1)
    assert edge.answer(invite, 422, ("Min-SE: 3600",), branch=0) is None
    tried = {branch.request_uri: branch.sent().value("Min-SE") for branch in invite.branches[2:]}
    assert tried == {"sip:100@second.example": "4000", "sip:100@first.example": "4000"}
    assert (edge.count("422_received"), edge.count("422_retried")) == (2, 2)
    assert edge.answer(invite, 422, ("Min-SE: 5000",), branch=2) is not None
    assert edge.answer(invite, 486, branch=3) is None
    assert invite.last.start == "INVITE sip:100@second.example SIP/2.0"
    assert invite.last.value("Min-SE") == "5000"
    told = edge.told(edge.sure(edge.answer(invite, 200, ("Session-Expires: 5000;refresher=uac",))))
    assert told.agreement == Agreement(5000, Side.LOCAL, one_sided=False)


@pytest.mark.parametrize("other", [403, 404, 408, 480, 486, 503])
def test_a_422_is_retried_whatever_another_branch_says_for_itself(make_edge: MakeEdge, other: int) -> None:
    edge = make_edge(script_class=Registered)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=0)
    assert edge.answer(invite, other, branch=1) is None
    assert invite.last.start == "INVITE sip:100@first.example SIP/2.0"


@pytest.mark.parametrize("other", [302, 401, 407, 415, 420, 484, 600, 603])
def test_a_422_gives_way_to_a_response_for_all_branches_and_is_learned(
    make_edge: MakeEdge, other: int
) -> None:
    edge = make_edge(script_class=Registered)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=0)
    assert edge.sure(edge.answer(invite, other, branch=1)).code == other
    assert (edge.count("422_received"), edge.count("422_retried")) == (1, 0)
    edge.call_id = "call-2"
    first, second = edge.send(from_us=True).branches
    assert first.sent().value("Session-Expires") == "3600"
    assert second.sent().value("Session-Expires") == "1800"


def test_a_gateway_that_comes_after_a_retry_hears_the_largest_interval_of_the_call(
    make_edge: MakeEdge,
) -> None:
    class Next(Registered):
        def failure(self) -> None:
            if self._timers.on_failure():
                self._ksr.tm.t_relay()
            elif len(self._ksr.transaction.branches) == 4:
                self._ksr.seturi("sip:100@third.example")
                self._ksr.tm.t_relay()

    edge = make_edge(script_class=Next)
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 4000",), branch=1)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=0)
    edge.answer(invite, 503, branch=2)
    assert edge.answer(invite, 503, branch=3) is None
    assert invite.last.start == "INVITE sip:100@third.example SIP/2.0"
    assert invite.last.value("Min-SE") == "4000"


def test_a_transaction_that_is_full_of_branches_is_not_retried_without_an_end(make_edge: MakeEdge) -> None:
    class Many(Script):
        def request(self) -> None:
            if self._timers.on_request():
                return
            for number in range(1, 12):
                self._ksr.corex.append_branch_uri(f"sip:{number}@first.example")
            self._ksr.tm.t_relay()

    edge = make_edge(script_class=Many)
    invite = edge.send(from_us=True)
    for branch in range(11):
        edge.answer(invite, 422, ("Min-SE: 3600",), branch=branch)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=11)
    assert len(invite.branches) == 12
    assert edge.faults == 0


def test_without_corex_the_retry_has_the_next_hop_all_the_same(make_edge: MakeEdge) -> None:
    edge = make_edge(script_class=Registered)
    edge.ksr.lacks("corex")
    invite = edge.send(from_us=True)
    edge.answer(invite, 422, ("Min-SE: 3600",), branch=1)
    assert edge.answer(invite, 486, branch=0) is None
    again = invite.branches[-1]
    assert (again.destination_uri, again.path) == ("sip:203.0.113.90;lr", "")
    assert edge.faults == 0


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
    assert answer.without("From", "To", "Call-ID", "CSeq", "Contact", "Record-Route") == TIMER
    assert edge.record() is None


def test_a_branch_that_is_answered_422_many_times_keeps_one_of_them(edge: Edge) -> None:
    invite = edge.send(from_us=True, forks=2)
    for number in range(50):
        edge.answer(invite, 422, (f"Min-SE: {'1' * 1000}",), to_tag=f"tag{number}", branch=0)
    assert len(invite.avps["session_timer_refused"]) < 450
    assert edge.answer(invite, 486, branch=1) is not None
    assert len(invite.branches) == 2
    assert edge.ksr.lines("info")[-1].startswith("session timer: call-1: peer=carrier 422 not retried")
