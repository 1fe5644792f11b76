"""What was learned of peers: which swallow UPDATE, and which answer no refresh that they have not agreed to.

The path to a peer may do so as well as the peer.
"""

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
        self._unasked: OrderedDict[str, float] = OrderedDict()
        self._now = asyncio.get_running_loop().time

    def left(self) -> dict[str, float]:
        """Each peer that swallows UPDATE, and for how many seconds more it gets re-INVITE."""
        now = self._now()
        return {far: until - now for far, until in self._until.items() if until > now}

    def swallows_update(self, far: str) -> bool:
        """Whether a refresh by UPDATE would not be answered from there."""
        return self._now() < self._until.get(far, 0.0)

    def ignores_unasked(self, far: str) -> bool:
        """Whether a peer there that has agreed to no session timer would not answer a refresh."""
        return self._now() < self._unasked.get(far, 0.0)

    def learn(self, far: str) -> bool:
        """An UPDATE timed out and a re-INVITE was answered. Returns whether that is news."""
        return self._keep(self._until, far)

    def learn_unasked(self, far: str) -> bool:
        """No form of a refresh was answered, and the peer's media flows. Returns whether that is news."""
        return self._keep(self._unasked, far)

    def _keep(self, table: OrderedDict[str, float], far: str) -> bool:
        if not far or not self._enabled:
            return False
        news = self._now() >= table.get(far, 0.0)
        table[far] = self._now() + DAY
        table.move_to_end(far)
        if len(table) > MOST:
            table.popitem(last=False)
        return news
