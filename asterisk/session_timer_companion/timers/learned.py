"""What was learned of peers: which of them, or the path to them, swallows UPDATE."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

DAY = 86_400.0
"""Seconds that it holds."""

MOST = 10_000
"""Peers of which something is remembered."""


class LearnedPeers:
    """By where a peer is (`Record.far`). Times are in seconds of the event loop's clock."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._until: OrderedDict[str, float] = OrderedDict()
        self._now = asyncio.get_running_loop().time

    def __bool__(self) -> bool:
        return bool(self._until)

    def left(self) -> dict[str, float]:
        """Each peer that swallows UPDATE, and for how many seconds more it gets re-INVITE."""
        now = self._now()
        return {far: until - now for far, until in self._until.items() if until > now}

    def swallows_update(self, far: str) -> bool:
        """Whether a refresh by UPDATE would not be answered from there."""
        until = self._until.get(far)
        return until is not None and self._now() < until

    def learn(self, far: str) -> bool:
        """An UPDATE timed out and a re-INVITE was answered. Returns whether that is news."""
        if not far or not self._enabled:
            return False
        news = not self.swallows_update(far)
        self._until[far] = self._now() + DAY
        self._until.move_to_end(far)
        if len(self._until) > MOST:
            self._until.popitem(last=False)
        return news
