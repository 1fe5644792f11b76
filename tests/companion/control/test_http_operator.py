"""What operators see and ask for over HTTP: the page, the history of calls, holding back, hanging up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from session_timer_companion.http.page import page
from session_timer_companion.http.server import serve
from session_timer_companion.http.sockets import listening
from yarl import URL

from tests.companion.fakes.world import Agreement, Side, World, answers, world

OURS = Agreement(1800, Side.LOCAL)
THEIRS = Agreement(1800, Side.REMOTE)
ODD = "a/log?b%20c@198.18.0.40"
TOKEN = "a-token-of-these-tests"  # noqa: S105


@asynccontextmanager
async def served(it: World, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    assert it.companion is not None
    it.companion.configuration = replace(it.companion.configuration, http_token=token)
    with listening("127.0.0.1", 0) as doors:
        port = doors[0].getsockname()[1]
        async with (
            serve(it.companion, doors),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        ):
            yield http


def path(call_id: str, more: str = "") -> URL:
    return URL(f"/sessions/{quote(call_id, safe='')}{more}", encoded=True)


async def test_the_page_brings_all_of_itself_and_a_policy_that_lets_nothing_else_in(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http, http.get("/") as answer:
        text = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
        assert answer.content_type == "text/html"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert "://" not in text, "it asks nobody but us"
    assert not [way for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write") if way in text]
    assert page()[0].decode() == text


async def test_the_history_of_a_call_is_told_also_after_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        call = it.call(ODD, OURS)
        await it.until(lambda: it.is_tracked(call))
        async with http.post(path(ODD, "/refresh")) as answer:
            assert answer.status == 200
        async with http.get(path(ODD, "/log")) as answer:
            (told,) = await answer.json()
        assert (told["call_id"], told["ended"], told["numbers"]) == (ODD, None, "100 200")
        events = [event["event"] for event in told["events"]]
        assert events == ["armed", "refresh_asked_for", "refresh_confirmed"]
        assert told["events"][-1]["text"] == "The record shows the 2xx to our refresh."
        assert told["events"][-1]["details"] == {"method": "UPDATE"}
        assert all(0 <= event["ago"] < 30 for event in told["events"])
        assert (told["session"]["call_id"], told["session"]["refreshes"]) == (ODD, 1)
        it.asterisk.hangup(call)
        await it.until(lambda: not it.is_tracked(call))
        async with http.get(path(ODD, "/log")) as answer:
            (told,) = await answer.json()
        assert (told["why"], told["refreshes"], told["events"][-1]["event"]) == ("ended", 1, "call_untracked")
        assert told["session"] is None, "the page asks once, so that nothing can end between two questions"
        async with http.get(path(ODD)) as answer:
            assert answer.status == 404
        async with http.get(path("nobody", "/log")) as answer:
            assert answer.status == 404
            assert "nobody" in await answer.text()


async def test_the_overview_has_the_most_urgent_first_and_finds_by_any_word(tmp_path: Path) -> None:
    peers: list[dict[str, object]] = [
        {"name": "carrier-a", "match": {"name": ["carrier-a"]}, "session_timer": {}}
    ]
    async with world(tmp_path, peers=peers) as it, served(it) as http:
        it.call("call-late", THEIRS, peer="carrier-a")
        it.call("call-soon", Agreement(60, Side.LOCAL))
        await it.until(lambda: len(it.tracker.by_key) == 2)

        async def found(search: str, limit: int = 10) -> list[str]:
            async with http.get("/overview", params={"search": search, "limit": limit}) as answer:
                told = await answer.json()
                assert told["tracked"] == 2
                return [call["call_id"] for call in told["calls"]]

        assert await found("") == ["call-soon", "call-late"]
        assert await found("", 1) == ["call-soon"]
        assert await found("CARRIER-A 200") == ["call-late"]
        assert await found("default") == ["call-soon"]
        assert await found("call-soon 200") == ["call-soon"]
        assert await found("nobody") == []
        async with http.get("/overview?limit=0") as answer:
            assert answer.status == 400
            assert "limit" in await answer.text()


async def test_what_is_asked_for_a_call_is_done_and_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))

        async def post(where: str | URL) -> Any:
            async with http.post(where) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        async def held() -> str:
            async with http.get("/sessions") as answer:
                return str((await answer.json())[0]["held"])

        assert await post("/pause") == {"changed": True}
        assert "paused" in await held()
        async with http.get("/readyz") as answer:
            told = await answer.json()
            assert (told["paused"], told["excluded"], told["brake"]) == (True, 0, "off")
        async with http.get("/metrics") as answer:
            families = {each.name: each for each in text_string_to_metric_families(await answer.text())}
        assert families["session_timer_paused"].samples[0].value == 1
        assert await post("/resume") == {"changed": True}
        assert await post("/resume") == {"changed": False}
        (report,) = await post(path("call-1", "/exclude"))
        assert report["done"]
        assert "excluded" in await held()
        (report,) = await post(path("call-1", "/resume"))
        assert report["done"]
        assert await held() == ""
        (report,) = await post(path("call-1", "/hangup"))
        assert report["done"]
        await it.until(lambda: not it.alive(call))
        async with http.post(path("call-1", "/hangup")) as answer:
            assert answer.status == 404


async def test_resume_releases_the_brake(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        assert it.companion is not None
        it.companion.brake.on = True
        async with http.post("/resume") as answer:
            assert await answer.json() == {"changed": True}
        assert not it.companion.brake.on


async def test_a_peers_refreshes_are_reported_one_a_line(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        for n in range(3):
            it.call(f"call-{n}", OURS)
        await it.until(lambda: len(it.tracker.by_key) == 3)
        async with http.post("/peers/default/refresh?rate=50") as answer:
            reports = [json.loads(line) async for line in answer.content]
        assert sorted(report["call_id"] for report in reports) == ["call-0", "call-1", "call-2"]
        assert {report["outcome"] for report in reports} == {"confirmed"}
        for where, status in (("nobody/refresh", 404), ("default/refresh?rate=1000", 400)):
            async with http.post(f"/peers/{where}") as answer:
                assert answer.status == status


async def test_a_client_that_leaves_stops_a_peers_refreshes(tmp_path: Path) -> None:
    async with world(tmp_path) as it, served(it) as http:
        for n in range(40):
            it.call(f"call-{n}", OURS)
        await it.until(lambda: len(it.tracker.by_key) == 40)
        async with http.post("/peers/default/refresh?rate=10") as answer:
            await answer.content.readline()
            async with http.post("/peers/default/refresh?rate=10") as second:
                assert second.status == 409
        sent = -1
        while sent != len(it.sent):
            sent = len(it.sent)
            await asyncio.sleep(0.5)
        assert sent < 40


async def test_with_a_token_only_health_and_the_empty_page_are_open(tmp_path: Path) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with world(tmp_path) as it, served(it, TOKEN) as http:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        for where in ("/sessions", "/overview", "/metrics", path("call-1"), path("call-1", "/log")):
            async with http.get(where) as answer:
                assert answer.status == 401, where
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert "call-1" not in await answer.text()
            async with http.get(where, headers=bearer) as answer:
                assert answer.status == 200, where
        async with http.post("/pause") as answer:
            assert answer.status == 401
        assert it.companion is not None
        assert not it.companion.operator.holds.paused
        async with http.get("/readyz") as answer:
            assert await answer.json() == {"ready": True}
        async with http.get("/readyz", headers=bearer) as answer:
            assert (await answer.json())["asterisk"] == {"ast1": "ready"}


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_somebody_elses_page_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with world(tmp_path) as it, served(it) as http:
        assert it.companion is not None
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        for where in (
            "/pause",
            path("call-1", "/hangup"),
            path("call-1", "/refresh"),
            "/peers/default/refresh",
        ):
            async with http.post(where, headers=headers) as answer:
                assert answer.status in (403, 421), where
        assert not it.companion.operator.holds.paused
        assert it.alive(call)
        assert not it.refreshes(call)


async def test_a_refusal_is_counted_for_its_peer(tmp_path: Path) -> None:
    async with world(tmp_path, peer=answers(488)) as it, served(it) as http:
        call = it.call("call-1", OURS)
        await it.until(lambda: it.is_tracked(call))
        async with http.post(path("call-1", "/refresh")) as answer:
            assert (await answer.json())[0]["outcome"] == "refused"
        async with http.get("/overview") as answer:
            (peer,) = (await answer.json())["peers"]
        assert (peer["peer"], peer["calls"], peer["success"]) == ("default", 1, 0.0)
        assert peer["refreshes"] == {"refused": 1}
