"""Without an edge: Asterisk faces the carrier, its answered calls are refreshed so that dead ones show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import World, answers, silence, world

PEERS: list[dict[str, object]] = [
    {"name": "own-timers", "match": {"name": ["with-timers"]}, "session_timer": {"mode": "watch"}},
    {"name": "by-invite", "match": {"name": ["old-pbx"]}, "session_timer": {"use_update": False}},
]


def up(it: World, endpoint: str) -> Channel:
    channel = Channel(f"PJSIP/{endpoint}-00000001", f"1.{endpoint}", f"call-{endpoint}", state=4)
    it.asterisk.add(channel)
    it.asterisk.answer(channel)
    return channel


@pytest.mark.requirement("UAC-7.2-16")
@in_virtual_time
async def test_every_answered_call_is_refreshed_by_its_endpoints_profile(tmp_path: Path) -> None:
    async with world(tmp_path, alone=True, peers=PEERS) as it:
        calls = [up(it, endpoint) for endpoint in ("carrier", "old-pbx", "with-timers")]
        carrier, old, timers = calls
        await it.until(lambda: len(it.refreshes(carrier)) >= 3 and len(it.refreshes(old)) >= 3, 300)
        # Asterisk may swallow an UPDATE, and nobody could show that it has not.
        for call in (carrier, old):
            assert {sent.refresh for sent in it.refreshes(call)} == {Refresh("INVITE", sdp=True)}
        assert not it.refreshes(timers)
        assert all(it.alive(call) for call in calls)


@in_virtual_time
async def test_a_peer_that_asterisk_finds_dead_is_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path, alone=True, peer=answers(481)) as it:
        call = up(it, "carrier")
        await it.until(lambda: it.is_tracked(call))
        await it.until(lambda: not it.alive(call))
        await it.until(lambda: not it.is_tracked(call))
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_nothing_is_hung_up_by_us_for_want_of_a_record(tmp_path: Path) -> None:
    async with world(tmp_path, alone=True, peer=silence()) as it:
        call = up(it, "carrier")
        await it.until(lambda: len(it.refreshes(call)) >= 3, 300)
        assert it.alive(call)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_a_restart_finds_them_again(tmp_path: Path) -> None:
    async with world(tmp_path, alone=True) as it:
        call = up(it, "carrier")
        await it.until(lambda: it.is_tracked(call))
        await it.stop()
        await it.start()
        assert it.is_tracked(call)
        await it.until(lambda: bool(it.refreshes(call)))
