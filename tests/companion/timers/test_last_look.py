"""Between the verdict and the hang-up a moment passes: what a last look shows then outweighs the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from session_timer.session import Expire
from session_timer_companion.ami.client import AmiMessage
from session_timer_companion.channels.refresh_actions import Action
from session_timer_companion.timers.tracked_call import PendingAction

from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, silence, world

THEIRS = Agreement(12, Side.REMOTE)


def after_the_verdict(it: World, happens: Callable[[], object]) -> None:
    """Let it happen between the verdict and the last look."""
    expiry = it.tracker.driver._expiry
    end = expiry.together

    async def late(due: Sequence[tuple[PendingAction, Expire]]) -> None:
        if due:
            expiry.together = end  # type: ignore[method-assign]
            happens()
        await end(due)

    expiry.together = late  # type: ignore[method-assign]


@pytest.mark.requirement("REF-10-07", "REF-10-02")
@in_virtual_time
async def test_a_refresh_after_the_verdict_saves_the_call(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        after_the_verdict(it, lambda: it.edge.refresh(key(call)))
        await it.until(lambda: it.confirmed(call) == 1)
        began = it.now
        await it.until_after(began + 5)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")
        # It stays silent after that one.
        await it.until(lambda: not it.alive(call))


@pytest.mark.requirement("REF-10-07")
@in_virtual_time
async def test_another_call_that_has_got_the_channels_name_is_not_hung_up(tmp_path: Path) -> None:
    """Asterisk was restarted, and counts its channels anew."""
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        other = Channel(call.name, "1.2", "another call", local_tag="drawn for another call")
        after_the_verdict(it, lambda: it.asterisk.channels.update({call.name: other}))
        await it.until(lambda: not it.is_tracked(call))
        assert it.asterisk.channels[call.name] is other
        assert not it.asterisk.seen("Hangup")


@pytest.mark.requirement("REF-10-07", "D-01")
@in_virtual_time
async def test_an_edge_that_falls_silent_after_the_verdict_leaves_it_open(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        after_the_verdict(it, lambda: setattr(it.edge, "silent", True))
        began = it.now
        await it.until_after(began + 40)
        assert it.alive(call)
        it.edge.silent = False
        await it.until(lambda: not it.alive(call))


@pytest.mark.requirement("REF-10-07")
@in_virtual_time
async def test_a_hang_up_is_told_though_a_refresh_shows_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", THEIRS)
        await it.until(lambda: it.is_tracked(call))
        tracked, channels = it.tracker.by_key[key(call)], it.tracker.channels
        carry_out = channels.carry_out

        async def and_a_refresh(actions: Sequence[Action]) -> list[AmiMessage]:
            replies = await carry_out(actions)
            if any(name == "Hangup" for name, _ in actions):
                tracked.active = None  # as a refresh that the edge lists leaves it
            return replies

        channels.carry_out = and_a_refresh  # type: ignore[method-assign]
        await it.until(lambda: not it.alive(call))
        assert it.companion is not None
        history = it.companion.operator.history
        await it.until(lambda: bool(history.ended_as(call.call_id)))
        (ended,) = history.ended_as(call.call_id)
        assert "hung_up" in [each.fact.event for each in history.decoded(ended.events)]
