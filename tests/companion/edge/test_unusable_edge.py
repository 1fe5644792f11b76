"""An edge that is not named, or by an address that is none: it costs what it would tell, and no call."""

from __future__ import annotations

from pathlib import Path

import pytest
from session_timer import InternalHeader
from structlog.testing import capture_logs

from tests.companion.fakes.fake_channel import Channel
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, world

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)
NO_ADDRESS = "udp:127.0.0.1:70000"


def names(channel: Channel, agreement: Agreement, rpc: str) -> None:
    """This call's internal header names another edge, or none."""
    channel.headers["X-Session-Timer"] = InternalHeader(agreement, peer_allows_update=True, rpc=rpc).encode()


def without_edge(it: World) -> tuple[Channel, Channel]:
    """One call that we refresh and one that the peer does, before a companion that knows no edge at all."""
    it.rpc = ""
    calls = it.call("call-1", OURS), it.call("call-2", THEIRS)
    for call, agreement in zip(calls, (OURS, THEIRS), strict=True):
        names(call, agreement, "")
    return calls


@in_virtual_time
async def test_without_any_edge_calls_are_refreshed_and_none_is_hung_up(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        ours, theirs = without_edge(it)
        await it.start()
        await it.until(lambda: len(it.refreshes(ours)) >= 3 and len(it.refreshes(theirs)) >= 3)
        assert it.alive(ours)
        assert it.alive(theirs)
        assert not it.asterisk.seen("Hangup")


@in_virtual_time
async def test_without_any_edge_a_call_that_is_answered_now_is_refreshed(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        it.rpc = ""
        await it.start()
        call = it.call("call-1", OURS, ring=True)
        names(call, OURS, "")
        it.asterisk.answer(call)
        await it.until(lambda: len(it.refreshes(call)) >= 2)


@pytest.mark.parametrize("known", [True, False], ids=["beside an edge", "without edge"])
@in_virtual_time
async def test_an_address_that_is_none_is_logged_once_and_harms_that_call_only(
    tmp_path: Path, known: bool
) -> None:
    async with world(tmp_path, start=False) as it:
        if not known:
            it.rpc = ""
        with capture_logs() as told:
            odd, good = it.call("odd", THEIRS, known=False), it.call("good", Agreement(1800, Side.REMOTE))
            names(odd, THEIRS, NO_ADDRESS)
            await it.start()
            it.edge.refresh(key(good), OURS)
            await it.until(lambda: it.confirmed(good) >= 3)
            await it.until(lambda: bool(it.refreshes(odd)))
            await it.asterisk.stop()
            await it.until(lambda: not it.tracker.ready)
            await it.asterisk.start()
            await it.until(lambda: it.tracker.ready)
        assert it.alive(odd)
        said = [line for line in told if NO_ADDRESS in str(line)]
        assert [(line["call_id"], line["log_level"]) for line in said] == [("odd", "warning")]
