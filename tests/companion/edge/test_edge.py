"""Asking an edge: every answer and every silence has its meaning, and none is an exception."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from session_timer import Agreement, Side
from session_timer_companion.edge.client import Changes, EdgeClient, Found, Missing, Unreachable
from session_timer_companion.edge.pool import EdgePool

from tests.companion.fakes.fake_edge import FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time

OURS = Agreement(1800, Side.LOCAL)


async def test_a_record_is_found_or_missing() -> None:
    async with FakeEdge() as kamailio:
        written = kamailio.write('odd "call";id;a;b', OURS)
        edge = EdgeClient(kamailio.address)
        assert edge.up is None
        found = await edge.record('odd "call";id;a;b')
        assert isinstance(found, Found)
        assert found.record.dialog == written.dialog
        assert await edge.record("no;a;b") == Missing()
        assert edge.up is True
        edge.close()


async def test_many_records_come_back_in_the_order_asked() -> None:
    async with FakeEdge() as kamailio:
        for number in range(0, 300, 2):
            kamailio.write(f"call-{number};a;b", Agreement(1000 + number, Side.REMOTE))
        edge = EdgeClient(kamailio.address, timeout=5)
        answers = await edge.records([f"call-{number};a;b" for number in range(300)])
        for number, answer in enumerate(answers):
            if number % 2:
                assert answer == Missing()
            else:
                assert isinstance(answer, Found)
                assert answer.record.dialog.agreement == Agreement(1000 + number, Side.REMOTE)
        edge.close()


async def test_a_datagram_that_got_lost_is_asked_for_again() -> None:
    async with FakeEdge() as kamailio:
        kamailio.write("call;a;b", OURS)
        kamailio.silent = True

        def come_back(_method: str, _params: list[str]) -> None:
            kamailio.silent = len(kamailio.asked) < 2

        kamailio.on_request = come_back
        edge = EdgeClient(kamailio.address, timeout=0.2)
        assert isinstance(await edge.record("call;a;b"), Found)
        assert len(kamailio.asked) == 2
        edge.close()


@in_virtual_time
async def test_silence_is_unreachable_and_is_counted() -> None:
    async with FakeEdge() as kamailio:
        kamailio.silent = True
        edge = EdgeClient(kamailio.address)
        answer = await edge.record("call;a;b")
        assert isinstance(answer, Unreachable)
        assert answer.reason == f"edge {kamailio.address}: no answer within 1 s"
        assert (edge.up, edge.losses) == (False, 1)
        edge.close()


@in_virtual_time
async def test_an_edge_that_is_away_keeps_thousands_of_calls_waiting_no_longer_than_one() -> None:
    async with FakeEdge() as kamailio:
        kamailio.silent = True
        edge = EdgeClient(kamailio.address)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await edge.records([f"call-{number};a;b" for number in range(2000)])
        assert loop.time() - began < 2.5
        assert len(answers) == 2000
        assert all(isinstance(answer, Unreachable) for answer in answers)
        asked = len(kamailio.asked)
        await edge.record("call-1;a;b")
        assert len(kamailio.asked) == asked + 1  # once, not twice, while it is away
        kamailio.silent = False
        assert await edge.record("call-1;a;b") == Missing()
        edge.close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("udp:127.0.0.1:9", "Connection refused"),
        ("udp:no-such-host.invalid:9", "no-such-host|Name|name|resolution"),
        ("udp:no..host:9", "label|encod"),
        ("unix:/nowhere/rpc.sock", "No such file"),
    ],
)
async def test_nobody_there_is_unreachable(address: str, reason: str) -> None:
    edge = EdgeClient(address, timeout=0.5)
    answer = await edge.record("call;a;b")
    assert isinstance(answer, Unreachable)
    assert any(word in answer.reason for word in reason.split("|")), answer.reason
    assert edge.up is False
    edge.close()


class Says(asyncio.DatagramProtocol):
    """Answers everything with the same text; `{id}` in it becomes the request's id."""

    def __init__(self, text: str) -> None:
        self._text = text

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number = json.loads(data)["id"]
        self._transport.sendto(self._text.replace("{id}", str(number)).encode(), addr)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('nonsense "id": {id}}', "not JSON"),
        ('["id",{"id":{id}}', "not JSON"),
        ('{"result":{},"id":{id}}', "without item.value"),
        ('{"result":{"item":{"value":7}},"id":{id}}', "without item.value"),
        ('{"result":{"item":{"value":"v=99"}},"id":{id}}', "version '99'"),
        ('{"error":{"code":500,"message":"No such htable"},"id":{id}}', "No such htable"),
        ('{"error":"broken","id":{id}}', "broken"),
        ('{"result":{},"id":99999}', "no answer"),
        ("", "no answer"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_unreachable(text: str, reason: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Says(text), local_addr=("127.0.0.1", 0))
    edge = EdgeClient(f"udp:127.0.0.1:{transport.get_extra_info('sockname')[1]}", timeout=0.2)
    answer = await edge.record("call;a;b")
    assert isinstance(answer, Unreachable)
    assert reason in answer.reason
    edge.close()
    transport.close()


async def test_kamailios_unix_socket_can_answer_us_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "kamailio_rpc.sock"
    kamailio = FakeEdge()
    kamailio.write("call;a;b", OURS)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        edge = EdgeClient(f"unix:{path}")
        asking = asyncio.create_task(edge.record("call;a;b"))
        data, answered_to = await loop.run_in_executor(None, _receive, server)
        reply = kamailio.answer(data)
        assert reply is not None
        server.sendto(reply, answered_to)
        assert isinstance(await asking, Found)
        ours = Path(answered_to)
        assert ours.exists()
        edge.close()
        assert not ours.exists()
        assert not ours.parent.exists()


class Kamailio(threading.Thread):
    """Answers at a unix socket as Kamailio does, until it is killed; the socket's file is what it leaves."""

    def __init__(self, path: Path, tables: FakeEdge) -> None:
        super().__init__(daemon=True)
        path.unlink(missing_ok=True)
        self._tables = tables
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.start()

    def run(self) -> None:
        while (data := self._socket.recvfrom(65536))[0] != b"die":
            reply = self._tables.answer(data[0])
            if reply is not None:
                self._socket.sendto(reply, data[1])
        self._socket.close()

    def kill(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"die", self._socket.getsockname())
        self.join()


async def test_kamailio_is_found_again_at_its_unix_socket_after_each_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ours = tmp_path / "kamailio_rpc.sock", tmp_path / "ours"
    ours.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(ours))
    tables = FakeEdge()
    edge = EdgeClient(f"unix:{path}", timeout=5)
    tables.write("call;a;b", OURS)
    for _ in range(3):
        kamailio = Kamailio(path, tables)
        assert isinstance(await edge.record("call;a;b"), Found)
        kamailio.kill()
        for _ in range(3):  # while it is away, and its file is still there
            assert isinstance(await edge.record("call;a;b"), Unreachable)
    path.unlink()
    assert isinstance(await edge.record("call;a;b"), Unreachable)
    assert list(ours.iterdir()) == []
    edge.close()


async def test_an_edge_that_others_took_over_is_asked_at_its_new_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name means another host after a failover; the old one answers that nobody listens there."""
    loop = asyncio.get_running_loop()
    async with FakeEdge() as one, FakeEdge() as other:
        hosts = [one.port, other.port]

        async def getaddrinfo(*_args: object, **_more: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", hosts[0]))]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        edge = EdgeClient("udp:edge.example:8090", timeout=1)
        assert await edge.record("call;a;b") == Missing()
        one.stop()
        del hosts[0]
        await edge.record("call;a;b")
        assert await edge.record("call;a;b") == Missing()
        edge.close()


async def test_a_unix_socket_of_another_user_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_datagram_endpoint", refused)
    answer = await EdgeClient(f"unix:{tmp_path / 'rpc'}").record("call;a;b")
    assert isinstance(answer, Unreachable)
    assert "Permission denied" in answer.reason
    assert "SupplementaryGroups=" in answer.reason


def _receive(server: socket.socket) -> tuple[bytes, str]:
    server.settimeout(5)
    data, address = server.recvfrom(65536)
    return data, str(address)


STRANGE_LISTS = [
    '[{"slot":["name",7,null,{"name":"call;a;b","value":"v=1"}]},"slot",7]',
    '[{"slot":7},{"slot":{"name":"call;a;b"}},{"slot":[{"name":["a"],"value":{}}]}]',
    '{"slot":[]}',
    "null",
]


@pytest.mark.parametrize("listed", STRANGE_LISTS)
async def test_a_list_of_changes_of_another_make_is_empty(listed: str) -> None:
    loop = asyncio.get_running_loop()
    says = Says('{"result":' + listed + ',"id":{id}}')
    transport, _ = await loop.create_datagram_endpoint(lambda: says, local_addr=("127.0.0.1", 0))
    edge = EdgeClient(f"udp:127.0.0.1:{transport.get_extra_info('sockname')[1]}", timeout=0.2)
    assert await edge.changes() == Changes({}, {})
    edge.close()
    transport.close()


async def test_the_list_of_changes_is_read_and_strange_entries_are_passed_over() -> None:
    async with FakeEdge() as kamailio:
        record = kamailio.write("call;a;b", OURS)
        kamailio.changes = {"call;a;b": record.encode(), "strange": "v=99", "clock;other": "soon"}
        edge = EdgeClient(kamailio.address)
        changes = await edge.changes()
        assert isinstance(changes, Changes)
        assert set(changes.records) == {"call;a;b"}
        assert set(changes.clocks) == {"edge-host"}
        assert await edge.clock("edge-host") == changes.clocks["edge-host"]
        assert await edge.clock("nobody") is None
        edge.close()


@in_virtual_time
async def test_a_copy_at_another_edge_counts_and_its_ignorance_does_not() -> None:
    async with FakeEdge() as one, FakeEdge() as other:
        other.write("copied;a;b", OURS)
        one.silent = True
        edges = EdgePool(one.address)
        edges.at(other.address)
        copied, unknown = await edges.records(edges.at(one.address), ["copied;a;b", "unknown;a;b"])
        assert isinstance(copied, Found)
        assert isinstance(unknown, Unreachable)
        assert await edges.records(None, ["x"]) == [Unreachable("no edge")]
        edges.close()


@in_virtual_time
async def test_an_edge_that_is_first_named_while_others_are_asked_disturbs_nothing() -> None:
    async with FakeEdge() as one, FakeEdge() as other:
        other.write("copied;a;b", OURS)
        one.silent = True
        edges = EdgePool(one.address)
        edges.at(other.address)
        other.on_request = lambda *_: edges.at("udp:127.0.0.1:9")
        copied, unknown = await edges.records(edges.at(one.address), ["copied;a;b", "unknown;a;b"])
        assert isinstance(copied, Found)
        assert isinstance(unknown, Unreachable)
        edges.close()


async def test_a_call_that_names_no_edge_or_a_strange_one_is_asked_of_the_configured() -> None:
    edges = EdgePool("udp:198.18.0.10:8090")
    for address in ("", "http://example.org/", "udp:nowhere", "unix:relative", "udp:198.18.0.10:70000"):
        assert edges.at(address) is edges.at("udp:198.18.0.10:8090")
        assert EdgePool().at(address) is None
    assert edges.at("udp:198.18.0.11:8090") is not edges.at("udp:198.18.0.10:8090")
    assert [edge.address for edge in edges.all()] == ["udp:198.18.0.10:8090", "udp:198.18.0.11:8090"]
