"""An edge that is dead and one whose door alone is silent: what tells them apart, and what does not."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

import pytest
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door
from session_timer_companion.edge.host import Host, Seen
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.presence import LATE, SERVED, DoorSeen, Presence

from tests.companion.fakes.fake_edge import KEY, FakeEdge
from tests.companion.fakes.virtual_time import in_virtual_time

REPLIED, REFUSED, UNREACHABLE, WRONG = DoorSeen
THERE, SILENT, UNKNOWN = Seen


def after(*seen: DoorSeen | Seen, now: float = 0.0) -> Presence:
    """What is known after questions at the door and looks at the host, one after the other."""
    presence = Presence()
    for each in seen:
        presence = presence.looked(each) if isinstance(each, Seen) else presence.asked(each, now)
    return presence


@pytest.mark.parametrize(
    ("seen", "down"),
    [
        ((), False),
        ((REPLIED,), False),
        ((REPLIED, REFUSED), True),
        ((REPLIED, REFUSED, THERE), True),
        ((REPLIED, UNREACHABLE), True),
        ((REPLIED, UNREACHABLE, SILENT), True),
        ((REPLIED, UNREACHABLE, THERE), False),  # a firewall that says no
        ((REPLIED, WRONG), False),
        ((REPLIED, THERE, WRONG), False),
        ((REPLIED, THERE, WRONG, THERE), False),
        ((REPLIED, THERE, WRONG, UNKNOWN), False),
        ((REPLIED, THERE, WRONG, SILENT), True),
        ((REPLIED, THERE, UNKNOWN, WRONG, SILENT), True),
        ((REPLIED, SILENT, WRONG, SILENT), False),  # a host that never says anything shows nothing
        ((REPLIED, THERE, SILENT, WRONG, SILENT), False),
        ((REPLIED, THERE, WRONG, SILENT, REPLIED, WRONG), False),
        ((REPLIED, REFUSED, WRONG), False),
        ((REPLIED, REFUSED, REPLIED), False),
        ((REFUSED,), False),  # nobody knows whether that is the edge's address
        ((UNREACHABLE,), False),
        ((WRONG, SILENT), False),
    ],
)
def test_what_is_known_of_an_edge(seen: Sequence[DoorSeen | Seen], down: bool) -> None:
    assert after(*seen).is_down(100.0) is down


@pytest.mark.parametrize(
    ("called", "now", "down"),
    [
        (LATE, 20.0, True),  # told of late: it may have come before
        (LATE + 1, 20.0, False),
        (LATE + 1, LATE + 1 + SERVED - 1, False),
        (LATE + 1, LATE + 1 + SERVED, True),
    ],
)
def test_a_call_that_comes_through_it_shows_that_it_serves(called: float, now: float, down: bool) -> None:
    lost = after(REPLIED, REFUSED).asked(WRONG, 5.0).asked(REFUSED, 6.0)
    assert lost.served(called).is_down(now) is down


async def test_a_host_refuses_takes_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await Host("http://127.0.0.1:5060").look() is THERE
    assert await Host("https://[::1]:5061").look() in (THERE, UNKNOWN)  # there may be no IPv6
    with socket.create_server(("127.0.0.1", 0)) as taking:
        monkeypatch.setattr("session_timer_companion.edge.host.PORT", taking.getsockname()[1])
        assert await Host("http://127.0.0.1:5060").look() is THERE

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    assert await Host("http://127.0.0.1:5060", 0.01).look() is SILENT


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), SILENT),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), UNKNOWN),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), UNKNOWN),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), THERE),
    ],
)
async def test_what_the_network_says_of_a_host(
    monkeypatch: pytest.MonkeyPatch, error: OSError, seen: Seen
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(asyncio, "open_connection", fails)
    assert await Host("http://192.0.2.1:5060").look() is seen


async def test_a_door_that_nobody_serves_any_more_is_a_dead_edge() -> None:
    async with FakeEdge() as fake:
        edge = EdgeClient(fake.name, Door(fake.address, KEY, 1.0))
        assert await edge.table() is None
        assert edge.up
        await fake.stop()
        await edge.look()
        assert (edge.up, edge.is_down) == (False, True)
        fake.silent = True
        await fake.start()
        await edge.look()
        assert (edge.up, edge.is_down) == (False, False)
        fake.silent = False
        await edge.look()
        assert (edge.up, edge.is_down) == (True, False)
        await edge.close()


async def test_an_address_that_never_was_an_edges_shows_nothing() -> None:
    async with FakeEdge() as fake:
        address = fake.address
    edge = EdgeClient("edge", Door(address, KEY, 1.0))
    await edge.look()
    assert (edge.up, edge.is_down) == (False, False)
    await edge.close()


async def test_another_edge_at_its_address_shows_nothing() -> None:
    async with FakeEdge() as fake:
        edge = EdgeClient(fake.name, Door(fake.address, KEY, 1.0))
        await edge.look()
        fake.name = "another"
        await edge.look()
        assert (edge.up, edge.is_down) == (False, False)
        await edge.close()


async def test_one_with_a_stand_in_that_replies_is_not_taken_for_down() -> None:
    """The address that calls use may be the other one's by now."""
    async with FakeEdge() as fake, FakeEdge("other") as other:
        edges = [
            EdgeClient(fake.name, Door(fake.address, KEY, 1.0), ["other"]),
            EdgeClient(other.name, Door(other.address, KEY, 1.0)),
        ]
        pool = EdgePool(edges)
        for edge in edges:
            await edge.look()
        await fake.stop()
        await edges[0].look()
        assert edges[0].is_down
        assert not pool.is_down(edges[0])
        await other.stop()
        await edges[1].look()
        assert pool.is_down(edges[0])
        await pool.close()


class Watched(Host):
    """A host that says what it is told to, and counts the looks."""

    def __init__(self, *says: Seen) -> None:
        super().__init__("http://192.0.2.1:5060")
        self.says = list(says)
        self.looks = 0

    async def look(self) -> Seen:
        self.looks += 1
        return self.says[0]


@in_virtual_time
async def test_a_host_is_looked_at_each_minute_and_at_once_where_that_may_tell_more() -> None:
    async with FakeEdge() as fake:
        host = Watched(THERE)
        edge = EdgeClient(fake.name, Door(fake.address, KEY, 1.0), host=host)
        fake.silent = True
        await edge.look()
        await asyncio.sleep(1)
        fake.silent = False
        for _ in range(61):
            await edge.look()
            await asyncio.sleep(2)
        assert 3 <= host.looks <= 5, "once while silent, then when it first replied, and each minute"
        fake.silent = True
        host.says = [SILENT]
        await edge.look()
        await asyncio.sleep(1)
        assert edge.is_down
        host.says = [THERE]
        await edge.look()
        await asyncio.sleep(1)
        assert not edge.is_down
        await edge.close()
