"""What the companion shows over HTTP, and the refresh that may be asked for there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from session_timer_companion.api import ShownSession
from session_timer_companion.http import server as http_module
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening
from session_timer_companion.http.views import shown
from session_timer_companion.timers import manual_refresh
from session_timer_companion.timers.tracked_call import TrackedCall
from yarl import URL

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.fake_edge import FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import (
    Agreement,
    Peer,
    Side,
    World,
    answers,
    key,
    silence,
    swallowed_updates,
    world,
)

OURS = Agreement(1800, Side.LOCAL)
THEIRS = Agreement(1800, Side.REMOTE)
ODD = "a/b?c%20d@198.18.0.40"


MANY = 2_000


@asynccontextmanager
async def served(it: World) -> AsyncIterator[aiohttp.ClientSession]:
    assert it.companion is not None
    with listening("127.0.0.1", 0) as doors:
        port = doors[0].getsockname()[1]
        async with (
            serve(it.companion, doors),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            yield http


def path(call_id: str, more: str = "") -> URL:
    return URL(f"/sessions/{quote(call_id, safe='')}{more}", encoded=True)


async def test_a_call_is_shown_whatever_its_call_id(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call(ODD, OURS)
        it.call("other", THEIRS)
        await it.until(lambda: len(it.tracker.by_key) == 2)
        async with served(it) as http:
            async with http.get(path(ODD)) as answer:
                (shown,) = await answer.json()
            assert shown["call_id"] == ODD
            assert shown["channel"] == call.name
            assert (shown["state"], shown["refresher"], shown["last"]) == ("ours", "local", "")
            assert 0 < shown["due"] <= 900 < shown["deadline"] < 1800
            async with http.get(path("nobody")) as answer:
                assert answer.status == 404
                assert "nobody" in await answer.text()


@pytest.mark.parametrize(
    "page", ["/", "/overview", "/sessions", "/sessions/call-1", "/metrics", "/healthz", "/readyz"]
)
async def test_the_head_of_a_page_has_no_body(tmp_path: Path, page: str) -> None:
    """What followed would be taken for the answer to the next request of that connection."""
    async with world(tmp_path) as it:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        with listening("127.0.0.1", 0) as doors:
            async with serve(it.companion, doors):
                reader, writer = await asyncio.open_connection(*doors[0].getsockname())
                writer.write(f"HEAD {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_many_calls_are_told_of_in_pieces_between_which_others_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, told = 0, Counter[int]()

    async def count_turns() -> None:
        nonlocal driver
        while True:
            driver += 1
            await asyncio.sleep(0)

    def counted(asterisk: str, tracked: TrackedCall, now: float, held: str) -> ShownSession:
        told[driver] += 1
        return shown(asterisk, tracked, now, held)

    monkeypatch.setattr(http_module, "shown", counted)
    async with world(tmp_path) as it:
        call = it.call("call-0", OURS)
        await it.until(lambda: it.is_tracked(call))
        one = it.tracked(call)
        for n in range(1, MANY):
            key = f"call-{n};a;b"
            it.tracker.by_key[key] = replace(one, key=key, wake=None)
        counting = asyncio.create_task(count_turns())
        async with served(it) as http, http.get("/sessions") as answer:
            assert answer.content_type == "application/json"
            found = await answer.json()
        counting.cancel()
    assert {each["call_id"] for each in found} == {f"call-{n}" for n in range(MANY)}
    assert told.total() == MANY
    assert max(told.values()) <= http_module.AT_A_TIME


async def test_a_refresh_by_hand_is_confirmed_by_the_record_and_moves_the_deadline(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        call = it.call(ODD, OURS, age=600.0)
        await it.start()
        before = it.tracked(call).current_session().deadline
        assert before is not None
        async with served(it) as http, http.post(path(ODD, "/refresh")) as answer:
            (report,) = await answer.json()
        assert (report["outcome"], report["method"]) == ("confirmed", "UPDATE")
        assert len(it.refreshes(call)) == 1
        deadline = it.tracked(call).current_session().deadline
        assert deadline is not None
        assert deadline > before + 500


@pytest.mark.parametrize(
    ("peer", "outcome", "reason"),
    [(answers(488), "refused", "488"), (silence(), "unknown", "under_way")],
)
@in_virtual_time
async def test_a_refresh_that_fails_says_how(tmp_path: Path, peer: Peer, outcome: str, reason: str) -> None:
    async with world(tmp_path, peer=peer) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert report["outcome"] == outcome
        assert reason in report["reason"]


@in_virtual_time
async def test_a_failure_of_the_peers_own_refresh_is_none_of_ours(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))

        def crossing(_world: World, _channel: Channel, _refresh: Refresh) -> None:
            it.edge.asked(key(call), "UPDATE", Side.REMOTE)
            it.edge.fail(key(call), 488, side=Side.REMOTE)
            asyncio.get_running_loop().call_later(1.0, it.edge.refresh, key(call))

        it.peer = crossing
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert report["outcome"] == "confirmed"


@in_virtual_time
async def test_a_refresh_by_hand_is_confirmed_by_another_edges_copy(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it, FakeEdge("other") as other:
        it.edges = [
            {"name": "edge", "door": it.edge.address, "stand_ins": ["other"]},
            {"name": "other", "door": other.address},
        ]
        call = it.call("call-1", OURS)
        other.records = it.edge.records
        await it.start()
        await it.until(lambda: it.is_tracked(call))
        assert it.companion is not None
        # Its own edge falls silent right after the refresh has left.
        sent = it.asterisk.on_refresh

        def and_silence(channel: Channel, refresh: Refresh) -> int:
            it.edge.silent = True
            return sent(channel, refresh)

        it.asterisk.on_refresh = and_silence
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert report["outcome"] == "confirmed"
        # While the edge is known to be down, Asterisk would end the call for one.
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert (report["outcome"], "edge edge is down" in report["reason"]) == ("not_sent", True)


@in_virtual_time
async def test_a_refresh_by_hand_is_confirmed_by_a_record_that_starts_anew(tmp_path: Path) -> None:
    async with world(tmp_path, start=False) as it:
        call = it.call("call-1", OURS, age=600.0)
        await it.start()

        def forgetful(_world: World, channel: Channel, _refresh: Refresh) -> None:
            it.edge.write(key(channel), OURS)

        it.peer = forgetful
        report = await manual_refresh.refresh(it.tracker, it.tracked(call))
        assert report["outcome"] == "confirmed"


async def test_a_web_page_cannot_ask_for_a_refresh(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with (
            served(it) as http,
            http.post(path("call-1", "/refresh"), headers={"Origin": "http://elsewhere.example"}) as answer,
        ):
            assert answer.status == 403
        assert not it.refreshes(call)


async def test_readiness_has_one_entry_for_each_dependency(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        async with http.get("/readyz") as answer:
            assert answer.status == 200
            report = await answer.json()
        assert report["asterisk"] == {"ast1": "ready"}
        assert report["edge"] == {"edge": "ready"}
        assert report["role"] == {"ast1": "leading"}
        assert report["brake"] == "off"
        await it.asterisk.stop()
        await it.until(lambda: not it.tracker.ready)
        async with http.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["asterisk"]["ast1"] != "ready"


async def test_metrics_count_sessions_by_state_and_name_no_call(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.call("call-1", OURS)
        it.call("call-2", THEIRS)
        it.call("call-3", None)
        await it.until(lambda: len(it.tracker.by_key) == 3)
        async with served(it) as http, http.get("/metrics") as answer:
            text = await answer.text()
    assert "call-1" not in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        (sample.labels["refresher"], sample.labels["state"]): sample.value
        for sample in families["session_timer_sessions"].samples
    }
    assert counted == {("local", "ours"): 1, ("remote", "theirs"): 1, ("none", "off"): 1}
    assert families["session_timer_ami_up"].samples[0].value == 1
    assert families["session_timer_ami_logins"].samples[0].value == 1
    assert families["session_timer_edge_up"].samples[0].value == 1


@in_virtual_time
async def test_a_refresh_counts_as_swallowed_only_where_none_passed_the_edge(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        swallowed = it.companion.metrics.swallowed.labels("default", "UPDATE")
        it.peer = silence()
        dead = it.call("dead", Agreement(12, Side.LOCAL))
        await it.until(lambda: not it.alive(dead))
        assert swallowed._value.get() == 0
        it.peer = swallowed_updates
        alive = it.call("alive", Agreement(12, Side.LOCAL))
        await it.until(lambda: it.is_tracked(alive) and it.confirmed(alive) == 1)
        assert swallowed._value.get() == 1


async def test_an_operator_releases_the_brake_and_a_web_page_does_not(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        assert it.companion is not None
        it.companion.brake.on = True
        async with http.get("/readyz") as answer:
            assert (await answer.json())["brake"] == "on"
        async with http.post("/resume", headers={"Origin": "http://elsewhere.example"}) as answer:
            assert answer.status == 403
        assert it.companion.brake.on
        async with http.post("/resume") as answer:
            assert await answer.json() == {"changed": True}
        assert not it.companion.brake.on
