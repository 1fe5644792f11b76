"""The companion's way to an edge: Kamailio's JSON-RPC over datagrams, and what its answers mean.

    edge = Edge("udp:198.18.0.10:8090")
    found = await edge.record(key)            # Found, Missing or Unreachable: never an exception

Kamailio answers in one datagram. Where the answer would not fit into one it sends none at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from session_timer import Record, RecordError

RECORDS = "session_timer"
CHANGES = "session_timer_changes"
CLOCK = "clock;"
"""Entries of the changes that tell how a host's monotonic clock stands begin with this."""

AT_ONCE = 64
"""Requests under way at most: as many as surely fit into the receive buffer of Kamailio's socket."""

_NO_SUCH_KEY = "Key name doesn't exist"


@dataclass(frozen=True, slots=True)
class Found:
    """The edge has a record of this dialog."""

    record: Record


@dataclass(frozen=True, slots=True)
class Missing:
    """The edge answered, and knows no such dialog."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or none that this code can read: nobody can say."""

    reason: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What the edge lists: readings of monotonic clocks, and the records that changed in the last minute."""

    clocks: Mapping[str, float]
    """Seconds, by the clock's name."""
    records: Mapping[str, Record]
    """By their key."""


class _NoAnswer(Exception):  # noqa: N818  # a fact, and named for it
    """Kamailio did not answer, or answered with an error."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """Kamailio itself said no: it is there."""


class Edge:
    """One Kamailio. `address` is ``udp:<host>:<port>`` or ``unix:<path>``; times are in seconds."""

    def __init__(self, address: str, timeout: float = 1.0) -> None:
        self.address = address
        self.up: bool | None = None
        """Whether it answered last time; None before anything was asked."""
        self._timeout = timeout
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = itertools.count(1)
        self._own_path: Path | None = None

    async def record(self, key: str) -> Found | Missing | Unreachable:
        """Ask for one dialog's record."""
        try:
            answer = await self._call("htable.get", RECORDS, key)
            return Found(Record.decode(_text(answer, "item", "value")))
        except _NoAnswer as error:
            if error.refused and _NO_SUCH_KEY in str(error):
                return Missing()
            return Unreachable(f"edge {self.address}: {error}")
        except RecordError as error:
            return Unreachable(f"edge {self.address}: {error}")

    async def changes(self) -> Changes | Unreachable:
        """Ask for the list of changes."""
        try:
            return _changes(await self._call("htable.dump", CHANGES))
        except _NoAnswer as error:
            return Unreachable(f"edge {self.address}: {error}")

    async def clock(self, name: str) -> float | None:
        """Ask for one clock's reading in seconds, where the list of changes is too long to be read."""
        with contextlib.suppress(_NoAnswer, ValueError):
            return float(_text(await self._call("htable.get", CHANGES, CLOCK + name), "item", "value"))
        return None

    def close(self) -> None:
        """Let go of the socket; what is under way counts as unanswered."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._forget_path()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_NoAnswer("closed"))
        self._waiting.clear()

    async def _call(self, method: str, *params: str) -> object:
        """The result of a call, tried twice: a datagram may get lost. Raises `_NoAnswer`."""
        async with self._slots:
            try:
                try:
                    result = await self._once(method, params)
                except TimeoutError:
                    result = await self._once(method, params)
            except TimeoutError:
                self.up = False
                raise _NoAnswer(f"no answer within {self._timeout:g} s, twice") from None
            except OSError as error:
                self.up = False
                raise _NoAnswer(error.strerror or str(error)) from None
        return result

    async def _once(self, method: str, params: tuple[str, ...]) -> object:
        transport = self._transport or await self._open()
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes] = loop.create_future()
        self._waiting[number] = waiting
        transport.sendto(
            json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": number}).encode(
                "utf-8", "surrogateescape"
            )
        )
        late = loop.call_later(self._timeout, _expire, waiting)
        try:
            answer = await waiting
        finally:
            late.cancel()
            self._waiting.pop(number, None)
        return _result(answer)

    async def _open(self) -> asyncio.DatagramTransport:
        async with self._opening:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                kind, _, place = self.address.partition(":")
                if kind == "unix":
                    self._own_path = _own_path()
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(self),
                        local_addr=str(self._own_path),
                        remote_addr=place,
                        family=socket.AF_UNIX,
                    )
                    # Kamailio, another user, answers to this path.
                    self._own_path.chmod(0o666)
                else:
                    host, _, port = place.rpartition(":")
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(self), remote_addr=(host.strip("[]"), int(port))
                    )
                self._transport = transport
            return self._transport

    def _forget_path(self) -> None:
        if self._own_path is not None:
            with contextlib.suppress(OSError):
                self._own_path.unlink()
                self._own_path.parent.rmdir()
            self._own_path = None

    def received(self, data: bytes) -> None:
        """A datagram has come; one that answers nothing that is under way is passed over."""
        self.up = True
        number = _number(data)
        waiting = self._waiting.get(number) if number is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def failed(self, error: OSError | None) -> None:
        """The socket reports an error, such as nobody listening at that port."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error or OSError("connection closed"))

    def lost(self) -> None:
        """The socket is gone; the next request opens another."""
        self._transport = None
        self._forget_path()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # asyncio's signature
        self._edge.received(data)

    def error_received(self, exc: Exception) -> None:
        self._edge.failed(exc if isinstance(exc, OSError) else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._edge.failed(exc if isinstance(exc, OSError) else None)
        self._edge.lost()


def _own_path() -> Path:
    """Where Kamailio answers to: a socket of ours in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="session-timer-", dir=os.environ.get("RUNTIME_DIRECTORY")))
    folder.chmod(0o711)
    return folder / "rpc"


def _expire(waiting: asyncio.Future[bytes]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())


def _number(data: bytes) -> int | None:
    """The id of an answer. Kamailio writes it last, so that a long answer need not be read to find it."""
    _, _, rest = data[-40:].rpartition(b'"id":')
    digits = rest.strip(b" \t\r\n}")
    return int(digits) if digits.isdigit() else None


def _result(data: bytes) -> object:
    try:
        answer = json.loads(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        raise _NoAnswer(f"an answer that is not JSON: {data[:60]!r}") from None
    if not isinstance(answer, dict):
        raise _NoAnswer(f"an answer that is not JSON-RPC: {data[:60]!r}")
    error = answer.get("error")
    if error is not None:
        message = error.get("message") if isinstance(error, dict) else error
        raise _NoAnswer(str(message), refused=True)
    return answer.get("result")


def _text(answer: object, *path: str) -> str:
    for step in path:
        answer = answer.get(step) if isinstance(answer, dict) else None
    if not isinstance(answer, str):
        raise _NoAnswer(f"an answer without {'.'.join(path)}")
    return answer


def _changes(answer: object) -> Changes:
    clocks: dict[str, float] = {}
    records: dict[str, Record] = {}
    slots = answer if isinstance(answer, list) else []
    entries = [entry for slot in slots if isinstance(slot, dict) for entry in slot.get("slot") or ()]
    for entry in entries:
        name, value = entry.get("name"), entry.get("value")
        if not isinstance(name, str) or not isinstance(value, str):
            continue
        # What another version wrote is left to the reading of single records, which tells of it.
        with contextlib.suppress(ValueError):
            if name.startswith(CLOCK):
                clocks[name.removeprefix(CLOCK)] = float(value)
            else:
                records[name] = Record.decode(value)
    return Changes(clocks, records)
