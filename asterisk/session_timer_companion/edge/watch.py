"""Keeps what is known of whether an edge is there, and looks at its host when that may tell more."""

from __future__ import annotations

import asyncio
import math

from session_timer_companion.edge.host import Host
from session_timer_companion.edge.presence import DoorSeen, Presence

LOOK_EACH = 60.0
"""Seconds between two looks at the host of an edge that replies."""


class Watch:
    """One edge's. Without a `host` a dead one and a silent door are the same."""

    def __init__(self, host: Host | None) -> None:
        self.due = 0.0
        """When a reply of its door is news next: at once after silence, then for a look each minute."""
        self._host = host
        self._looking: asyncio.Task[None] | None = None
        self._presence = Presence()

    @property
    def is_down(self) -> bool:
        """Whether what is sent through this edge goes nowhere, as far as it alone can tell."""
        return self._presence.is_down(_now())

    def asked(self, seen: DoorSeen) -> None:
        """A question has been put at its door."""
        if seen is not self._presence.door:
            self._presence = self._presence.asked(seen, _now())
        self.due = math.inf if self._host is None and seen is DoorSeen.REPLIED else 0.0
        if self._host is not None and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_at(self._host, self._presence.door))

    def served(self) -> None:
        """A call has just been answered that came through it."""
        self._presence = self._presence.served(_now())

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_at(self, host: Host, door: DoorSeen | None) -> None:
        seen, replied = await host.look(), door is DoorSeen.REPLIED
        # A look that began while the door replied, and ended when it did not, is one of neither.
        if replied is (self._presence.door is DoorSeen.REPLIED):
            self._presence = self._presence.looked(seen)
            if replied:
                self.due = _now() + LOOK_EACH


def _now() -> float:
    return asyncio.get_running_loop().time()
