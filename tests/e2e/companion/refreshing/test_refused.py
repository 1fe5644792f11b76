"""What a peer may say to a refresh other than 200, and what follows."""

from __future__ import annotations

import pytest

from tests.lab.peers.audio import described
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    GIVEN_UP,
    HALF,
    INTERVAL,
    LATE,
    NO_UPDATE,
    TIMER,
    agree,
    ended_by_asterisk,
    in_a_row,
    keep,
    placed,
    received,
    refresh,
)
from tests.lab.peers.user_agent import Call
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, wait_until

together = Together()


def wait_after(stage: Stage, call: Call, code: int) -> float:
    """Seconds from the first answer with this code, outside, to our next refresh."""
    ours = stage.observed(call).refreshes_by(stage.stack.edge)
    index = next(i for i, each in enumerate(ours) if each.response and each.response.message.status == code)
    refused = ours[index].response
    assert refused is not None
    return ours[index + 1].request.time - refused.time


def cdr(stage: Stage, call: Call, timeout: float = PATIENCE) -> dict[str, str]:
    """Asterisk's record of a call that is over, or will be within ``timeout`` seconds."""
    rows = wait_until(
        lambda: [row for row in stage.stack.cdr() if row.get("call_id") == call.call_id],
        timeout,
        f"a CDR of {call.call_id}",
        pause=0.5,
    )
    return rows[0]


@pytest.mark.smoke
@together.test("S61-14.1-04", "UPD-5.3-03", "UPD-5.3-04", "REF-10-02", "REF-10-05")
def test_491_to_the_side_that_does_not_own_the_call_id(stage: Stage) -> None:
    # Between half of 24 s and the deadline there is room for the longest wait, on a slow machine too.
    call, _ = received(stage, BY_UPDATE, "24;refresher=uas")
    call.answer(call.expect("UPDATE", timeout=16), 491)
    agree(call, call.expect("UPDATE"))
    assert wait_after(stage, call, 491) <= 2.0 + LATE
    stage.edge.record(call.call_id, refreshes="1", interval="24")
    assert call.bye().status == 200


@together.test("S61-14.1-04", "UPD-5.3-03", "UPD-5.3-04", "REF-10-02", "REF-10-05")
def test_491_to_the_owner_of_the_call_id(stage: Stage) -> None:
    # Half of 30 s leaves room for the longest wait before the deadline.
    call = placed(stage, BY_UPDATE, "30;refresher=uac")
    call.answer(call.expect("UPDATE", timeout=20), 491)
    request = call.expect("UPDATE")
    call.accept(request, "Require: timer", "Session-Expires: 30;refresher=uac")
    assert 2.1 <= wait_after(stage, call, 491) <= 4.0 + LATE
    stage.edge.record(call.call_id, refreshes="1", interval="30")
    assert call.bye().status == 200


@together.test("S61-14.1-04", "REF-10-05")
def test_491_to_a_reinvite(stage: Stage) -> None:
    call, _ = received(stage, BY_REINVITE, "24;refresher=uas", allow=NO_UPDATE)
    call.answer(call.expect("INVITE", timeout=16), 491)
    call.expect("ACK")
    # Two in a row: an offer like the first one Asterisk would hold back until its own retry, and drop both.
    for _ in range(2):
        agree(call, call.expect("INVITE"))
    assert wait_after(stage, call, 491) <= 2.0 + LATE
    stage.edge.record(call.call_id, refreshes="2", interval="24")
    assert call.bye().status == 200


def other_method(stage: Stage, code: int) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), code)
    agree(call, refresh(call, "INVITE"))
    assert wait_after(stage, call, code) <= LATE
    # The next interval does not try UPDATE again.
    agree(call, refresh(call, "INVITE"))
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("REF-10-05", "REF-10-06", "UAC-7.4-16")
def test_405_to_update_is_followed_by_reinvite(stage: Stage) -> None:
    other_method(stage, 405)


@together.test("REF-10-05", "REF-10-06", "UAC-7.4-16")
def test_501_to_update_is_followed_by_reinvite(stage: Stage) -> None:
    other_method(stage, 501)


@together.test("REF-10-03", "UAC-7.4-09")
def test_422_is_followed_by_one_refresh_with_the_larger_interval(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), 422, "Min-SE: 100")
    request = call.expect("UPDATE")
    assert request.rows("Session-Expires") == ("100;refresher=uac",)
    # It is a request of its own, with a CSeq of its own: the edge repeats nothing within a dialog.
    stage.edge.record(call.call_id, min_se="100", refreshes="0", interval=str(INTERVAL))
    stage.companion.session(call.call_id, lambda seen: seen["state"] == "refreshing")
    call.accept(request, "Require: timer", "Session-Expires: 100;refresher=uac")
    seen = stage.companion.session(call.call_id, lambda seen: seen["interval"] == 100)
    assert 40 <= seen["due"] <= 50
    inside = [each for each in stage.wire.from_asterisk(call.call_id) if each.is_request("UPDATE", "INVITE")]
    assert len({each.cseq[0] for each in inside}) == 2
    assert call.bye().status == 200


@together.test("REF-10-05", "REF-10-02")
def test_500_is_tried_again_when_retry_after_is_over(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), 500, "Retry-After: 1")
    agree(call, refresh(call, "UPDATE"))
    assert 1.0 <= wait_after(stage, call, 500) <= 1.0 + LATE
    assert call.bye().status == 200


@together.test("REF-10-04", "UPD-5.3-02", "S61-12.2.1.2-01", "S61-15.1.1-01")
def test_481_ends_the_call(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), 481)
    assert ended_by_asterisk(stage, call, 6) <= HALF + LATE + 1
    # Asterisk tells of the end after its BYE.
    wait_until(
        stage.companion.sessions, PATIENCE, "no such session", holds=lambda seen: call.call_id not in seen
    )


@pytest.mark.smoke
@together.test("REF-10-04", "REF-10-08", "S61-12.2.1.2-01")
def test_silence_after_update_ends_the_call_before_its_interval(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    refresh(call, "UPDATE")
    assert GIVEN_UP - 0.3 <= ended_by_asterisk(stage, call, INTERVAL + 3) <= INTERVAL + 2
    # What swallows UPDATE may carry a re-INVITE.
    assert stage.wire.requests(call.agent.address, call.call_id, "INVITE")
    record = cdr(stage, call)
    assert record["cause"] == "102"
    assert "our refresh was not answered" in record["userfield"]


@together.test("REF-10-04", "REF-10-08", "S61-12.2.1.2-01")
def test_silence_after_reinvite_ends_the_call_before_its_interval(stage: Stage) -> None:
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    refresh(call, "INVITE")
    assert cdr(stage, call, INTERVAL)["cause"] == "102"
    assert call.call_id not in stage.companion.sessions()
    # Asterisk ends the call for everybody else at once, but owes the dead peer its BYE until the re-INVITE is
    # over: that is the edge's fr_timer, 30 seconds.
    ended_by_asterisk(stage, call, 35)


@together.test("REF-10-06", "G-10", "UPD-5.3-01", "S61-14.1-03")
def test_peer_that_refuses_everything_is_asked_once_a_round_and_lives(stage: Stage) -> None:
    call, _ = received(stage, BY_REINVITE, allow=NO_UPDATE)
    row = in_a_row(stage.stack)
    call.answer(refresh(call, "INVITE"), 488)
    call.expect("ACK")
    stage.companion.session(call.call_id, lambda seen: seen["refused"] == [488])
    # The deadline passes; the next round begins with the same question.
    agree(call, refresh(call, "INVITE", timeout=GIVEN_UP + HALF))
    # Of two in a row the second waits in Asterisk where the first is refused, until an INVITE is accepted.
    for _ in range(2 * row - 2):
        agree(call, refresh(call, "INVITE"))
    ours = stage.observed(call).refreshes_by(stage.stack.edge)
    assert len(ours) == 2 * row
    assert ours[1].request.time - ours[0].request.time >= HALF
    assert call.bye().status == 200


@pytest.mark.smoke
@together.test("UAC-7.2-09", "UAC-7.2-10")
def test_peer_turns_the_timer_off(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.answer(refresh(call, "UPDATE"), 200)
    stage.edge.record(call.call_id, refreshes="1", refresher="none")
    seen = stage.companion.session(call.call_id, lambda seen: seen["state"] == "off")
    assert seen["due"] is None
    assert seen["deadline"] is None
    assert call.bye().status == 200


@together.test("UAS-9-15", "DEF-2-03", "UAC-7.4-12")
def test_peer_that_refreshed_hands_the_role_to_us_with_a_shorter_interval(stage: Stage) -> None:
    """Long before the next deadline that was known: half of 1800 seconds."""
    call, _ = received(stage, BY_UPDATE, "1800;refresher=uac")
    stage.companion.session(call.call_id, lambda seen: seen["refresher"] == "remote" and seen["due"] > 900)
    answer = call.ask("UPDATE", "Supported: timer", f"Session-Expires: {INTERVAL};refresher=uas")
    assert answer.rows("Session-Expires") == (f"{INTERVAL};refresher=uas",)
    keep(call, "UPDATE", 1)
    (_, ours) = stage.observed(call).refreshes
    taken = stage.observed(call).refreshes[0].response
    assert taken is not None
    assert ours.request.time - taken.time <= HALF + LATE
    assert call.bye().status == 200


@together.test("UAC-7.4-12", "DEF-2-03")
def test_peer_takes_the_role_from_us(stage: Stage) -> None:
    call, _ = received(stage, BY_UPDATE)
    call.ask("UPDATE", "Supported: timer", "Session-Expires: 600;refresher=uac")
    seen = stage.companion.session(call.call_id, lambda seen: seen["refresher"] == "remote")
    assert seen["interval"] == 600
    assert seen["due"] > 300
    assert call.bye().status == 200


@together.test("REF-10-07", "REF-10-02")
def test_peer_that_forgot_to_refresh_but_lives_is_kept_by_the_probe(stage: Stage) -> None:
    # A second is left to answer the probe before its second form follows.
    call, _ = received(stage, BY_UPDATE, "24;refresher=uac")
    ours = "Session-Expires: 24;refresher=uas"
    probe = call.expect("UPDATE", timeout=24)
    assert probe.rows("Session-Expires") == ("24;refresher=uas",)
    call.accept(probe, "Require: timer", ours)
    stage.edge.record(call.call_id, refreshes="1", refresher="remote")
    seen = stage.observed(call)
    assert seen.established is not None
    assert 16 <= seen.refreshes[0].request.time - seen.established.time <= 18
    # It forgets again, and lives still.
    call.accept(call.expect("UPDATE", timeout=24), "Require: timer", ours)
    assert call.bye().status == 200


@together.test("REF-10-07", "REF-10-08")
def test_late_refresh_of_the_peer_is_in_time_until_the_deadline(stage: Stage) -> None:
    """The peer refreshes by re-INVITE while our probe is on its way: nobody is hung up."""
    # The probe's second form follows 2 s after the first: an INVITE that comes later meets its offer, a 491.
    expires = "48;refresher=uac"
    call, _ = received(stage, BY_UPDATE, expires)
    call.expect("UPDATE", timeout=48)
    answer = call.ask(
        "INVITE",
        "Supported: timer",
        f"Session-Expires: {expires}",
        body=described(call.agent.address, "0", version=2),
    )
    assert answer.status == 200
    stage.companion.session(call.call_id, lambda seen: seen["refreshes"] >= 1 and seen["state"] == "theirs")
    assert call.bye().status == 200


def silent(stage: Stage, domain: str) -> Call:
    """A call whose peer is to refresh and never does; its domain picks the profile."""
    call = stage.peer(BY_THEM).call(f"sip:wait@{stage.stack.edge}")
    call.local = f"<sip:carrier@{domain}>"
    answer = call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uac")
    assert answer.rows("Session-Expires") == (f"{INTERVAL};refresher=uac",)
    stage.companion.session(call.call_id)
    return call


@together.test("REF-10-07", "REF-10-08")
def test_silent_peer_whose_profile_wants_no_probe_is_only_reported(stage: Stage) -> None:
    """Without a refresh of ours there is no evidence that it is gone."""
    call = silent(stage, "unprobed.example")
    told(stage, call, 1)
    assert stage.observed(call).refreshes == []
    assert call.bye().status == 200


def told(stage: Stage, call: Call, reports: int) -> None:
    """Wait for so many reports that the call has expired; each comes an interval after the last, at most."""
    wait_until(
        lambda: stage.companion.log(call.call_id),
        INTERVAL + 4,
        f"{reports} reports",
        holds=lambda log: log.count("expiry_reported") == reports,
        pause=0.5,
    )


@together.test()
def test_silent_peer_whose_profile_says_only_to_report_it_is_kept(stage: Stage) -> None:
    call = silent(stage, "kept.example")
    for reports in (1, 2):
        told(stage, call, reports)
    assert stage.observed(call).refreshes == []
    # Its own refresh is as good as ever, and is seen when the record is read next, at the deadline.
    assert call.ask("UPDATE", TIMER, f"Session-Expires: {INTERVAL};refresher=uac").status == 200
    stage.companion.session(
        call.call_id, lambda seen: seen["refreshes"] == 1 and seen["state"] == "theirs", timeout=INTERVAL
    )
    assert call.bye().status == 200


@together.test()
def test_a_call_that_was_probed_is_kept_where_the_profile_says_to_report_it(stage: Stage) -> None:
    """Asterisk is answered 504 where the edge's own timer ends a probe, and keeps the dialog."""
    call = silent(stage, "reported.example")
    for reports in (1, 2, 3, 4):
        told(stage, call, reports)
    assert call.bye().status == 200
