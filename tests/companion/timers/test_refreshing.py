"""Calls that we refresh: when a refresh leaves, in which form, and what follows each answer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.companion.fakes.fake_channel import Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import (
    Agreement,
    Side,
    answers,
    key,
    silence,
    swallowed_updates,
    takes_turns,
    world,
)

OURS = Agreement(12, Side.LOCAL)
HALF = 6.0
UPDATE = Refresh("UPDATE", sdp=False)
UPDATE_SDP = Refresh("UPDATE", sdp=True)
REINVITE = Refresh("INVITE", sdp=True)


@pytest.mark.requirement("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-16", "UAC-7.4-18")
@pytest.mark.parametrize("placed_by_us", [False, True])
@in_virtual_time
async def test_our_call_is_refreshed_at_half_the_interval_by_update(
    tmp_path: Path, placed_by_us: bool
) -> None:
    async with world(tmp_path) as it:
        answered = it.now
        call = it.call("call-1", OURS, placed_by_us=placed_by_us)
        await it.until(lambda: len(it.refreshes(call)) == 3)
        await it.until(lambda: it.confirmed(call) == 3)
        times = [answered, *(sent.at for sent in it.refreshes(call))]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert all(HALF * 0.9 - 0.5 < wait <= HALF + 0.5 for wait in waits), waits
        assert {sent.refresh for sent in it.refreshes(call)} == {UPDATE}
        assert it.tracked(call).current_session().owns_call_id is placed_by_us


@pytest.mark.requirement("UAC-7.4-17", "UAC-7.4-19")
@in_virtual_time
async def test_a_peer_without_update_is_refreshed_by_reinvite_with_the_codec_in_use(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, update=False)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert {sent.refresh for sent in it.refreshes(call)} == {REINVITE}
        offers = {
            action["Value"]
            for action in it.asterisk.seen("Setvar")
            if action["Variable"] == "PJSIP_MEDIA_OFFER(audio)"
        }
        assert offers == {"!all,alaw,none"}


@in_virtual_time
async def test_a_profile_may_want_reinvite(tmp_path: Path) -> None:
    async with world(tmp_path, policy={"use_update": False}) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        assert [sent.refresh for sent in it.refreshes(call)] == [REINVITE]


@in_virtual_time
async def test_a_channel_without_connected_number_gets_one_quietly(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, ring=True)
        call.connected_number = ""
        it.asterisk.answer(call)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert call.connected_number == "4711"
        assert [sent.refresh for sent in it.refreshes(call)] == [UPDATE, UPDATE]


@pytest.mark.requirement("REF-10-02", "REF-10-05")
@in_virtual_time
async def test_491_is_tried_again_after_the_back_off_of_the_call_ids_owner(tmp_path: Path) -> None:
    async with world(tmp_path, peer=takes_turns(491, 200)) as it:
        call = it.call("call-1", Agreement(40, Side.LOCAL), placed_by_us=True)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        first, second = it.refreshes(call)
        assert 2.0 < second.at - first.at < 4.8


@pytest.mark.requirement("S61-14.1-04", "REF-10-05")
@in_virtual_time
async def test_a_reinvite_after_491_repeats_what_is_in_force(tmp_path: Path) -> None:
    """Another offer would wait behind a retry of Asterisk's own, and be dropped with it."""
    async with world(tmp_path, peer=takes_turns(491, 200)) as it:
        call = it.call("call-1", Agreement(40, Side.LOCAL), update=False)
        await it.until(lambda: it.edge.records[key(call)].refreshes >= 1)
        orders = [(each["Variable"], each["Value"]) for each in it.asterisk.seen("Setvar")]
        offered = [order for order in orders if order[0] == "PJSIP_MEDIA_OFFER(audio)"]
        repeated = [value for variable, value in orders if variable == "PJSIP_DTMF_MODE()"]
        assert len(offered) == 1
        assert repeated == ["auto_info", "rfc4733"]
        # The next round begins with an offer again.
        await it.until(lambda: len(it.refreshes(call)) == 4)
        assert {sent.refresh for sent in it.refreshes(call)} == {REINVITE}
        assert it.refreshes(call)[3].at - it.refreshes(call)[2].at > 10


@pytest.mark.requirement("REF-10-05")
@pytest.mark.parametrize("code", [405, 501])
@in_virtual_time
async def test_a_peer_that_does_not_know_update_is_asked_by_reinvite_from_then_on(
    tmp_path: Path, code: int
) -> None:
    async with world(tmp_path) as it:
        it.peer = lambda _world, _channel, refresh: code if refresh.method == "UPDATE" else 200
        call = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert [sent.refresh for sent in it.refreshes(call)] == [UPDATE, REINVITE, REINVITE]


@pytest.mark.parametrize(("code", "told"), [(404, True), (480, True), (502, True), (604, True), (488, False)])
@in_virtual_time
async def test_a_response_that_may_mean_the_end_is_told_and_the_call_is_kept(
    tmp_path: Path, code: int, told: bool
) -> None:
    async with world(tmp_path, peer=takes_turns(code, 200)) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert it.companion is not None
        history = it.companion.operator.history
        events = [event.fact for event in history.decoded(it.tracked(call).history)]
        hints = [fact.details for fact in events if fact.event == "peer_may_have_ended"]
        assert hints == ([(("code", str(code)),)] if told else [])
        assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("REF-10-03", "REF-10-05")
@in_virtual_time
async def test_422_is_tried_again_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, peer=takes_turns(422, 200)) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        first, second = it.refreshes(call)
        assert second.at - first.at < 1.0


@pytest.mark.requirement("REF-10-05")
@in_virtual_time
async def test_500_is_tried_again_when_retry_after_has_passed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(40, Side.LOCAL))
        it.peer = takes_turns(0, 200)
        await it.until(lambda: len(it.refreshes(call)) == 1)
        it.edge.fail(key(call), 500, retry_after=3)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        first, second = it.refreshes(call)
        assert 3.0 <= second.at - first.at < 4.5


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize("code", [408, 481])
@in_virtual_time
async def test_a_dialog_that_the_peer_does_not_know_is_over(tmp_path: Path, code: int) -> None:
    async with world(tmp_path, peer=answers(code)) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: not it.alive(call))
        await it.until(lambda: not it.is_tracked(call))
        assert len(it.refreshes(call)) == 1


@pytest.mark.requirement("REF-10-06")
@in_virtual_time
async def test_a_peer_that_refuses_every_refresh_is_not_asked_on_and_on_and_lives(tmp_path: Path) -> None:
    async with world(tmp_path, peer=answers(488)) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: len(it.refreshes(call)) >= 2)
        deadline = it.tracked(call).current_session().deadline
        assert deadline is not None
        await it.until(lambda: it.now > deadline - 0.2)
        assert [sent.refresh.method for sent in it.refreshes(call)] == ["UPDATE", "UPDATE", "INVITE"]
        await it.until(lambda: it.now > deadline + 1)
        assert it.alive(call)


@pytest.mark.requirement("REF-10-04", "REF-10-08")
@in_virtual_time
async def test_silence_after_our_refresh_ends_the_call_with_a_cause(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        answered = it.now
        call = it.call("call-1", OURS)
        await it.until(lambda: not it.alive(call))
        # Two forms, and each timed out at the edge; before the interval was over.
        assert 9.0 <= it.now - answered < 12.5
        (hangup,) = it.asterisk.seen("Hangup")
        assert hangup["Cause"] == "102"
        told = [action for action in it.asterisk.seen("Setvar") if action["Variable"] == "CDR(session_timer)"]
        assert [action["Value"] for action in told] == ["session-timer: our refresh was not answered"]
        # What swallows UPDATE may carry a re-INVITE.
        assert [sent.refresh for sent in it.refreshes(call)][:2] == [UPDATE, REINVITE]


@pytest.mark.requirement("REF-10-06")
@in_virtual_time
async def test_an_update_that_asterisk_swallows_is_no_evidence_against_the_peer(tmp_path: Path) -> None:
    async with world(tmp_path, peer=swallowed_updates) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(call)].refreshes == 2)
        assert it.alive(call)


@pytest.mark.requirement("REF-10-04")
@in_virtual_time
async def test_an_update_that_left_in_one_call_shows_nothing_of_another(tmp_path: Path) -> None:
    """Whether Asterisk sends it depends on the call too: its number may be hidden."""
    async with world(tmp_path) as it:
        first = it.call("call-1", OURS)
        await it.until(lambda: it.confirmed(first) == 1)
        it.peer = swallowed_updates
        second = it.call("call-2", OURS)
        await it.until(lambda: it.confirmed(second) == 2)
        assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("REF-10-04")
@in_virtual_time
async def test_an_update_that_left_shows_nothing_of_the_next_one(tmp_path: Path) -> None:
    """A transfer at the other end has taken the connected number away, without which none leaves."""
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.confirmed(call) == 1)
        call.connected_number = ""
        await it.until(lambda: it.confirmed(call) == 3)
        # The one in the middle was swallowed.
        assert [sent.refresh for sent in it.refreshes(call)] == [UPDATE, UPDATE_SDP, UPDATE_SDP]
        assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("REF-10-04")
@pytest.mark.parametrize("interval", [90, 96, 127, 130, 150, 180])
@in_virtual_time
async def test_the_other_form_has_time_to_be_answered_before_the_deadline(
    tmp_path: Path, interval: int
) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", Agreement(interval, Side.LOCAL))
        await it.until(lambda: bool(it.refreshes(call)), interval)
        deadline = it.tracked(call).current_session().deadline
        assert deadline is not None
        await it.until(lambda: not it.alive(call), interval)
        other = next(sent.at for sent in it.refreshes(call) if sent.refresh.sdp)
        # RFC 3261 17.1.2.1: three retransmissions.
        assert deadline - other > 3.5


@pytest.mark.requirement("REF-10-02")
@in_virtual_time
async def test_what_asterisk_was_not_told_is_no_silence_of_the_peer(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        refuse = b"Response: Error\r\n{id}Message: Internal error\r\n\r\n"
        it.asterisk.on_action = lambda action: refuse if action.name == "Setvar" else None
        await it.until(lambda: len(it.asterisk.seen("Setvar")) >= 5)
        assert it.alive(call)
        it.asterisk.on_action = lambda _action: None
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)


@in_virtual_time
async def test_calls_that_began_together_are_not_refreshed_in_the_same_moment(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", Agreement(100, Side.LOCAL)) for n in range(50)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        wakes = sorted(it.tracked(call).current_session().wake or 0.0 for call in calls)
        assert wakes[-1] - wakes[0] > 3.0
        assert all(wake <= it.now + 50 for wake in wakes)


@in_virtual_time
async def test_a_connected_number_that_came_later_is_not_overwritten(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, ring=True)
        call.connected_number = ""
        it.asterisk.answer(call)
        await it.until(lambda: it.is_tracked(call))
        call.connected_number = "4711"
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        assert call.connected_number == "4711"


@in_virtual_time
async def test_calls_that_are_answered_in_the_same_moment_are_all_armed(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", OURS, ring=True, placed_by_us=bool(n % 2)) for n in range(300)]
        for call in calls:
            it.asterisk.answer(call)
        await it.until(lambda: all(it.is_tracked(call) for call in calls), 30)
        assert not any(action["Variables"] for action in it.asterisk.seen("Status"))
