"""Several Asterisks in one process: what one of them does, or cannot do, is nothing to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from session_timer_companion.companion import Companion, StartError

from tests.companion.fakes.fake_asterisk import FakeAsterisk
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, world
from tests.companion.operator.test_http import served

OURS = Agreement(12, Side.LOCAL)
THEIRS = Agreement(12, Side.REMOTE)


@asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[tuple[World, FakeAsterisk, FakeAsterisk]]:
    async with FakeAsterisk() as beside, world(tmp_path, start=False, beside=beside) as it:
        beside.on_refresh = it.on_refresh
        yield it, it.asterisk, beside


@asynccontextmanager
async def starting(it: World) -> AsyncIterator[Companion]:
    """A companion that is left to start on its own."""
    it.companion = Companion(it.configuration())
    start = asyncio.create_task(it.companion.connect())
    it._reading = asyncio.create_task(it.companion.changes.run())
    yield it.companion
    await start


@in_virtual_time
async def test_calls_of_the_same_channel_name_are_told_apart_and_refreshed_where_they_are(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as (it, first, second):
        one, other = it.call("one", OURS), it.call("other", OURS, at=second)
        assert one.name == other.name
        await it.start()
        new = it.call("new", OURS, at=second)
        await it.until(lambda: all(it.edge.records[key(call)].refreshes >= 2 for call in (one, other, new)))
        assert {action["Channel"] for action in first.seen("Setvar")} == {one.name}
        assert {action["Channel"] for action in second.seen("Setvar")} == {other.name, new.name}
        counted = [len(it.tracker_of(asterisk).by_key) for asterisk in (first, second)]
        assert counted == [1, 2]


@in_virtual_time
async def test_one_is_cut_and_comes_back_and_the_other_does_not_notice(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, first, second):
        one, other = it.call("one", OURS), it.call("other", OURS, at=second)
        await it.start()
        await it.until(lambda: it.tracker_of(second).ready)
        await first.stop()
        cut, logins = it.now, second.connections
        await it.until(lambda: not it.tracker.ready)
        await it.until(lambda: it.edge.records[key(other)].refreshes >= 3)
        assert it.now - cut < 3 * 12
        assert it.tracker_of(second).ready
        assert not any(sent.call_id == "one" for sent in it.sent if sent.at > cut)
        await first.start()
        await it.until(lambda: it.edge.records[key(one)].refreshes >= 1)
        assert second.connections == logins
        assert it.alive(one)


@in_virtual_time
async def test_one_that_takes_the_connection_and_says_nothing_keeps_no_other_waiting(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, first, second):
        first.greeting = b""
        it.call("one", THEIRS)
        other = it.call("other", Agreement(1800, Side.REMOTE), at=second)
        began = it.now
        async with starting(it):
            await it.until(lambda: it.tracker_of(second).ready)
            assert it.now - began < 1.0
            it.edge.refresh(key(other), OURS)
            await it.until(lambda: it.tracker_of(second).by_key[key(other)].refreshes == 1)
            assert it.now - began < 4.0
        assert not it.tracker.ready


@in_virtual_time
async def test_one_that_refuses_us_is_tried_again_while_the_other_is_kept(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, first, second):
        first.secret = "changed"  # noqa: S105
        one, other = it.call("one", OURS), it.call("other", OURS, at=second)
        began = it.now
        async with starting(it) as companion:
            await it.until(lambda: it.edge.records[key(other)].refreshes >= 1)
        await it.until_after(began + 120)
        assert "refused the login" in str(it.tracker.ami.last_error)
        assert not companion.ready
        assert 4 <= first.connections <= 10  # somebody has to change the password: no hurry
        first.secret = "s3cret"  # noqa: S105
        await it.until(lambda: it.edge.records[key(one)].refreshes >= 1)
        assert companion.ready


@in_virtual_time
async def test_all_that_refuse_us_are_named(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, first, second):
        first.secret = second.secret = "changed"  # noqa: S105
        companion = Companion(it.configuration())
        with pytest.raises(StartError) as refused:
            await companion.connect()
        await companion.aclose()
        lines = str(refused.value).splitlines()
        assert [f"AMI {name}: " in line for name, line in zip(("ast1", "ast2"), lines, strict=True)] == [
            True
        ] * 2


@in_virtual_time
async def test_readiness_says_which_one_it_waits_for(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, first, second):
        first.secret = "changed"  # noqa: S105
        async with starting(it):
            await it.until(lambda: it.tracker_of(second).ready)
        http: aiohttp.ClientSession
        async with served(it) as http, http.get("/readyz") as answer:
            assert answer.status == 503
            report = await answer.json()
        assert report["asterisk"]["ast2"] == "ready"
        assert "refused the login" in report["asterisk"]["ast1"]
