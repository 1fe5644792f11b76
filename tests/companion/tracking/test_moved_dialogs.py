"""Dialogs move from channel to channel, by transfers and masquerades."""

from __future__ import annotations

from pathlib import Path

from session_timer import Agreement, Side

from tests.companion.fakes.fake_asterisk import Received
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import key, world

OURS = Agreement(12, Side.LOCAL)


async def test_a_dialog_that_moves_to_another_channel_keeps_its_session(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        tracked = it.tracked(call)
        it.asterisk.rename(call, "PJSIP/desk-000000ff")
        await it.until(lambda: tracked.channel == "PJSIP/desk-000000ff")
        assert it.tracked(call) is tracked
        await it.until(lambda: it.edge.records[key(call)].refreshes == 1)
        assert it.asterisk.seen("Setvar")[-1]["Channel"] == "PJSIP/desk-000000ff"
        it.asterisk.hangup(call)
        await it.until(lambda: not it.is_tracked(call))


@in_virtual_time
async def test_a_dialog_that_moves_while_everything_is_read_anew_keeps_its_session(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        tracked = it.tracked(call)
        await it.asterisk.stop()
        await it.until(lambda: not it.tracker.ready)
        it.call("call-2", OURS)
        it.edge.silent = True  # so that the reading takes longer than to find the dialog on its new channel

        def transfer(action: Received) -> None:
            if action.name == "Getvar":
                it.asterisk.on_action = lambda _action: None
                it.asterisk.rename(call, "PJSIP/desk-000000ff")

        it.asterisk.on_action = transfer
        await it.asterisk.start()
        await it.until(lambda: tracked.channel == "PJSIP/desk-000000ff")
        assert not it.tracker.ready
        it.edge.silent = False
        await it.until(lambda: it.tracker.ready)
        assert it.tracked(call) is tracked
        await it.until(lambda: it.confirmed(call) > 0, 30)


@in_virtual_time
async def test_two_dialogs_that_swap_their_channels_are_both_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        one, two = it.call("call-1", OURS), it.call("call-2", OURS)
        await it.until(lambda: it.is_tracked(one) and it.is_tracked(two))
        first, second = one.name, two.name
        it.asterisk.rename(one, first + "<MASQ>")
        it.asterisk.rename(two, first)
        it.asterisk.rename(one, second)
        await it.until(lambda: it.tracked(one).channel == second and it.tracked(two).channel == first)
        await it.until(lambda: all(it.edge.records[key(call)].refreshes == 1 for call in (one, two)))


@in_virtual_time
async def test_a_masquerade_ends_the_dialog_that_loses_its_channel(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        stays, goes = it.call("call-1", OURS), it.call("call-2", OURS)
        await it.until(lambda: it.is_tracked(stays) and it.is_tracked(goes))
        name = goes.name
        it.asterisk.rename(goes, name + "<ZOMBIE>")
        it.asterisk.hangup(goes)
        await it.until(lambda: not it.is_tracked(goes))
        assert it.is_tracked(stays)
