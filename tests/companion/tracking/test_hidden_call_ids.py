"""Topology hiding gave Asterisk another Call-ID than the edge has."""

from __future__ import annotations

from pathlib import Path

from session_timer import Agreement, InternalHeader, Side, record

from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.fake_edge import KEY
from tests.companion.fakes.world import World, world

THEIRS, MASKED = "1-77@carrier.example", "!!:S0BzSpW0vkWdaebNbmO8aotr"
OURS = Agreement(1800, Side.LOCAL)


def hidden(it: World) -> tuple[Channel, str]:
    """A call of the peer's that is answered now, and its record's key at the edge."""
    channel = it.call(MASKED, OURS, known=False, ring=True)
    header = InternalHeader(OURS, peer_allows_update=True, edge=it.edge.name, placed=Side.REMOTE)
    channel.headers["X-Session-Timer"] = header.encode(KEY, THEIRS, channel.remote_tag)
    key = record.key(THEIRS, channel.local_tag, channel.remote_tag)
    it.edge.write(key, OURS)
    it.asterisk.answer(channel)
    return channel, key


async def test_the_record_is_the_edges_and_the_dialog_is_told_by_its_tags(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        channel, key = hidden(it)
        await it.until(lambda: key in it.tracker.by_key)
        tracked = it.tracker.by_key[key]
        assert tracked.call_id == THEIRS
        assert await it.tracker.channels.has_dialog(channel.name, key)
        channel.local_tag = "of another dialog"
        assert not await it.tracker.channels.has_dialog(channel.name, key)


async def test_a_call_whose_header_asterisk_does_not_tell_once_more_is_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        channel, key = hidden(it)
        await it.until(lambda: key in it.tracker.by_key)
        tracked = it.tracker.by_key[key]
        channel.headers.clear()
        it.tracker.look_at(channel.name)
        other = it.call("another call", OURS)
        await it.until(lambda: it.is_tracked(other))
        assert it.tracker.by_key.get(key) is tracked

        await it.asterisk.stop()
        await it.until(lambda: not it.tracker.ready)
        await it.asterisk.start()
        await it.until(lambda: it.tracker.ready)
        assert it.tracker.by_key.get(key) is tracked
        assert tracked.channel == channel.name
