"""An edge as far as the companion sees it: the door, and the tables behind it.

    async with FakeEdge() as edge:
        edge.write(key, agreement)          # what the 2xx of the INVITE leaves behind
        edge.asked(key, "UPDATE")           # a request of ours passes
        edge.refresh(key)                   # its 2xx
        edge.fail(key, 491)                 # or its refusal
        edge.time_out(key)                  # or nothing final, and the edge's own timer ends it

It misbehaves on demand, and its clock is not the companion's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from session_timer import Agreement, DialogTimer, Outcome, Record, SharedKey, Side

CLOCK_AHEAD = 5_000.25
"""Seconds: the edge's host booted earlier than ours."""

KEY_TEXT = "a-key-of-the-tests-that-is-long-enough"
KEY = SharedKey.parse(KEY_TEXT)
LARGEST = 30_000
"""Bytes of a reply: what does not fit is named in `more`."""


@dataclass(eq=False)
class FakeEdge:
    """Started by `async with`; every attribute may be changed at any time."""

    name: str = "edge"
    key: SharedKey = KEY
    clock: str = "edge-host"
    ahead: float = CLOCK_AHEAD
    digest: str = ""
    """Of its settings; empty: those of the companion that asks are not known to differ."""
    silent: bool = False
    """Reads and never replies."""
    refused: int = 0
    """How many records its table did not take, as its statistic says."""
    port: int = 0

    records: dict[str, Record] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=dict)
    """Readings of other hosts' clocks that it publishes."""
    texts: dict[str, str] = field(default_factory=dict)
    """Values that are no record of ours."""
    leads: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Which companion leads, and until when."""
    record: bool = True
    """Keep every question in `asked_for`; off for benchmarks."""
    asked_for: list[dict[str, Any]] = field(default_factory=list)
    """Every question that came with the right key."""
    strangers: int = 0
    """Requests without it."""
    connections: int = 0
    on_request: Callable[[dict[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more; what was in the tables stays."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def text(self, key: str) -> str | None:
        """The record of this key as it stands in the table."""
        record = self.records.get(key)
        return self.texts.get(key, None if record is None else record.encode())

    # What a test looks at

    def read(self, key: str) -> int:
        """How often this record was asked for."""
        return sum(key in question.get("records", []) for question in self.asked_for)

    # What a test does to it

    def refuse(self, key: str) -> None:
        """Its table is full: a record that was to be written is not there any more."""
        self.records.pop(key, None)
        self.refused += 1

    def write(  # each by name
        self,
        key: str,
        agreement: Agreement | None,
        *,
        update: bool = True,
        age: float = 0.0,
        peer: str = "",
        on_path: bool = True,
        far: str = "198.18.0.42",
    ) -> Record:
        """The record of a dialog whose 2xx passed `age` seconds ago."""
        record = Record(
            local_tag="asterisk-tag",
            dialog=DialogTimer(agreement, peer_supports=True, peer_allows_update=update),
            clock=self.clock,
            at=self.now - age,
            last="remote:1",
            peer=peer,
            on_path=on_path,
            far=far,
        )
        self.records[key] = record
        return record

    def begin_anew(self, key: str) -> Record:
        """A request of ours passes in a dialog whose record was lost."""
        self.records[key] = Record.without_2xx("asterisk-tag", self.clock, peer="", far="198.18.0.42")
        return self.records[key]

    def asked(self, key: str, method: str = "UPDATE", side: Side = Side.LOCAL) -> int:
        """A request within this dialog has passed; its CSeq number."""
        record = self.records[key]
        last = record.of(side)
        cseq = last.cseq + 1 if last is not None else 2
        self.records[key] = record.asked(side, method, cseq, self.now, self.clock)._replace(on_path=True)
        return cseq

    def refresh(
        self,
        key: str,
        agreement: Agreement | str | None = "same",
        *,
        listed: bool = True,
    ) -> None:
        """A 2xx to INVITE or UPDATE has passed in this dialog: to ours that is open, else to the peer's."""
        before = self.records[key]
        ours = before.ours
        side = Side.LOCAL if ours is not None and ours.outcome is Outcome.OPEN else Side.REMOTE
        dialog = before.dialog
        if not isinstance(agreement, str):
            dialog = dialog._replace(agreement=agreement)
        last = before.of(side)
        cseq = last.cseq if last is not None else before.refreshes + 2
        if f"{side}:{cseq}" in (before.last, *before.earlier.split(",")):
            cseq += 1
        record = before.refreshed(dialog, self.now, self.clock, f"{side}:{cseq}")
        self.records[key] = record
        if listed and record.dialog.agreement != before.dialog.agreement:
            self.changes[key] = record.encode()

    def fail(
        self,
        key: str,
        code: int,
        *,
        side: Side = Side.LOCAL,
        retry_after: int | None = None,
        min_se: int | None = None,
    ) -> None:
        """A request within this dialog was answered with an error by the far side."""
        record = self.records[key]
        record = record._replace(dialog=record.dialog.with_min_se(min_se))
        self._end(key, record, side, Outcome.REFUSED, code, retry_after)

    def time_out(self, key: str, cseq: int | None = None, side: Side = Side.LOCAL) -> None:
        """The edge's own timer ends a request, unless it is over already."""
        record = self.records.get(key)
        last = record.of(side) if record is not None else None
        if record is not None and last is not None and cseq in (None, last.cseq):
            self._end(key, record, side, Outcome.TIMED_OUT, 408, None)

    def unroutable(self, key: str, code: int = 478) -> None:
        """The edge could not send a request of ours on."""
        self._end(key, self.records[key], Side.LOCAL, Outcome.UNROUTABLE, code, None)

    def _end(
        self, key: str, record: Record, side: Side, outcome: Outcome, code: int, retry_after: int | None
    ) -> None:
        last = record.of(side)
        method, cseq = (last.method, last.cseq) if last is not None else ("UPDATE", 2)
        self.records[key] = record.ended(
            side,
            method,
            cseq,
            outcome,
            code=code,
            now=self.now,
            clock=self.clock,
            retry_after=retry_after,
        )

    # The protocol

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
                headers = {name.lower(): value.strip() for name, _, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                code, text = self.answer(head.split(" ", 2)[:2], headers.get("authorization", ""), body)
                if self.silent:
                    continue
                writer.write(
                    f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    def answer(self, line: list[str], authorization: str, body: bytes) -> tuple[int, bytes]:
        """The status and body for one request."""
        if line != ["POST", "/session-timer"]:
            return 404, b""
        if authorization != f"Bearer {self.key.door_token}":
            self.strangers += 1
            return 401, b""
        question = json.loads(body)
        if self.record:
            self.asked_for.append(question)
        if self.on_request is not None:
            self.on_request(question)
        reply: dict[str, Any] = {
            "v": 1,
            "edge": self.name,
            "clock": {"name": self.clock, "now": round(self.now, 3)},
            "config": self.digest,
            "stats": {
                "faults": 0,
                "lost_records": self.refused,
                "refreshed_local": sum(one.refreshes for one in self.records.values()),
            },
        }
        if "lead" in question:
            reply["lead"] = self._lead(**question["lead"])
        wanted: list[str] = question.get("records") or []
        assert len(wanted) <= 100
        if wanted:
            reply["records"], more = _fitting({key: self.text(key) for key in wanted})
        if question.get("changes"):
            reply["clocks"] = {self.clock: self.now // 1, **self.clocks}
            reply["changes"], more = _fitting(self.changes)
        if (wanted or question.get("changes")) and more:
            reply["more"] = more
        return 200, json.dumps(reply).encode()

    def _lead(self, name: str, by: str, seconds: float) -> dict[str, Any] | None:
        leader, until = self.leads.get(name, ("", 0.0))
        if leader and leader != by and until > self.now:
            return {"by": leader, "left": until - self.now}
        if seconds <= 0:
            self.leads.pop(name, None)
            return None
        self.leads[name] = (by, self.now + seconds)
        return {"by": by, "left": seconds}


def _fitting(texts: Mapping[str, str | None]) -> tuple[dict[str, str | None], list[str]]:
    """As many as a reply may carry, and the keys of the others."""
    found: dict[str, str | None] = {}
    left = LARGEST
    for key, text in texts.items():
        left -= len(text or "") + len(key) + 10
        if left > 0:
            found[key] = text
    return found, [key for key in texts if key not in found]
