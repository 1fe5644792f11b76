"""Two companions for one Asterisk: one leads, the other takes over when it is silent."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from session_timer_companion import companion as companion_module
from session_timer_companion.companion import Companion

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, World, key, silence, world


async def second(it: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Companion, asyncio.Task[None]]:
    """Another companion with the same settings on another host."""
    monkeypatch.setattr(companion_module, "own_name", lambda _configuration: "another-host:8080")
    other = Companion(it.configuration())
    await other.connect()
    reading = asyncio.create_task(other.changes.run())
    await it.until(lambda: other.ready)
    return other, reading


@in_virtual_time
async def test_two_companions_refresh_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as it:
        other, reading = await second(it, monkeypatch)
        calls = [it.call(f"call-{n}", Agreement(90, Side.LOCAL)) for n in range(20)]
        await it.until(lambda: all(it.confirmed(call) == 3 for call in calls), 300)
        assert len(it.sent) <= 20 * 4
        assert it.tracker.driver.leading
        assert not other.trackers[0].driver.leading
        # It follows: it knows how far each call is.
        await it.until(
            lambda: all(other.trackers[0].by_key[it.tracked(call).key].refreshes >= 2 for call in calls),
            120,
        )
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await other.aclose()


@in_virtual_time
async def test_the_standby_takes_over_within_seconds_of_the_leaders_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as it:
        other, reading = await second(it, monkeypatch)
        calls = [it.call(f"call-{n}", Agreement(90, Side.LOCAL)) for n in range(20)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        died = it.now
        # As kill -9: nobody gives the lead up.
        it._reading.cancel()
        assert it.companion is not None
        leader = it.companion

        async def nothing() -> None:
            """It is dead."""

        leader.leadership.give_up = nothing  # type: ignore[method-assign]
        await it.tracker.ami.aclose()
        await it.tracker.driver.aclose()
        await it.until(lambda: other.trackers[0].driver.leading, 30)
        assert it.now - died < 12
        await it.until(lambda: all(it.edge.records[key].refreshes >= 2 for key in it.edge.records), 200)
        assert all(it.alive(call) for call in calls)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await other.aclose()


@in_virtual_time
async def test_a_leader_that_stops_hands_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as it:
        other, reading = await second(it, monkeypatch)
        stopped = it.now
        await it.stop()
        await it.until(lambda: other.trackers[0].driver.leading, 30)
        assert it.now - stopped < 5
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await other.aclose()


@in_virtual_time
async def test_a_companion_that_is_started_again_leads_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.until(lambda: "ast1" in it.edge.leads)
        await it.stop()
        await it.start()
        began = it.now
        call = it.call("call-1", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.confirmed(call) == 1)
        assert it.now - began < 8


@in_virtual_time
async def test_a_restart_forgets_what_an_operator_held_back_and_what_was_learned(tmp_path: Path) -> None:
    """As docs/reference/companion.md says."""
    async with world(tmp_path) as it:
        call = it.call("call-1", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.is_tracked(call))
        assert it.companion is not None
        it.companion.actions.pause()
        it.companion.operator.holds.excluded[key(call)] = it.now
        it.companion.brake.on = True
        it.tracker.driver.learned.learn("198.18.0.42")
        await it.stop()
        companion = await it.start()
        holds = companion.operator.holds
        assert (holds.paused, holds.excluded, companion.brake.standing) == (False, {}, "off")
        assert not it.tracker.driver.learned.left()
        await it.until(lambda: it.confirmed(call) == 1)


@in_virtual_time
async def test_a_leader_that_loses_the_lead_sends_and_asks_no_more(tmp_path: Path) -> None:
    """In the middle of a refresh that nobody answers: the other one follows it up, and hangs up."""
    async with world(tmp_path, peer=silence()) as it:
        call = it.call("call-1", Agreement(90, Side.LOCAL))
        await it.until(lambda: len(it.sent) == 1, 90)
        it.edge.leads["ast1"] = ("another-host:8080", it.edge.now + 1e6)
        await it.until(lambda: not it.tracker.driver.leading)
        actions = len(it.asterisk.received)
        await it.until_after(it.now + 200)
        assert len(it.sent) == 1
        assert it.alive(call)
        assert len(it.asterisk.received) - actions < 30, "pings"
        # It has the lead again: the call is dead, and two refreshes of its own show that.
        it.edge.leads.clear()
        await it.until(lambda: not it.alive(call), 120)
        assert [sent.refresh.method for sent in it.sent[1:]] == ["UPDATE", "INVITE"]


@in_virtual_time
async def test_a_leader_that_loses_its_asterisk_leaves_the_lead_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is well, and reaches the edge: only the way to Asterisk is cut, and only from its host."""
    async with world(tmp_path) as it:
        other, reading = await second(it, monkeypatch)
        calls = [it.call(f"call-{n}", Agreement(90, Side.LOCAL)) for n in range(5)]
        await it.until(lambda: all(it.is_tracked(call) for call in calls))
        await it.until(lambda: it.edge.leads["ast1"][0] != "another-host:8080")
        account, cut = it.tracker.ami.account, it.now
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            closed = nobody.getsockname()[1]
        it.tracker.ami.account = replace(account, port=closed)
        it.tracker.ami.reconnect("the way is cut")
        await it.until(lambda: other.trackers[0].driver.leading, 30)
        assert it.now - cut < 15
        await it.until(lambda: all(record.refreshes >= 1 for record in it.edge.records.values()), 90)
        # It is back, and the other one goes on leading.
        it.tracker.ami.account = account
        await it.until(lambda: it.tracker.ready, 60)
        await it.until(lambda: not it.tracker.driver.leading, 10)
        assert other.trackers[0].driver.leading
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await other.aclose()
