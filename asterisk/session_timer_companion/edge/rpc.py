"""Datagrams to one Kamailio and back: its JSON-RPC, without what the answers mean (`client.py`).

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
from collections.abc import Sequence
from pathlib import Path

AT_ONCE = 32
"""Requests in one go; two goes at a time surely fit into the receive buffer of Kamailio's socket."""

TRIES = 2
"""A datagram may get lost. An edge that did not answer at all last time is asked once."""

_NOT_LET_IN = (
    "Permission denied: the companion's user must be in the group that owns the socket and its folder "
    "(in its unit SupplementaryGroups=kamailio), and Kamailio's dgram_mode must let the group write"
)


class _Round:
    """Requests that were sent together, and what came back until the round is over."""

    def __init__(self, size: int) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: dict[int, bytes] = {}
        self.error: OSError | None = None
        self._size = size

    def take(self, number: int, data: bytes) -> None:
        self.answers[number] = data
        if len(self.answers) == self._size:
            self.end()

    def end(self, error: OSError | None = None) -> None:
        self.error = error
        if not self.over.done():
            self.over.set_result(None)


class EdgeWire:
    """The way to one Kamailio, at ``udp:<host>:<port>`` or ``unix:<path>``; `timeout` is in seconds."""

    def __init__(self, address: str, timeout: float) -> None:
        self.up: bool | None = None
        """Whether it answered last time; None before anything was asked."""
        self.losses = 0
        """How often nothing at all came back."""
        self._address = address
        self._timeout = timeout
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._turns = asyncio.Semaphore(2)
        self._waiting: dict[int, _Round] = {}
        self._numbers = itertools.count(1)
        self._own_path: Path | None = None

    async def call(self, requests: Sequence[tuple[str, ...]]) -> list[bytes | str]:
        """Call methods, each with its parameters: the answer of each as it came, or why there is none."""
        answers: list[bytes | str] = []
        for start in range(0, len(requests), AT_ONCE):
            async with self._turns:
                some = await self._tried(requests[start : start + AT_ONCE])
            answers += some
            if all(isinstance(answer, str) for answer in some):
                # Nobody is there. To ask for the others too would keep thousands of calls waiting.
                answers += some[:1] * (len(requests) - len(answers))
                break
        return answers

    async def _tried(self, requests: Sequence[tuple[str, ...]]) -> list[bytes | str]:
        answers: list[bytes | str] = [""] * len(requests)
        left = list(range(len(requests)))
        for _ in range(TRIES if self.up is not False else 1):
            try:
                found, error = await self._round([requests[index] for index in left])
            except (OSError, ValueError) as failure:
                # No such host or path, no right to it; or a name that no host can have.
                found, error = [None for _ in left], failure
            reason = f"no answer within {self._timeout:g} s" if error is None else str(error)
            for index, answer in zip(left, found, strict=True):
                answers[index] = reason if answer is None else answer
            left = [index for index in left if isinstance(answers[index], str)]
            if not left:
                break
        if len(left) == len(requests):
            self.up = False
            self.losses += 1
        return answers

    async def _round(
        self, requests: Sequence[tuple[str, ...]]
    ) -> tuple[list[bytes | None], Exception | None]:
        transport = self._transport or await self._open()
        going = _Round(len(requests))
        numbers = [next(self._numbers) for _ in requests]
        for number, (method, *params) in zip(numbers, requests, strict=True):
            self._waiting[number] = going
            text = f'{{"jsonrpc":"2.0","method":"{method}","params":{json.dumps(params)},"id":{number}}}'
            transport.sendto(text.encode("utf-8", "surrogateescape"))
            if going.over.done():  # it failed at once
                break
        late = asyncio.get_running_loop().call_later(self._timeout, going.end)
        try:
            await going.over
        finally:
            late.cancel()
            for number in numbers:
                self._waiting.pop(number, None)
        return [going.answers.get(number) for number in numbers], going.error

    async def _open(self) -> asyncio.DatagramTransport:
        async with self._opening:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                kind, _, place = self._address.partition(":")
                if kind == "unix":
                    self._own_path = _own_path()
                    try:
                        transport, _ = await loop.create_datagram_endpoint(
                            lambda: _Datagrams(self),
                            local_addr=str(self._own_path),
                            remote_addr=place,
                            family=socket.AF_UNIX,
                        )
                    except BaseException as error:
                        self._forget_path()
                        if isinstance(error, PermissionError):
                            raise PermissionError(error.errno, _NOT_LET_IN) from None
                        raise
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
            with contextlib.suppress(OSError):
                self._own_path.parent.rmdir()
            self._own_path = None

    def received(self, data: bytes) -> None:
        """A datagram has come; one that answers nothing that is under way is passed over."""
        self.up = True
        number = _number(data)
        going = self._waiting.pop(number, None) if number is not None else None
        if going is not None and number is not None:
            going.take(number, data)

    def failed(self, error: OSError) -> None:
        """The socket reports an error, such as nobody listening there: the next request opens another.

        A unix socket stays connected to the Kamailio that has ended, although its path leads to the next one.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._forget_path()
        for going in set(self._waiting.values()):
            going.end(error)

    def lost(self, transport: asyncio.BaseTransport, error: OSError) -> None:
        """A socket is gone; where we had not let go of it, that is an error."""
        if transport is self._transport:
            self.failed(error)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, wire: EdgeWire) -> None:
        self._wire = wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # asyncio's signature
        self._wire.received(data)

    def error_received(self, exc: Exception) -> None:
        self._wire.failed(exc if isinstance(exc, OSError) else OSError(str(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.lost(self._transport, OSError(f"connection closed: {exc}"))


def _own_path() -> Path:
    """Where Kamailio answers to: a socket of ours in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="session-timer-", dir=os.environ.get("RUNTIME_DIRECTORY")))
    folder.chmod(0o711)
    return folder / "rpc"


def _number(data: bytes) -> int | None:
    """The id of an answer. Kamailio writes it last, so that a long answer need not be read to find it."""
    _, _, rest = data[-40:].rpartition(b'"id":')
    digits = rest.strip(b" \t\r\n}")
    return int(digits) if digits.isdigit() else None
