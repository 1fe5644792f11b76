"""Learns from the edges what changed in the middle of a call: a role, an interval, a timer switched off.

Such a change may come long before the next deadline that we know of. Each edge lists them for a minute. The
same reply says which companion leads, how the edge's clock stands, and by which settings it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from session_timer_companion.background import BackgroundTasks
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import Changes, EdgeFacts, Found
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.leadership import Leadership
from session_timer_companion.tracking.tracker import CallTracker, at_edge

LISTED = 50.0
"""Seconds. A change stays listed for a minute: where two readings lie further apart, one may be missed."""

SWEEP_RATE = 500
"""Records a second that are read where changes may have been missed."""


class ChangesReader:
    """Reads each edge's list of changes every `interval` seconds, and hands what it finds to the trackers."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        edges: EdgePool,
        trackers: Callable[[], Iterable[CallTracker]],
        *,
        leadership: Leadership,
        digest: Callable[[], str],
        metrics: Metrics,
        interval: float,
    ) -> None:
        """`digest` names the settings that edge and companion must agree on."""
        self._edges = edges
        self._trackers = trackers
        self._leadership = leadership
        self._digest = digest
        self._metrics = metrics
        self._interval = interval
        self._at_once = max(1, int(SWEEP_RATE * interval))
        self._was_up: dict[str, bool] = {}
        self._losses: dict[str, int] = {}
        self._read_at: dict[str, float] = {}
        self._differs: set[tuple[str, str]] = set()
        self._background = BackgroundTasks(self._fault)
        self._log = structlog.get_logger(__name__)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.read_all()
            await asyncio.sleep(max(0.05, began + self._interval - loop.time()))

    async def aclose(self) -> None:
        """Stop whatever is still being read."""
        await self._background.aclose()

    async def read_all(self) -> None:
        """One round with every edge. A fault with one of them stops neither the others nor the next round."""
        rounds = [self._read(edge) for edge in self._edges.all()]
        for outcome in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._fault(outcome)
        await self._leadership.renew()

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self._log.error("internal_error", exc_info=error)

    async def _read(self, edge: EdgeClient) -> None:
        found = await edge.changes()
        now = asyncio.get_running_loop().time()
        if not isinstance(found, Changes):
            for tracker in self._trackers():
                tracker.driver.held_back.look(edge)
            self._note(edge, up=False, reason=found.reason)
            return
        self._make_up_for_a_pause(edge)
        for tracker in self._trackers():
            for key, record in found.records.items():
                tracker.changed(key, Found(record, edge.clocks), edge)
            tracker.driver.held_back.release(edge)
        if found.facts is not None:
            self._compare(edge, found.facts)
        before, self._read_at[edge.name] = self._read_at.get(edge.name, now), now
        self._note(edge, up=True, late=now - before > LISTED)

    def _make_up_for_a_pause(self, edge: EdgeClient) -> None:
        """A paused machine's clock stood still: its calls are older than they seem, and due sooner."""
        seconds, edge.paused = edge.paused, 0.0
        if not seconds:
            return
        self._metrics.paused.inc()
        self._log.warning("host_paused", edge=edge.name, seconds=round(seconds, 1))
        for tracker in self._trackers():
            tracker.driver.shift([each for each in tracker.by_key.values() if each.edge is edge], seconds)

    def _compare(self, edge: EdgeClient, facts: EdgeFacts) -> None:
        ours = self._digest()
        self._metrics.settings_differ.labels(edge.name).set(facts.digest != ours)
        if facts.digest != ours and (edge.name, facts.digest + ours) not in self._differs:
            self._differs.add((edge.name, facts.digest + ours))
            self._log.warning("settings_differ", edge=edge.name, theirs=facts.digest, ours=ours)

    def _note(self, edge: EdgeClient, *, up: bool, late: bool = False, reason: str = "") -> None:
        was = self._was_up.get(edge.name)
        self._was_up[edge.name] = up
        self._metrics.edge_up.labels(edge.name).set(up)
        if not up and was is not False:
            self._log.error("edge_down", edge=edge.name, reason=reason)
        if up and was is False:
            self._log.info("edge_up", edge=edge.name)
        if up and (late or edge.losses != self._losses.get(edge.name, 0)):
            # What changed meanwhile may be off its list already, or never was on it. We may have been away
            # too: a process is stopped, a machine is moved.
            self._losses[edge.name] = edge.losses
            self._background.spawn(self._sweep(edge))

    async def _sweep(self, edge: EdgeClient) -> None:
        """Read the records of all calls that this edge has now, whichever of them end meanwhile."""
        mine = at_edge(self._trackers(), edge)
        for start in range(0, len(mine), self._at_once):
            await self._reread(edge, mine[start : start + self._at_once])
            await asyncio.sleep(self._interval)

    async def _reread(self, edge: EdgeClient, some: list[tuple[CallTracker, TrackedCall]]) -> None:
        for tracker in {tracker for tracker, _ in some}:
            await tracker.reread(edge, [each for owner, each in some if owner is tracker and not each.gone])
