"""Learns from the edges what changed in the middle of a call: a role, an interval, a timer switched off.

Such a change may come long before the next deadline that we know of. Each edge lists them for a minute; where
its list cannot be read, the records of its calls are read one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from session_timer_companion.background import BackgroundTasks
from session_timer_companion.edge.client import Changes, EdgeClient, Missing
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.tracked_call import TrackedCall
from session_timer_companion.tracking.tracker import CallTracker, at_edge

STUDY, STUDY_STEP = 1.2, 0.05
"""Seconds for which a clock that is new to us is read, and between two readings: it ticks once a second."""

LISTED = 50.0
"""Seconds. A change stays listed for a minute: where two readings lie further apart, one may be missed."""

SWEEP_RATE = 500
"""Records a second that are read where the list of changes does not help."""


class ChangesReader:
    """Reads each edge's list of changes every `interval` seconds, and hands what it finds to the trackers."""

    def __init__(
        self,
        edges: EdgePool,
        clocks: Clocks,
        trackers: Callable[[], Iterable[CallTracker]],
        metrics: Metrics,
        interval: float,
    ) -> None:
        self._edges = edges
        self._clocks = clocks
        self._trackers = trackers
        self._metrics = metrics
        self._interval = interval
        self._at_once = max(1, int(SWEEP_RATE * interval))
        self._was_up: dict[str, bool] = {}
        self._losses: dict[str, int] = {}
        self._read_at: dict[str, float] = {}
        self._position: dict[str, int] = {}
        self._studied: set[str] = set()
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

    def _fault(self, error: BaseException) -> None:
        self._metrics.faults.inc()
        self._log.error("internal_error", exc_info=error)

    async def _read(self, edge: EdgeClient) -> None:
        found = await edge.changes()
        now = asyncio.get_running_loop().time()
        if isinstance(found, Changes):
            self._clocks.learn(found.clocks, now)
            for name in found.clocks:
                if name not in self._studied:
                    self._studied.add(name)
                    self._background.spawn(self._study(edge, name))
            for tracker in self._trackers():
                for key, record in found.records.items():
                    tracker.changed(key, record)
            before, self._read_at[edge.address] = self._read_at.get(edge.address, now), now
            self._note(edge, up=True, late=now - before > LISTED)
            return
        # Silence may mean that the list outgrew a datagram; a question with a short answer tells.
        up = isinstance(await edge.record(""), Missing)
        if up:
            # All records are read anyway, as long as the list cannot be.
            self._losses[edge.address] = edge.losses
        self._note(edge, up=up, reason=found.reason)
        if up:
            for name in self._clocks.names:
                reading = await edge.clock(name)
                if reading is not None:
                    self._clocks.learn({name: reading}, asyncio.get_running_loop().time())
            await self._sweep_some(edge)

    async def _study(self, edge: EdgeClient, name: str) -> None:
        """Catch a clock's next reading soon after it is published: the fresher, the nearer to the truth."""
        loop = asyncio.get_running_loop()
        end = loop.time() + STUDY
        while loop.time() < end:
            reading = await edge.clock(name)
            if reading is None:
                self._studied.discard(name)
                return
            self._clocks.learn({name: reading}, loop.time())
            await asyncio.sleep(STUDY_STEP)

    def _note(self, edge: EdgeClient, *, up: bool, late: bool = False, reason: str = "") -> None:
        was = self._was_up.get(edge.address)
        self._was_up[edge.address] = up
        self._metrics.rpc_up.labels(edge.address).set(up)
        if not up and was is not False:
            self._log.error("edge_down", edge=edge.address, reason=reason)
        if up and was is False:
            self._log.info("edge_up", edge=edge.address)
        if up and (late or edge.losses != self._losses.get(edge.address, 0)):
            # What changed meanwhile may be off its list already, or never was on it. We may have been away
            # too: a process is stopped, a machine is moved.
            self._losses[edge.address] = edge.losses
            self._background.spawn(self._sweep_all(edge))

    async def _sweep_all(self, edge: EdgeClient) -> None:
        """Read the records of all calls that this edge has now, whichever of them end meanwhile."""
        mine = at_edge(self._trackers(), edge)
        for start in range(0, len(mine), self._at_once):
            await self._reread(edge, mine[start : start + self._at_once])
            await asyncio.sleep(self._interval)

    async def _sweep_some(self, edge: EdgeClient) -> None:
        """Read the next records of this edge's calls; after the last comes the first."""
        mine = at_edge(self._trackers(), edge)
        start = self._position.get(edge.address, 0)
        end = start + self._at_once
        await self._reread(edge, mine[start:end])
        self._position[edge.address] = end if end < len(mine) else 0

    async def _reread(self, edge: EdgeClient, some: list[tuple[CallTracker, TrackedCall]]) -> None:
        for tracker in {tracker for tracker, _ in some}:
            await tracker.reread(
                edge, [tracked for owner, tracked in some if owner is tracker and not tracked.gone]
            )
