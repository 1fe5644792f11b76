"""An edge as far as the companion sees it: Kamailio's JSON-RPC over UDP, and the tables behind it.

    async with FakeEdge() as edge:
        edge.write(key, agreement)          # what the 2xx of the INVITE leaves behind
        edge.refresh(key)                   # a later 2xx
        edge.fail(key, 491)                 # a refusal of our refresh

It answers as Kamailio 6.0 was seen to, misbehaves on demand, and its clock is not the companion's.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from session_timer import Agreement, DialogTimer, Failure, Record, Side

CLOCK_AHEAD = 5_000.25
"""Seconds: the edge's host booted earlier than ours."""


@dataclass(eq=False)
class FakeEdge:
    """Started by `async with`; every attribute may be changed at any time."""

    clock: str = "edge-host"
    silent: bool = False
    """Receives and never answers."""
    largest: int = 65_507
    """Bytes of an answer at most; a longer one is not sent at all."""
    port: int = 0

    records: dict[str, Record] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """Values that are no record of ours."""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    on_request: Any = None
    """Called with each request's method and parameters."""

    @property
    def address(self) -> str:
        return f"udp:127.0.0.1:{self.port}"

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() + CLOCK_AHEAD

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(self), local_addr=("127.0.0.1", self.port)
        )
        self.port = self._transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Nobody listens any more; what was in the tables stays."""
        self._transport.abort()

    # What a test does to it

    def write(
        self, key: str, agreement: Agreement | None, *, update: bool = True, age: float = 0.0, peer: str = ""
    ) -> Record:
        """The record of a dialog whose 2xx passed `age` seconds ago."""
        record = Record(
            local_tag="asterisk-tag",
            dialog=DialogTimer(agreement, peer_supports=True, peer_allows_update=update),
            clock=self.clock,
            at=self.now - age,
            last="remote:1",
            peer=peer,
        )
        self.records[key] = record
        return record

    def refresh(self, key: str, agreement: Agreement | str | None = "same", *, listed: bool = True) -> None:
        """A 2xx to INVITE or UPDATE has passed in this dialog."""
        before = self.records[key]
        dialog = before.dialog
        if not isinstance(agreement, str):
            dialog = replace(dialog, agreement=agreement)
        record = before.refreshed(dialog, self.now, self.clock, f"local:{before.refreshes + 2}")
        self.records[key] = record
        if listed and record.dialog.agreement != before.dialog.agreement:
            self.changes[key] = record.encode()

    def fail(self, key: str, code: int, *, sender: Side = Side.LOCAL, retry_after: int | None = None) -> None:
        """A refresh was answered with an error."""
        record = self.records[key]
        failure = Failure(code, sender, self.now, retry_after)
        self.records[key] = record.failed(record.dialog, failure)

    # The protocol

    def answer(self, data: bytes) -> bytes | None:
        request = json.loads(data)
        method, params = request["method"], request["params"]
        self.asked.append((method, *params))
        if self.on_request is not None:
            self.on_request(method, params)
        if self.silent:
            return None
        found = self._found(method, *params)
        outcome = {"error": {"code": 500, "message": found}} if isinstance(found, str) else {"result": found}
        reply = json.dumps({"jsonrpc": "2.0", **outcome, "id": request["id"]}, indent="\t").encode()
        return reply if len(reply) <= self.largest else None

    def _found(self, method: str, table: str = "", key: str = "") -> object:
        entries = self._table(table)
        if entries is None:
            return "No such htable"
        if method == "htable.dump":
            return [
                {"entry": at, "size": 1, "slot": [{"name": name, "value": value, "type": "str"}]}
                for at, (name, value) in enumerate(entries.items())
            ]
        if method == "htable.get":
            if key not in entries:
                return "Key name doesn't exist in htable."
            return {"item": {"name": key, "value": entries[key], "flags": 2, "expire": "NEVER"}}
        return "Method Not Found"

    def _table(self, name: str) -> dict[str, str] | None:
        if name == "session_timer":
            return {key: record.encode() for key, record in self.records.items()} | self.texts
        if name == "session_timer_changes":
            # published each second, so a reading is up to a second old
            return {**self.changes, f"clock;{self.clock}": f"{self.now // 1:.3f}"}
        return None


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, edge: FakeEdge) -> None:
        self._edge = edge

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self._edge.answer(data)
        if reply is not None:
            self._transport.sendto(reply, addr)
