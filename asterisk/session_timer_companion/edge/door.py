"""The way to one edge's door: HTTP requests with the shared key, and the replies as they came.

A connection is kept alive. What failed once is tried once more on a new one, because Kamailio closes a
connection that was idle for long just when we write to it. Names of hosts are resolved again after a failure.
"""

from __future__ import annotations

import asyncio
import errno
import json
import ssl
from typing import Any

import aiohttp
from session_timer import SharedKey

from session_timer_companion.edge.presence import DoorSeen
from session_timer_companion.printable import system_reason

PATH = "/session-timer"
VERSION = 1
MOST_KEYS = 100
"""Keys of records that one request may name."""

TOGETHER = 2
"""Requests that are under way to one edge at most."""

LARGEST = 256 * 1024
"""Bytes of a reply that are read at most; an edge keeps its replies below 30,000."""

_RESOLVED_FOR = 10
"""Seconds that an address is kept for a name."""


class DoorError(Exception):
    """The door cannot be read: why, for a person, and what that shows of the edge."""

    def __init__(self, reason: str, seen: DoorSeen = DoorSeen.WRONG) -> None:
        super().__init__(reason)
        self.seen = seen


_SHOWS = {errno.ECONNREFUSED: DoorSeen.REFUSED, errno.EHOSTUNREACH: DoorSeen.UNREACHABLE}
"""That our own network has no way out (ENETUNREACH) shows nothing of an edge."""


class Door:
    """One edge's door at `address`, ``http://<host>:<port>`` or https. `timeout` is in seconds for one reply.

    Raises `DoorError` from `ask`, and `OSError` at once for a `ca_file` that cannot be read.
    """

    def __init__(self, address: str, key: SharedKey, timeout: float, ca_file: str | None = None) -> None:
        self._url = address.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {key.door_token}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._seconds = timeout
        self._tls = ssl.create_default_context(cafile=ca_file) if address.startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(TOGETHER)

    async def ask(self, question: dict[str, Any], tries: int = 2) -> dict[str, Any]:
        """Put one question; the reply as data. Raises `DoorError` after so many tries."""
        body = json.dumps({"v": VERSION, **question}).encode("utf-8", "surrogateescape")
        async with self._gate:
            for left in reversed(range(tries)):
                try:
                    return await self._tried(body)
                except DoorError:
                    await self.close()
                    if not left:
                        raise
        raise AssertionError("not reached: the last try returns or raises")

    async def close(self) -> None:
        """Let go of the connections; the next question opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _tried(self, body: bytes) -> dict[str, Any]:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=TOGETHER, ttl_dns_cache=_RESOLVED_FOR, ssl=True if self._tls is None else self._tls
            )
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        try:
            # The address is ours to say: whoever answers in the edge's place sends us nowhere else.
            question = self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False)
            async with question as response:
                text = b""
                async for part in response.content.iter_any():
                    text += part
                    if len(text) > LARGEST:
                        raise DoorError(f"a reply of more than {LARGEST} bytes")
                return _data(response.status, text)
        except TimeoutError:
            raise DoorError(f"no reply within {self._seconds:g} s") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            seen = DoorSeen.WRONG if number is None else _SHOWS.get(number, DoorSeen.WRONG)
            raise DoorError(system_reason(error), seen) from None


def _data(status: int, text: bytes) -> dict[str, Any]:
    """What a reply says. Raises `DoorError` for one that is none of the door's."""
    match status:
        case 200:
            pass
        case 401:
            raise DoorError("401: the edge has another key; both must have the same (edge.key_file)")
        case 404:
            raise DoorError(
                "404: no door there; it needs xhttp and the lines of docs/reference/edge.md, and a key"
            )
        case _:
            raise DoorError(f"{status}: {text[:200].decode(errors='replace')}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise DoorError(f"a reply that is not JSON: {text[:60]!r}") from None
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise DoorError(f"a reply of another version than {VERSION}: {text[:60]!r}")
    return data
