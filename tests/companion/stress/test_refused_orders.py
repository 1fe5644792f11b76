"""An Asterisk that refuses what it is told: fewer and fewer orders, and everything set right afterwards."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from session_timer_companion.channels import calls
from session_timer_companion.timers.orders import next_try
from structlog.testing import capture_logs

from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, silence, world

REFUSED = b"Response: Error\r\n{id}Message: Variable not set\r\n\r\n"
EMPTY = b"Response: Success\r\n{id}Variable: x\r\nValue: \r\n\r\n"


def refuses_to_set(action: Received) -> bytes | None:
    return REFUSED if action.name == "Setvar" else None


@pytest.mark.parametrize(
    ("refusals", "wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (500, 60.0)]
)
def test_each_try_waits_longer_up_to_a_minute(refusals: int, wait: float) -> None:
    assert next_try(refusals, 100.0, None) == 100.0 + min(wait, 10.0)
    assert next_try(refusals, 100.0, 10_000.0) == 100.0 + wait
    assert next_try(refusals, 100.0, 105.0) == min(100.0 + wait, 105.0)


@in_virtual_time
async def test_a_call_that_asterisk_refuses_to_refresh_is_tried_less_and_less_often(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            call = it.call("call-1", Agreement(1800, Side.LOCAL), age=0)
            it.asterisk.on_action = refuses_to_set
            began = it.now
            await it.until_after(began + 1500)
            tries = len(it.asterisk.seen("Setvar"))
            assert 5 <= tries <= 30
            it.asterisk.on_action = lambda _action: None
            await it.until(lambda: it.confirmed(call) == 1, 120)
    told = [line["log_level"] for line in logged if line["event"] == "refresh_not_sent"]
    assert told.count("warning") == 1


@in_virtual_time
async def test_hundreds_of_refused_calls_open_the_breaker_and_a_success_closes_it(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path) as it:
            calls = [it.call(f"call-{n}", Agreement(1800, Side.LOCAL)) for n in range(300)]
            await it.until(lambda: all(it.is_tracked(call) for call in calls))
            it.asterisk.on_action = refuses_to_set
            await it.until_after(it.now + 905)
            before = len(it.asterisk.received)
            await it.until_after(it.now + 100)
            assert (len(it.asterisk.received) - before) / 100 < 6
            it.asterisk.on_action = lambda _action: None
            await it.until(lambda: all(it.confirmed(call) == 1 for call in calls), 200)
            assert all(it.alive(call) for call in calls)
    events = [line["event"] for line in logged]
    assert (events.count("orders_refused"), events.count("orders_accepted")) == (1, 1)


@pytest.mark.parametrize("digits", ["info", "inband", "auto", "rfc4733"])
@in_virtual_time
async def test_the_way_to_send_digits_is_as_before_after_a_pair_that_was_broken_off(
    tmp_path: Path, digits: str
) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL), update=False)
        call.video, call.dtmf_mode = (
            "h264",
            digits,
        )  # an offer would begin video: what is in force is repeated
        await it.until(lambda: it.is_tracked(call))
        sets: list[str] = []

        def cut_between(action: Received) -> bytes | None:
            if action["Variable"] == "PJSIP_DTMF_MODE()" and action.name == "Setvar":
                sets.append(action["Value"])
                if len(sets) == 2:
                    it.asterisk.drop()
                    return b""
            return None

        it.asterisk.on_action = cut_between
        await it.until(lambda: len(sets) >= 2, 60)
        assert call.dtmf_mode != digits
        await it.until(lambda: call.dtmf_mode == digits, 60)
        await it.until(lambda: it.confirmed(call) >= 2, 120)
        assert call.dtmf_mode == digits


@pytest.mark.parametrize("dialled", ["s", "unknown", "", "h", "anna"])
@in_virtual_time
async def test_no_number_is_made_up_for_a_channel_that_has_none(tmp_path: Path, dialled: str) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, Side.LOCAL), ring=True)
        call.connected_number, call.dialled = "", dialled
        it.asterisk.answer(call)
        await it.until(lambda: it.confirmed(call) == 2)
        assert call.connected_number == ""
        assert {sent.refresh.sdp for sent in it.refreshes(call)} == {True}


@in_virtual_time
async def test_an_empty_reply_is_not_the_end_of_a_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        call.unreadable = True
        it.tracker.look_at(call.name)
        began = it.now
        await it.until_after(began + 3)
        assert it.is_tracked(call)
        call.unreadable = False
        await it.until(lambda: it.confirmed(call) >= 2)


@in_virtual_time
async def test_a_call_that_cannot_be_read_when_it_is_answered_is_read_later(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, Side.LOCAL), ring=True)
        call.unreadable = True
        it.asterisk.answer(call)
        began = it.now
        await it.until_after(began + 1)
        assert not it.is_tracked(call)
        call.unreadable = False
        await it.until(lambda: it.confirmed(call) >= 1)


@in_virtual_time
async def test_a_challenge_is_waited_for_and_not_answered_by_another_refresh(tmp_path: Path) -> None:
    """Asterisk answers it by itself, and counts: a second refresh would cost a second challenge."""
    async with world(tmp_path, peer=lambda *_: 401) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        await it.until(lambda: len(it.refreshes(call)) == 1, 90)
        key = it.tracked(call).key
        await it.until_after(it.now + 2)
        it.edge.asked(key)
        it.edge.refresh(key)
        await it.until(lambda: it.confirmed(call) == 1)
        assert len(it.refreshes(call)) == 1
        times = [sent.at for sent in it.refreshes(call)]
        assert all(later - sooner > 30 for sooner, later in pairwise(times))


@in_virtual_time
async def test_a_challenge_that_asterisk_does_not_answer_is_told_and_ends_no_call(tmp_path: Path) -> None:
    """It has no credentials, or has answered as many in this call as it can count."""
    with capture_logs() as logged:
        async with world(tmp_path, peer=lambda *_: 401) as it:
            call = it.call("call-1", Agreement(90, Side.LOCAL))
            await it.until_after(it.now + 200)
            assert it.alive(call)
    told = [line for line in logged if line["event"] == "challenge_unanswered"]
    assert told
    assert told[0]["code"] == 401


@in_virtual_time
async def test_an_old_asterisk_is_refreshed_in_a_form_that_it_sends(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.asterisk.release = "162800"
        call = it.call("call-1", Agreement(90, Side.LOCAL), update=False)
        await it.start()
        await it.until(lambda: it.confirmed(call) >= 1, 90)
        assert not [each for each in it.asterisk.seen("Setvar") if "MEDIA_OFFER" in each["Variable"]]


@in_virtual_time
async def test_an_asterisk_that_cannot_keep_placed_calls_is_logged(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with world(tmp_path, start=False) as it:
            it.asterisk.release = "161601"
            await it.start()
    (told,) = [line for line in logged if line["event"] == "asterisk_lacks"]
    assert (told["release"], told["log_level"]) == ("16.16.1", "error")


@in_virtual_time
async def test_a_channel_that_asterisk_cannot_read_is_looked_at_less_and_less_often(tmp_path: Path) -> None:
    """Its dialog may be over while a hangup handler runs for hours. Further looks begin no other round."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(1800, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        call.unreadable = True
        for _ in range(20):
            it.tracker.look_at(call.name)
            await it.until_after(it.now + 0.2)
        await it.until_after(it.now + 60)
        before = len(it.asterisk.seen("Getvar"))
        await it.until_after(it.now + 300)
        assert len(it.asterisk.seen("Getvar")) - before < 15 * len(calls.STANDING)
        call.unreadable = False
        await it.until(lambda: it.confirmed(call) == 1, 1000)


@in_virtual_time
async def test_a_hang_up_that_asterisk_refuses_is_tried_less_often_and_pulls_no_brake(tmp_path: Path) -> None:
    refused = b"Response: Error\r\n{id}Message: Permission denied\r\n\r\n"
    with capture_logs() as logged:
        async with world(tmp_path, peer=silence()) as it:
            it.asterisk.on_action = lambda action: refused if action.name == "Hangup" else None
            call = it.call("call-1", Agreement(12, Side.LOCAL))
            await it.until(lambda: bool(it.asterisk.seen("Hangup")))
            before = len(it.asterisk.received)
            await it.until_after(it.now + 300)
            assert (len(it.asterisk.received) - before) / 300 < 2
            assert it.companion is not None
            assert not it.companion.brake.on, "nobody was hung up"
            it.asterisk.on_action = lambda _action: None
            await it.until(lambda: not it.alive(call), 30)
    told = [line["log_level"] for line in logged if line["event"] == "hangup_put_off"]
    assert told.count("warning") <= 3
