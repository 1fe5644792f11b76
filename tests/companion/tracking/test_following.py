"""Following the call: restarts, reconnects, transfers, changes in the middle."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.fake_edge import LARGEST, FakeEdge
from tests.companion.fakes.virtual_time import VirtualTimeLoop, in_virtual_time
from tests.companion.fakes.world import Agreement, Side, key, silence, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)


@in_virtual_time
async def test_an_answered_call_is_armed_within_a_second(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, ring=True)
        assert not it.is_tracked(call)
        it.asterisk.answer(call)
        answered = it.now
        await it.until(lambda: it.is_tracked(call))
        assert it.now - answered < 1.0


@in_virtual_time
async def test_a_call_answered_while_asterisk_is_slow_is_armed_when_it_answers(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS, ring=True)
        connections = it.asterisk.connections
        it.asterisk.silent = True
        it.asterisk.answer(call)
        await it.until(lambda: it.asterisk.connections > connections)
        assert not it.is_tracked(call)
        it.asterisk.silent = False
        await it.until(lambda: it.is_tracked(call))


@in_virtual_time
async def test_a_start_before_a_slow_asterisk_reads_its_calls_again(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        call = it.call("call-1", OURS, age=1.0)
        it.asterisk.on_action = lambda action: b"" if action["Channel"] else None
        starting = asyncio.create_task(it.start())
        await it.until(lambda: len(it.asterisk.seen("CoreShowChannels")) == 2)
        assert not it.is_tracked(call)
        it.asterisk.on_action = lambda _action: None
        await starting
        await it.until(lambda: it.is_tracked(call))


@in_virtual_time
async def test_an_account_that_is_given_its_right_later_is_heard_at_the_next_login(tmp_path: Path) -> None:
    """Asterisk looks up what an account may do when it logs in, and at no `manager reload`."""
    async with world(tmp_path, start=False) as it:
        call = it.call("call-1", OURS)
        configured, held = [False], [False]

        def answer(action: Received) -> bytes | None:
            if action.name == "Login":
                held[:] = configured
            refused = action.name in ("CoreShowChannels", "Status") and not held[0]
            return b"Response: Error\r\n{id}Message: Permission denied\r\n\r\n" if refused else None

        it.asterisk.on_action = answer
        starting = asyncio.create_task(it.start())
        await it.until(lambda: len(it.asterisk.seen("Status")) >= 3)
        assert it.now < 1_000 + 120
        assert not it.is_tracked(call)
        configured[:] = [True]
        await starting
        assert it.is_tracked(call)


@pytest.mark.parametrize("agreement", [OURS, None], ids=["with timer", "without timer"])
@in_virtual_time
async def test_a_call_that_ends_while_it_is_looked_at_leaves_nothing_behind(
    tmp_path: Path, agreement: Agreement | None
) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", agreement, placed_by_us=True, ring=True)
        header = call.response_headers["X-Session-Timer"]
        gone: list[str] = []

        def end_after_the_last_answer(action: Received) -> bytes | None:
            if not action["Variable"].startswith("PJSIP_RESPONSE_HEADER"):
                return None
            gone.append(call.name)
            del it.asterisk.channels[call.name]
            event = f"Event: Hangup\r\nChannel: {call.name}\r\nCause: 16\r\n\r\n"
            return f"Response: Success\r\n{{id}}Variable: x\r\nValue: {header}\r\n\r\n{event}".encode()

        it.asterisk.on_action = end_after_the_last_answer
        it.asterisk.answer(call)
        await it.until(lambda: bool(gone))
        await it.until_after(it.now + 1)
        assert not it.is_tracked(call)
        assert not it.tracker.by_key


@in_virtual_time
async def test_a_start_that_is_broken_off_between_channels_and_records_is_made_up_for(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        call = it.call("call-1", OURS, age=1.0)
        it.edge.silent = True
        starting = asyncio.create_task(it.start())
        await it.until(lambda: it.edge.read(key(call)) > 0)
        it.asterisk.drop()
        it.edge.silent = False
        await starting
        assert it.tracked(call).refreshes >= 0
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1, 12)


@in_virtual_time
async def test_a_start_among_a_thousand_calls_finds_each_of_them(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        calls = [
            it.call(
                f"call-{n}", THEIRS if n % 2 else OURS, age=n % 5, placed_by_us=n % 3 == 0, known=n % 7 != 0
            )
            for n in range(1000)
        ]
        gone: list[Channel] = []

        def end_one(action: Received) -> None:
            # In the middle: it is listed, and hangs up before its turn.
            if action.name == "Getvar" and not gone and action["Channel"] == calls[0].name:
                gone.append(calls[-1])
                it.asterisk.hangup(calls[-1])

        it.asterisk.on_action = end_one
        began = it.now
        await it.start()
        assert gone
        assert set(it.tracker.by_key) == {key(call) for call in calls[:-1]}
        for n, call in enumerate(calls[:-1]):
            tracked = it.tracked(call)
            # By its own record where there is one, by its header else.
            assert tracked.dialog.agreement == (THEIRS if n % 2 else OURS)
            assert tracked.terms.placed_by_us == (n % 3 == 0)
            assert (tracked.refreshes == 0) == (n % 7 != 0)
            if n % 7:
                assert began - tracked.since == pytest.approx(n % 5, abs=1.5)


@in_virtual_time
async def test_a_call_without_internal_header_is_not_touched(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        stranger = it.asterisk.add(Channel("PJSIP/other-1", "1.9", "call-9", state=4))
        it.asterisk.answer(stranger)
        ours = it.call("call-1", OURS)
        await it.until(lambda: it.edge.records[key(ours)].refreshes == 2)
        assert not it.is_tracked(stranger)
        assert {action["Channel"] for action in it.asterisk.seen("Setvar")} == {ours.name}


@in_virtual_time
async def test_a_call_whose_header_is_late_at_a_start_is_looked_at_once_more_and_a_strangers_no_further(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, start=False) as it:
        late = it.call("call-1", OURS, placed_by_us=True)
        header = late.response_headers.pop("X-Session-Timer")
        strangers = [
            it.asterisk.add(Channel(f"PJSIP/other-{n:08x}", f"1.{n}", f"other-{n}")) for n in range(600)
        ]
        await it.start()
        assert not it.is_tracked(late)
        late.response_headers["X-Session-Timer"] = header
        await it.until(lambda: it.confirmed(late) > 0, 12)
        assert set(it.tracker.by_key) == {key(late)}
        assert it.tracker._metrics.foreign.labels("ast1")._value.get() == len(strangers)
        asked = Counter((action["Channel"], action["Variable"]) for action in it.asterisk.seen("Getvar"))
        assert {asked[stranger.name, "CHANNEL(pjsip,call-id)"] for stranger in strangers} == {2}
        assert len(it.asterisk.seen("CoreShowChannels")) == 1
        assert not it.asterisk.seen("Status")


@in_virtual_time
async def test_a_restarted_companion_finds_the_calls_and_how_far_their_intervals_have_run(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, start=False) as it:
        ours = it.call("call-1", OURS, age=4.0)
        theirs = it.call("call-2", THEIRS, age=3.0)
        began = it.now
        await it.start()
        assert it.now - began < 1.0
        due = it.tracked(ours).current_session().since
        assert began - 4.0 - 0.5 <= due <= began - 4.0 + 1.5
        assert began - 3.5 <= it.tracked(theirs).current_session().since <= began - 1.5
        await it.until(lambda: len(it.refreshes(ours)) == 1)
        assert it.now - began < 4.0


@in_virtual_time
async def test_a_restart_while_the_edge_is_away_refreshes_what_is_ours_and_hangs_nothing_up(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, start=False) as it:
        it.edge.silent = True
        ours = it.call("call-1", OURS, age=100.0)
        theirs = it.call("call-2", THEIRS, age=100.0)
        began = it.now
        await it.start()
        await it.until(lambda: len(it.refreshes(ours)) >= 1)
        it.edge.silent = False
        await it.until(lambda: it.confirmed(theirs) >= 0)
        await it.until(lambda: it.now > began + 40)
        assert it.alive(ours)
        assert it.alive(theirs)


@in_virtual_time
async def test_calls_that_came_and_went_while_ami_was_away_are_found_and_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        stays = it.call("call-1", OURS)
        goes = it.call("call-2", OURS)
        await it.until(lambda: it.is_tracked(stays) and it.is_tracked(goes))
        tracked = it.tracked(stays)
        await it.asterisk.stop()
        del it.asterisk.channels[goes.name]
        comes = it.call("call-3", OURS)
        await it.until(lambda: not it.tracker.ready)
        await it.asterisk.start()
        await it.until(lambda: it.tracker.ready)
        assert it.is_tracked(comes)
        assert not it.is_tracked(goes)
        assert it.tracked(stays) is tracked
        await it.until(lambda: it.edge.records[key(stays)].refreshes == 1)
        await it.until(lambda: it.edge.records[key(comes)].refreshes == 1)


@in_virtual_time
async def test_nothing_is_sent_or_ended_while_ami_is_away(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        await it.asterisk.stop()
        gone = it.now
        await it.until(lambda: it.now > gone + 30)
        await it.asterisk.start()
        await it.until(lambda: it.edge.records[key(call)].refreshes >= 1)
        assert it.alive(call)


@pytest.mark.requirement("UAC-7.4-11")
@in_virtual_time
async def test_a_role_that_the_peer_hands_us_is_taken_up_within_seconds(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.is_tracked(call))
        it.edge.refresh(key(call), Agreement(12, Side.LOCAL))
        handed = it.now
        await it.until(lambda: str(it.tracked(call).current_session().state) == "ours")
        assert it.now - handed < 3.0
        await it.until(lambda: len(it.refreshes(call)) == 1)
        assert it.now - handed < 7.0


@in_virtual_time
async def test_a_timer_that_the_peer_switches_off_is_off(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        it.edge.refresh(key(call), None)
        await it.until(lambda: str(it.tracked(call).current_session().state) == "off")
        assert it.tracked(call).current_session().wake is None


@in_virtual_time
async def test_a_list_of_changes_that_is_too_long_for_a_reply_is_read_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", Agreement(1800, Side.REMOTE)) for n in range(400)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        for call in calls:
            it.edge.refresh(key(call), Agreement(900, Side.REMOTE))
        assert sum(map(len, it.edge.changes.values())) > 2 * LARGEST
        changed = it.now
        await it.until(lambda: all(it.confirmed(call) == 1 for call in calls), 30)
        assert it.now - changed < 5


@in_virtual_time
async def test_a_change_that_was_missed_while_the_edge_was_away_is_found(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.is_tracked(call))
        await it.edge.stop()
        assert it.companion is not None
        edge = it.companion.edges.all()[0]
        await it.until(lambda: edge.up is False)
        it.edge.refresh(key(call), Agreement(12, Side.LOCAL), listed=False)
        await it.edge.start()
        await it.until(lambda: str(it.tracked(call).current_session().state) == "ours", 30)


@in_virtual_time
async def test_a_change_that_was_missed_while_we_were_stopped_is_found(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.is_tracked(call))
        it.edge.refresh(key(call), Agreement(12, Side.LOCAL), listed=False)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.stop_process(120)
        await it.until(lambda: str(it.tracked(call).current_session().state) == "ours", 30)


@in_virtual_time
async def test_a_change_that_was_missed_is_found_although_other_calls_end_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        calls = [it.call(f"call-{n}", Agreement(1800, Side.REMOTE)) for n in range(1300)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        await it.edge.stop()
        assert it.companion is not None
        edge = it.companion.edges.all()[0]
        await it.until(lambda: edge.up is False)
        first, changed = calls[0], calls[1100]
        it.edge.refresh(key(changed), Agreement(12, Side.LOCAL), listed=False)
        it.edge.asked_for.clear()
        await it.edge.start()
        await it.until(lambda: it.edge.read(key(first)) > 0)
        for ended in calls[:300]:
            it.asterisk.hangup(ended)
        await it.until(lambda: str(it.tracked(changed).current_session().state) == "ours", 30)


@in_virtual_time
async def test_a_dead_call_does_not_outlive_a_restart_of_the_companion(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        await it.stop()
        stopped = it.now
        await it.until(lambda: it.now > stopped + 20)
        await it.start()
        await it.until(lambda: not it.alive(call), 30)


@in_virtual_time
async def test_another_edge_with_a_copy_of_the_record_is_asked_when_its_own_is_away(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it, FakeEdge("other") as other:
        call = it.call("call-1", THEIRS)
        elsewhere = it.call("call-2", OURS, edge="other")
        it.edges = [
            {"name": "edge", "door": it.edge.address, "stand_ins": ["other"]},
            {"name": "other", "door": other.address},
        ]
        other.records = it.edge.records
        await it.start()
        await it.until(lambda: it.is_tracked(call) and it.is_tracked(elsewhere))
        it.edge.silent = True
        for _ in range(3):
            began = it.now
            await it.until_after(began + 6)
            it.edge.refresh(key(call))
        await it.until(lambda: it.confirmed(call) == 3)
        assert not it.refreshes(call)
