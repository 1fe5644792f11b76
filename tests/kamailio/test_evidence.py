"""What the edge writes down of the requests within a dialog: each link of the chain that ends a call."""

from __future__ import annotations

import pytest
from session_timer import Asked, Outcome, Policy, Side
from session_timer.evidence import Shows, shows

from tests.kamailio.fakes.edge import CARRIER, OURS, PASSING, THEIRS, Edge, MakeEdge, Script
from tests.kamailio.fakes.kamailio import Transaction
from tests.kamailio.fakes.sip_message import Message

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac", "Allow: INVITE, UPDATE")


@pytest.fixture
def call(edge: Edge) -> Edge:
    """A call that our Asterisk placed and refreshes."""
    edge.call(from_us=True, answer=TIMER)
    edge.ksr.now += 900
    return edge


def seen(edge: Edge, sent: float) -> Shows:
    """What the record shows of a refresh of ours that was sent at `sent`."""
    return shows(edge.known(), sent, lambda _clock, at: at).what


def after_a_timeout(edge: Edge, sent: float) -> Shows:
    """The same, had our refresh timed out here."""
    ours = Asked("UPDATE", 102, sent, Outcome.TIMED_OUT, 408, sent + 12)
    return shows(edge.known()._replace(ours=ours), sent, lambda _clock, at: at).what


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_of_ours_is_on_record_when_it_leaves(call: Edge, method: str) -> None:
    call.send(method=method, from_us=True, within=True)
    assert call.known().ours == Asked(method, 2, 1900.0)
    assert seen(call, 1899) is Shows.UNDER_WAY


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("code", [200, 491])
def test_a_refresh_of_the_peer_is_on_record_when_it_is_answered(call: Edge, method: str, code: int) -> None:
    handled = call.send(TIMER, method=method, within=True)
    assert call.known().theirs is None, "Asterisk answers at once: until then nothing is written down"
    call.answer(handled, code)
    outcome = Outcome.ANSWERED if code == 200 else Outcome.REFUSED
    record = call.known()
    assert (record.ours, record.theirs) == (None, Asked(method, 2, 1900.0, outcome, code, 1900.0))
    assert after_a_timeout(call, 1899) is (Shows.ANSWERED if code == 200 else Shows.ALIVE)


def test_a_2xx_closes_it_and_moves_the_record(call: Edge) -> None:
    call.answer(call.send(method="UPDATE", from_us=True, within=True), 200, TIMER)
    record = call.known()
    assert record.ours is not None
    assert (record.ours.outcome, record.at) == (Outcome.ANSWERED, 1900.0)
    assert seen(call, 1899) is Shows.ANSWERED


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (408, Shows.GONE),
        (481, Shows.GONE),
        (401, Shows.CHALLENGED),
        (407, Shows.CHALLENGED),
        (422, Shows.REFUSED),
        (488, Shows.REFUSED),
        (500, Shows.REFUSED),
    ],
)
def test_what_the_far_side_answers_is_on_record(call: Edge, code: int, what: Shows) -> None:
    sent = call.sure(call.answer(call.send(method="UPDATE", from_us=True, within=True), code))
    assert sent.code == code, "Asterisk sees what the far side said"
    assert call.refused(Side.LOCAL).code == code
    assert seen(call, 1899) is what


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_nobody_answers_and_asterisk_is_told_so_in_a_form_that_keeps_the_dialog(
    call: Edge, method: str
) -> None:
    handled = call.send(method=method, from_us=True, within=True)
    call.ksr.now += 12
    assert call.sure(call.time_out(handled)).start == "SIP/2.0 504 No Response to Session Refresh"
    asked = call.known().ours
    assert asked == Asked(method, 2, 1900.0, Outcome.TIMED_OUT, 408, 1912.0)
    assert seen(call, 1899) is Shows.TIMED_OUT
    assert call.count("timed_out") == 1


def test_the_second_form_is_a_request_of_its_own(call: Edge) -> None:
    call.time_out(call.send(method="UPDATE", from_us=True, within=True))
    call.ksr.now += 1
    call.answer(call.send(from_us=True, within=True), 200, TIMER)
    assert seen(call, 1899) is Shows.ANSWERED


def test_the_peers_refusal_and_ours_do_not_erase_each_other(call: Edge) -> None:
    ours = call.send(method="UPDATE", from_us=True, within=True)
    theirs = call.send(TIMER, within=True)
    call.answer(ours, 488)
    call.answer(theirs, 491)
    assert (call.refused(Side.LOCAL).code, call.refused(Side.REMOTE).code) == (488, 491)


@pytest.mark.parametrize("interval", [90, 1800])
def test_a_refresh_of_ours_waits_as_long_as_a_second_form_allows(make_edge: MakeEdge, interval: int) -> None:
    edge = make_edge()
    edge.call(from_us=True, answer=(f"Session-Expires: {interval};refresher=uac", "Supported: timer"))
    handled = edge.send(method="UPDATE", from_us=True, within=True)
    policy = Policy()
    assert handled.waits == (
        int(policy.ringing_time(interval) * 1000),
        int(policy.answer_time(interval) * 1000),
    )


def test_asterisk_repeats_its_reinvite_so_that_an_edge_that_comes_after_gets_it(edge: Edge) -> None:
    """After a 100 it would wait for ever for the edge that said it, and could send nothing else."""
    assert edge.send(from_us=True).says_100, "it begins a call"
    assert edge.send(TIMER).says_100
    edge.call(*TIMER)
    assert edge.send(TIMER, within=True).says_100, "the peer's"
    assert not edge.send(from_us=True, within=True).says_100
    edge.ksr.tables["session_timer"].clear()
    assert not edge.send(from_us=True, within=True).says_100


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
def test_nobody_elses_request_waits_otherwise_than_tm_has_it(make_edge: MakeEdge, peer: str) -> None:
    edge = make_edge(peer=peer)
    invite = edge.send(from_us=True)
    edge.answer(invite, 200, TIMER)
    assert invite.waits is None
    assert edge.send(TIMER, method="UPDATE", within=True).waits is None
    if peer == PASSING:
        assert edge.send(TIMER, method="UPDATE", from_us=True, within=True).waits is None


@pytest.mark.parametrize("peer", [CARRIER, PASSING])
def test_what_times_out_and_is_no_refresh_of_ours_ends_as_tm_has_it(make_edge: MakeEdge, peer: str) -> None:
    edge = make_edge(peer=peer)
    assert edge.sure(edge.time_out(edge.send(from_us=True))).code == 408
    edge.call_id = "call-2"
    edge.call(from_us=True, answer=TIMER)
    assert edge.sure(edge.time_out(edge.send(TIMER, method="UPDATE", within=True))).code == 408
    if peer == PASSING:
        assert edge.sure(edge.time_out(edge.send(method="UPDATE", from_us=True, within=True))).code == 408
    assert edge.count("timed_out") == 0


@pytest.mark.parametrize("source", [None, "198.51.100.77"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_that_cannot_be_relayed_is_on_record(
    make_edge: MakeEdge, method: str, source: str | None
) -> None:
    """A Contact whose name nobody resolves: tm makes no branch, and no branch route of ours runs.

    Behind NAT Asterisk has a `source` that the settings do not name: the record says whose request it is.
    """

    class NoRoute(Script):
        def request(self) -> None:
            if self._ksr.routed.value("To").count("tag=") == 0:
                super().request()
            elif not self._timers.on_request():
                self._timers.on_unroutable()
                self._ksr.sl.send_reply(478, "Unresolvable destination")

    edge = make_edge(script_class=NoRoute)
    edge.call(from_us=True, answer=TIMER)
    edge.ksr.now += 900
    edge.send(method=method, from_us=True, within=True, source=source)
    asked = edge.known().ours
    assert asked is not None
    assert (asked.method, asked.cseq, asked.outcome) == (method, 2, Outcome.UNROUTABLE)
    assert seen(edge, 1899) is Shows.UNROUTABLE
    edge.send(TIMER, method=method, within=True)
    assert edge.known().theirs is None
    assert edge.count("unroutable") == 1


@pytest.mark.parametrize(
    ("transport", "what"), [("ws", Shows.TIMED_OUT), ("WSS", Shows.TIMED_OUT), ("tcp", Shows.UNROUTABLE)]
)
def test_a_closed_websocket_is_a_link_of_a_hang_up(make_edge: MakeEdge, transport: str, what: Shows) -> None:
    """Nobody hears the request there, and the browser alone can open another one."""

    class Closed(Script):
        def request(self) -> None:
            if self._ksr.routed.value("To").count("tag=") == 0:
                super().request()
            elif not self._timers.on_request():
                self._ksr.setdsturi(f"sip:198.51.100.9:43474;transport={transport}")
                self._timers.on_unroutable()
                self._ksr.sl.send_reply(477, "Send failed")

    edge = make_edge(script_class=Closed)
    edge.call(from_us=True, answer=TIMER)
    edge.ksr.now += 900
    edge.send(from_us=True, within=True)
    assert seen(edge, 1899) is what
    assert edge.count("unroutable") == 1


@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize(
    ("record_route", "on_path"),
    [
        (("Record-Route: <sip:192.0.2.10;lr>",), True),
        (("Record-Route: <sip:198.51.100.9;lr>, <sip:192.0.2.10;lr;ftag=1>",), True),
        (("Record-Route: <sip:198.51.100.9;lr>", "Record-Route: <sip:192.0.2.10:5060;lr>"), True),
        (("Record-Route: <sip:198.51.100.9;lr>",), False),
        ((), False),
    ],
)
def test_an_edge_that_is_not_on_the_path_says_so(
    make_edge: MakeEdge, *, from_us: bool, record_route: tuple[str, ...], on_path: bool
) -> None:
    edge = make_edge(record_route=record_route)
    edge.call(*TIMER, from_us=from_us, answer=TIMER)
    assert edge.known().on_path is on_path
    assert seen(edge, 1001) is (Shows.NEVER_PASSED if on_path else Shows.OFF_PATH)
    warned = [line for line in edge.ksr.lines("warn") if "no Record-Route of this edge" in line]
    assert len(warned) == (0 if on_path else 1)


@pytest.mark.parametrize("from_us", [False, True])
def test_a_request_of_ours_that_passes_shows_that_it_is_on_the_path(
    make_edge: MakeEdge, *, from_us: bool
) -> None:
    edge = make_edge(record_route=())
    edge.call(*TIMER, answer=TIMER)
    edge.send(TIMER, method="UPDATE", from_us=from_us, within=True)
    assert edge.known().on_path is from_us, "the peer's way to us says nothing of ours to the peer"


@pytest.mark.parametrize("from_us", [False, True])
def test_whose_call_it_is_and_where_the_peer_is(edge: Edge, *, from_us: bool) -> None:
    edge.call(*TIMER, from_us=from_us, answer=TIMER)
    record = edge.known()
    assert (record.placed, record.far) == (Side.LOCAL if from_us else Side.REMOTE, CARRIER)
    # Of a re-INVITE of the peer Asterisk reads the header too, and the companion after a restart.
    assert edge.told(edge.send(TIMER, within=True).sent).placed is record.placed
    edge.ksr.tables["session_timer"].clear()
    handled = edge.send(TIMER, within=True)
    assert edge.told(handled.sent).placed is None, "after a restart nobody here knows"
    edge.answer(handled)
    assert edge.known().placed is None


@pytest.mark.parametrize("from_us", [False, True])
def test_where_a_2xx_cannot_be_written_down_the_old_record_goes(call: Edge, *, from_us: bool) -> None:
    handled = call.send(TIMER, method="UPDATE", from_us=from_us, within=True)
    call.ksr.refusing.add("session_timer")
    call.sure(call.answer(handled, 200, TIMER))
    assert call.record() is None
    assert call.count("lost_records") == 1


@pytest.mark.parametrize("from_us", [False, True])
@pytest.mark.parametrize("function", ["hdr.append", "htable.sht_sets", "htable.sht_lock", "info"])
def test_where_our_code_fails_at_a_2xx_the_old_record_goes(
    call: Edge, *, from_us: bool, function: str
) -> None:
    handled = call.send(TIMER, from_us=from_us, within=True)
    call.ksr.raising[function] = RuntimeError("on purpose")
    call.sure(call.answer(handled, 200, ("Supported: timer", "Session-Expires: 600;refresher=uas")))
    assert call.record() is None
    assert call.faults == 1


def test_the_old_record_goes_also_where_the_2xx_has_lost_its_tag(call: Edge) -> None:
    handled = call.send(TIMER, from_us=True, within=True)
    call.ksr.raising["htable.sht_lock"] = RuntimeError("on purpose")
    names = ("From", "Call-ID", "CSeq")
    rows = tuple(f"{name}: {handled.request.value(name)}" for name in names)
    bare = Message("SIP/2.0 200 Told", (*rows, "To: <sip:100@far.example>"), call.peer)
    call.sure(call.ksr.receive_reply(call._script(), handled, bare, 0))
    assert call.record() is None


def test_a_fault_at_a_refusal_leaves_the_record(call: Edge) -> None:
    handled = call.send(method="UPDATE", from_us=True, within=True)
    call.ksr.raising["htable.sht_sets"] = RuntimeError("on purpose")
    call.answer(handled, 500)
    assert call.record() is not None


def test_a_bare_2xx_to_our_refresh_goes_on_one_sided(call: Edge) -> None:
    """pjsip lists timer in its 2xx even where its timers are off."""
    call.answer(call.send(method="UPDATE", from_us=True, within=True), 200, ("Supported: timer",))
    agreement = call.known().dialog.agreement
    assert agreement is not None
    assert (agreement.interval, agreement.refresher, agreement.one_sided) == (1800, Side.LOCAL, True)


def test_a_record_of_release_0_1_is_read_and_judged_only_after_the_next_request(edge: Edge) -> None:
    edge.call(*TIMER, from_us=True, answer=TIMER)
    (row,) = edge.ksr.tables["session_timer"].values()
    clock = edge.known().clock
    row.value = (
        "v=1;interval=1800;refresher=local;one_sided=0;min_se=0;supports=1;update=1;refreshes=0;"
        f"clock={clock};at=1000.000;last=local:1;local={OURS};peer=carrier;failure=488;failed_by=local;"
        "failed_at=1001.000;retry_after="
    )
    assert seen(edge, 1899) is Shows.OFF_PATH
    edge.ksr.now += 900
    edge.send(method="UPDATE", from_us=True, within=True)
    assert edge.known().on_path
    assert edge.known(OURS, THEIRS).ours == Asked("UPDATE", 2, 1900.0)


def late(edge: Edge, refresh: Transaction, code: int, cseq: int | None = None) -> None:
    """The refresh is answered when tm has forgotten it."""
    ids = [f"{name}: {refresh.request.value(name)}" for name in ("From", "To", "Call-ID", "CSeq")]
    if cseq is not None:
        ids[3] = f"CSeq: {cseq} {refresh.request.method}"
    edge.ksr.receive_stray(edge._script(), Message(f"SIP/2.0 {code} Late", (*ids, *TIMER), CARRIER))


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(("code", "what"), [(200, Shows.ANSWERED), (488, Shows.REFUSED), (481, Shows.GONE)])
def test_a_response_that_comes_when_nobody_waits_for_it_any_more_counts(
    call: Edge, method: str, code: int, what: Shows
) -> None:
    """A slow peer answers each refresh after 20 seconds: it is alive, and no call of its is ended."""
    refresh = call.send(method=method, from_us=True, within=True)
    call.ksr.now += 12
    call.time_out(refresh)
    assert seen(call, 1899) is Shows.TIMED_OUT
    call.ksr.now += 8
    late(call, refresh, code)
    assert seen(call, 1899) is what
    assert call.known().at == (1920.0 if code == 200 else 1000.0), call.known()
    assert call.known().dialog.agreement is not None


def test_a_late_2xx_counts_when_another_form_is_under_way(call: Edge) -> None:
    first = call.send(method="UPDATE", from_us=True, within=True)
    call.time_out(first)
    call.ksr.now += 13
    second = call.send(method="INVITE", from_us=True, within=True)
    late(call, first, 200)
    assert seen(call, 1899) is Shows.ANSWERED
    late(call, second, 200)
    assert call.known().refreshes == 1, "tm still waits for this one: who sent it knows no branch of it"


@pytest.mark.parametrize("cseq", [1, 2, 3, 99])
@pytest.mark.parametrize("code", [200, 488])
def test_a_response_to_what_nobody_asked_or_what_was_answered_in_time_moves_nothing(
    call: Edge, code: int, cseq: int
) -> None:
    refresh = call.send(method="UPDATE", from_us=True, within=True)
    call.answer(refresh, 200, TIMER)
    assert refresh.request.value("CSeq").startswith("2 ")
    before = call.known()
    call.ksr.now += 60
    late(call, refresh, code, cseq)
    assert call.known() == before


def test_a_late_response_to_a_request_of_the_peer_moves_nothing(call: Edge) -> None:
    theirs = call.send(TIMER, method="UPDATE", within=True)
    before = call.known()
    late(call, theirs, 200)
    assert call.known() == before


@pytest.mark.parametrize(("row", "code"), [("Session-Expires: 30", 422), ("Session-Expires: soon", 400)])
def test_a_request_of_the_peer_that_the_edge_refuses_is_a_sign_of_life(
    call: Edge, row: str, code: int
) -> None:
    call.ksr.now += 1000
    handled = call.send(("Supported: timer", row), method="UPDATE", within=True)
    assert handled.answered is not None
    assert handled.answered.code == code
    assert call.refused(Side.REMOTE).code == code
    assert call.known().at == 1000.0, "no deadline moves"
    assert after_a_timeout(call, call.ksr.now - 1) is Shows.ALIVE
