"""The door as the companion uses it: what is asked, what each kind of reply means, and how silence shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from session_timer import Agreement, SharedKey, Side
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door
from session_timer_companion.edge.replies import Changes, Found, LeadWanted, Missing, Unreachable

from tests.companion.fakes.fake_edge import KEY, FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time

OURS = Agreement(1800, Side.LOCAL)
GOLDEN = (
    "v=2;interval=1800;refresher=local;one_sided=0;min_se=0;supports=1;update=1;refreshes=2;clock=edge-host;"
    "at=1234.500;last=local:3;local=asterisk-tag;peer=carrier-a;on_path=1;placed=remote;far=192.0.2.7;"
    "ours=UPDATE:3:1234.400:answered:200:1234.500::;earlier=local:2,remote:1"
)
"""A record as an edge of release 0.2.0 wrote it: not made by the code that reads it."""


@asynccontextmanager
async def asked(fake: FakeEdge, *, name: str = "", key: SharedKey = KEY) -> AsyncIterator[EdgeClient]:
    edge = EdgeClient(name or fake.name, Door(fake.address, key, 1.0))
    try:
        yield edge
    finally:
        await edge.close()


async def test_a_record_is_found_or_missing() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        written = fake.write("call;a;b", OURS)
        found, missing = await edge.records(["call;a;b", "other;a;b"])
        assert isinstance(found, Found)
        assert found.record == written or found.record.dialog == written.dialog
        assert missing == Missing()
        assert edge.up


async def test_a_golden_record_is_read_as_it_was_meant() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.texts["call;a;b"] = GOLDEN
        found = await edge.record("call;a;b")
        assert isinstance(found, Found)
        record = found.record
        assert record.dialog.agreement == OURS
        assert (record.refreshes, record.peer, record.far, record.on_path) == (
            2,
            "carrier-a",
            "192.0.2.7",
            True,
        )
        assert record.ours is not None
        assert (record.ours.method, record.ours.outcome, record.ours.code) == ("UPDATE", "answered", 200)


async def test_what_is_asked_for_in_one_moment_is_one_request() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        for n in range(30):
            fake.write(f"call-{n};a;b", OURS)
        replies = await asyncio.gather(*[edge.record(f"call-{n % 30};a;b") for n in range(90)])
        assert all(isinstance(reply, Found) for reply in replies)
        assert len(fake.asked_for) == 1


async def test_thousands_of_records_go_in_requests_that_the_edge_can_answer() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        keys = [f"call-{n}@a-carrier.example;tag-a;tag-b" for n in range(3000)]
        for key in keys:
            fake.write(key, OURS)
        replies = await edge.records(keys)
        assert sum(isinstance(reply, Found) for reply in replies) == 3000
        assert all(len(question["records"]) <= 100 for question in fake.asked_for)
        assert fake.connections <= 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("v=99;interval=0", "version '99'"),
        ("rubbish", "version None"),
        (GOLDEN.replace("1800", "soon"), "no record"),
        ("", "version None"),
    ],
)
async def test_a_text_that_is_no_record_says_nothing_of_the_call(text: str, reason: str) -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.texts["call;a;b"] = text
        reply = await edge.record("call;a;b")
        assert isinstance(reply, Unreachable)
        assert reason in reply.reason
        assert edge.up


async def test_another_key_opens_no_door() -> None:
    async with FakeEdge() as fake, asked(fake, key=SharedKey.parse("x" * 40)) as edge:
        fake.write("call;a;b", OURS)
        reply = await edge.record("call;a;b")
        assert isinstance(reply, Unreachable)
        assert "another key" in reply.reason
        assert edge.up is False
        assert not fake.asked_for


async def test_an_edge_of_another_name_is_not_believed() -> None:
    async with FakeEdge("edge-2") as fake, asked(fake, name="edge-1") as edge:
        fake.write("call;a;b", OURS)
        reply = await edge.record("call;a;b")
        assert isinstance(reply, Unreachable)
        assert "'edge-2'" in reply.reason
        assert not edge.clocks.names


@asynccontextmanager
async def saying(*pieces: bytes) -> AsyncIterator[int]:
    """Something else than an edge, at the port that this gives: it says these bytes to each request."""
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*[task for task in serving if task is not None])


BAD: list[tuple[bytes, str]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope", "not JSON"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "another version"),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"v":9}', "another version"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, "not JSON"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "no door there"),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nfull", "500: full"),
    (b"SIP/2.0 400 Bad\r\n\r\n", ""),
    (b"", ""),
]


@pytest.mark.parametrize(("bytes_", "reason"), BAD)
async def test_whatever_answers_there_is_no_exception(bytes_: bytes, reason: str) -> None:
    async with saying(bytes_) as port:
        edge = EdgeClient("edge", Door(f"http://127.0.0.1:{port}", KEY, 1.0))
        reply = await edge.record("call;a;b")
        assert isinstance(reply, Unreachable)
        assert reason in reply.reason
        assert isinstance(await edge.changes(), Unreachable)
        assert await edge.lead(LeadWanted("ast1", "me", 6)) is None
        await edge.close()


async def test_a_reply_that_points_elsewhere_is_not_followed() -> None:
    """Edges are asked at the addresses of the configuration, and the key goes nowhere else."""
    async with FakeEdge() as elsewhere:
        redirect = (
            f"HTTP/1.1 307 Gone\r\nLocation: {elsewhere.address}/session-timer\r\nContent-Length: 0\r\n\r\n"
        )
        async with saying(redirect.encode()) as port:
            edge = EdgeClient("edge", Door(f"http://127.0.0.1:{port}", KEY, 1.0))
            reply = await edge.record("call;a;b")
            await edge.close()
        assert isinstance(reply, Unreachable)
        assert "307" in reply.reason
        assert elsewhere.connections == 0


REPLIES: list[Callable[[dict[str, Any]], Any]] = [
    lambda reply: reply | {"clock": "now"},
    lambda reply: reply | {"clock": {"name": 1, "now": "x"}},
    lambda reply: reply | {"clock": {"name": "c", "now": True}},
    lambda reply: reply | {"clocks": [1], "stats": 4, "changes": ["x"], "more": {"a": 1}},
    lambda reply: reply | {"clocks": {"a": "b", "c": 10**400}, "changes": {"k": 1}, "stats": {"faults": "x"}},
    lambda reply: reply | {"records": "none"},
    lambda reply: reply | {"records": {"call;a;b": 4}},
    lambda reply: reply | {"records": {}, "more": ["call;a;b"]},
]


@pytest.mark.parametrize("twisted", REPLIES)
async def test_a_reply_that_is_not_what_was_agreed_says_nothing(
    twisted: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.write("call;a;b", OURS)
        real = Door.ask

        async def ask(door: Door, question: dict[str, Any], tries: int = 2) -> dict[str, Any]:
            reply = await real(door, question, tries)
            twist: dict[str, Any] = twisted(reply)
            return twist

        monkeypatch.setattr(Door, "ask", ask)
        reply = await edge.record("call;a;b")
        assert isinstance(reply, Found | Unreachable)
        assert isinstance(await edge.changes(), Changes)


@in_virtual_time
async def test_silence_is_told_after_its_time_and_the_next_reply_is_taken() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.write("call;a;b", OURS)
        fake.silent = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await edge.record("call;a;b")
        assert reply == Unreachable("edge edge: no reply within 1 s")
        assert 1.9 < loop.time() - began < 2.5  # twice
        assert (edge.up, edge.losses) == (False, 1)
        began = loop.time()
        await edge.record("call;a;b")
        assert loop.time() - began < 1.5  # once, where nobody replied last time
        fake.silent = False
        assert isinstance(await edge.record("call;a;b"), Found)
        assert edge.up


@in_virtual_time
async def test_thousands_of_calls_do_not_wait_for_an_edge_that_is_away() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.silent = True
        await edge.changes()
        loop = asyncio.get_running_loop()
        began = loop.time()
        replies = await edge.records([f"call-{n};a;b" for n in range(5000)])
        assert all(isinstance(reply, Unreachable) for reply in replies)
        assert loop.time() - began < 5


@in_virtual_time
async def test_a_connection_that_the_edge_closed_meanwhile_costs_nothing() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        fake.write("call;a;b", OURS)
        assert isinstance(await edge.record("call;a;b"), Found)
        await fake.stop()
        await fake.start()
        assert isinstance(await edge.record("call;a;b"), Found)
        assert edge.losses == 0


async def test_a_hosts_name_is_resolved_again_after_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge has moved to another address."""
    async with FakeEdge() as old:
        new = FakeEdge(port=old.port)
        resolved: list[str] = []
        place = ["127.0.0.1"]

        async def resolve(_self: object, host: str, port: int = 0, **_: Any) -> list[Any]:
            resolved.append(host)
            told = {"hostname": host, "host": place[0], "port": port}
            return [told | {"family": socket.AF_INET, "proto": 0, "flags": 0}]

        monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
        edge = EdgeClient("edge", Door(f"http://edge.example:{old.port}", KEY, 0.2))
        assert isinstance(await edge.record("call;a;b"), Missing)
        await old.stop()
        assert isinstance(await edge.record("call;a;b"), Unreachable)
        place[0] = "127.0.0.2"
        new._server = await asyncio.start_server(new._serve, "127.0.0.2", old.port)
        assert isinstance(await edge.record("call;a;b"), Missing)
        assert len(resolved) >= 2
        await edge.close()
        await new.stop()


async def test_the_clock_comes_with_each_reply() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        await edge.record("x;a;b")
        ours = edge.clocks.ours("edge-host", fake.now)
        assert ours is not None
        assert abs(ours - asyncio.get_running_loop().time()) < 0.1
        fake.clocks["other-host"] = 77.0
        await edge.changes()
        assert set(edge.clocks.names) == {"edge-host", "other-host"}


@in_virtual_time
async def test_a_host_that_stood_still_shows_in_the_edges_clock() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        await edge.record("x;a;b")
        fake.ahead += 1.0
        await edge.record("x;a;b")
        assert edge.paused == 0
        fake.ahead += 300.0
        await edge.record("x;a;b")
        assert edge.paused == pytest.approx(300, abs=1)


async def test_changes_come_with_what_the_edge_says_of_itself() -> None:
    async with FakeEdge(digest="d") as fake, asked(fake) as edge:
        fake.write("call;a;b", OURS)
        fake.refresh("call;a;b", Agreement(900, Side.REMOTE))
        found = await edge.changes()
        assert isinstance(found, Changes)
        assert found.records["call;a;b"].dialog.agreement == Agreement(900, Side.REMOTE)
        assert found.facts is not None
        assert (found.facts.clock, found.facts.digest) == ("edge-host", "d")
        assert found.facts.stats["faults"] == 0


async def test_the_lead_is_taken_renewed_and_given_up() -> None:
    async with FakeEdge() as fake, asked(fake) as edge:
        assert await edge.lead(LeadWanted("ast1", "one", 6)) == "one"
        assert await edge.lead(LeadWanted("ast1", "two", 6)) == "one"
        assert await edge.lead(LeadWanted("ast2", "two", 6)) == "two"
        assert await edge.lead(LeadWanted("ast1", "one", 0)) is None
        assert await edge.lead(LeadWanted("ast1", "two", 6)) == "two"


async def test_a_door_behind_tls_needs_the_cas_certificate(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Door("https://edge.example:5061", KEY, 1.0, str(tmp_path / "ca.pem"))


async def test_a_reply_that_comes_in_pieces_is_read_to_its_end() -> None:
    """30,000 bytes are many segments on a real network."""
    reply = {"v": 1, "edge": "edge", "records": {"call;a;b": GOLDEN}, "filler": "x" * 20_000}
    body = json.dumps(reply).encode()

    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    pieces = [body[start : start + 1460] for start in range(0, len(body), 1460)]
    async with saying(head, *pieces) as port:
        edge = EdgeClient("edge", Door(f"http://127.0.0.1:{port}", KEY, 5.0))
        assert isinstance(await edge.record("call;a;b"), Found)
        await edge.close()
