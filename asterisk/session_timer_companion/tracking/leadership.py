"""Which of several companions leads: it refreshes and hangs up, the others follow what happens.

The lead of an Asterisk is an entry with a lifetime at the first edge that replies. Whoever leads renews it at
each round; a standby asks for it at each round, and gets it when the leader has been silent for its lifetime.
Where no edge replies a companion keeps the role it has: two that refresh are better than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import LeadWanted
from session_timer_companion.metrics import Metrics
from session_timer_companion.tracking.tracker import CallTracker

SHORTEST = 6.0
"""Seconds that the lead lasts at least without being renewed."""

AWAY = 5.0
"""Seconds without its Asterisk after which a companion leaves the lead to one that may have it."""


class Leadership:
    """The lead of each Asterisk that has an edge in front. `by` names this companion, also after a restart.

    `interval` is how often `renew` is called, in seconds.
    """

    def __init__(
        self,
        edges: EdgePool,
        trackers: Callable[[], Iterable[CallTracker]],
        *,
        by: str,
        interval: float,
        metrics: Metrics,
    ) -> None:
        self._edges = edges
        self._trackers = trackers
        self._by = by
        self._seconds = max(SHORTEST, 3 * interval)
        self._metrics = metrics
        self._away_since: dict[str, float] = {}
        """Since when an Asterisk is not in sync, by its name."""
        self._log = structlog.get_logger(__name__)

    async def renew(self) -> None:
        """Ask for the lead of every Asterisk, or renew it."""
        await asyncio.gather(*[self._renew(tracker) for tracker in self._trackers() if not tracker.alone])

    async def give_up(self) -> None:
        """Stop leading, so that a standby need not wait for the end of the entry's life."""
        for tracker in self._trackers():
            if tracker.driver.leading and not tracker.alone:
                await self._ask(tracker, 0.0)

    async def _renew(self, tracker: CallTracker) -> None:
        leader = await self._ask(tracker, self._wanted(tracker))
        if leader is None:
            return
        leading = leader == self._by
        self._metrics.leading.labels(tracker.name).set(leading)
        if leading != tracker.driver.leading:
            tracker.driver.leading = leading
            self._log.warning("leading" if leading else "standing_by", asterisk=tracker.name, leader=leader)

    def _wanted(self, tracker: CallTracker) -> float:
        """For how long this companion wants the lead; 0 where it could do nothing with it."""
        now = asyncio.get_running_loop().time()
        if tracker.ready:
            self._away_since.pop(tracker.name, None)
            return self._seconds
        return self._seconds if now - self._away_since.setdefault(tracker.name, now) < AWAY else 0.0

    async def _ask(self, tracker: CallTracker, seconds: float) -> str | None:
        """Who leads now; None where no edge says so."""
        wanted = LeadWanted(tracker.name, self._by, seconds)
        for edge in self._edges.all():
            if edge.up is False:
                continue
            leader = await edge.lead(wanted)
            if leader is not None:
                return leader
        return None
