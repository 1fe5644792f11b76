"""Whether a host is there at all, by how it treats a connection that nobody listens for.

A host that lives refuses one in an instant; one that is dead or cut off says nothing, as a firewall does. So
silence tells only where the host has refused before: see `presence.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from enum import Enum
from urllib.parse import urlsplit

PORT = 9
"""Discard (RFC 863): whoever listens there takes a connection and does nothing with it."""

PATIENCE = 2.5
"""Seconds. What a lossy network has lost is sent once more after one."""


class Seen(Enum):
    """What came of a look at a host."""

    THERE = "there"
    """It took the connection, or refused it."""
    SILENT = "silent"
    """Nothing came back, or only word from elsewhere that nobody is there."""
    UNKNOWN = "unknown"
    """It could not be looked at: no address for its name, no way out of our own network."""


class Host:
    """The host of a door at `address`, ``http://<host>:<port>`` or https."""

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        self._name = urlsplit(address).hostname or ""
        self._patience = patience

    async def look(self) -> Seen:
        """Look at it once; takes `patience` seconds at most, and raises nothing."""
        try:
            async with asyncio.timeout(self._patience):
                _, writer = await asyncio.open_connection(self._name, PORT)
        except TimeoutError:  # of ours or of the kernel's
            return Seen.SILENT
        except (OSError, UnicodeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            if number in (errno.ECONNREFUSED, errno.ECONNRESET):
                return Seen.THERE
            return Seen.SILENT if number == errno.EHOSTUNREACH else Seen.UNKNOWN
        with contextlib.suppress(OSError):
            writer.close()
        return Seen.THERE
