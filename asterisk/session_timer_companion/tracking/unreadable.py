"""Channels that Asterisk could not read. That is not the end of a call, so each is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from session_timer_companion.background import BackgroundTasks

FIRST = 0.5
"""Seconds until a channel is looked at again that Asterisk could not read."""

LONGEST = 60.0
"""Seconds between two such looks at most: a channel may stand for hours that has no dialog any more."""


class UnreadableChannels:
    """Those of one Asterisk; `look_at` gets each when it is to be looked at again, later each time."""

    def __init__(self, look_at: Callable[[str], None], background: BackgroundTasks) -> None:
        self._look_at = look_at
        self._background = background
        self._tries: dict[str, int] = {}
        self._waiting: set[str] = set()
        """Those whose next look is set: whoever looks besides begins no second round."""

    def note(self, name: str) -> None:
        """Asterisk could not read this channel."""
        if name not in self._waiting:
            self._waiting.add(name)
            self._background.spawn(self._later(name))

    def forget(self, name: str) -> None:
        """It has been read, or has ended."""
        self._tries.pop(name, None)

    def clear(self) -> None:
        """All channels are read anew."""
        self._tries.clear()

    async def _later(self, name: str) -> None:
        tries = self._tries.get(name, 0)
        self._tries[name] = tries + 1
        await asyncio.sleep(min(LONGEST, FIRST * 2.0 ** min(tries, 16)))
        self._waiting.discard(name)
        if name in self._tries:
            self._look_at(name)
