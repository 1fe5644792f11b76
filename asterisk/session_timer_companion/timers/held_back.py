"""Refreshes that wait for an edge that does not reply: when they may leave all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import replace

from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.timers.tracked_call import TrackedCall


class HeldBack:
    """The calls that `RefreshSender` holds back, by their edge."""

    def __init__(
        self,
        held: MutableMapping[EdgeClient, set[TrackedCall]],
        *,
        is_down: Callable[[EdgeClient], bool],
        schedule: Callable[[TrackedCall], None],
    ) -> None:
        """`held` is the sender's own. `schedule` gets each call whose refresh is due now."""
        self._held = held
        self._is_down = is_down
        self._schedule = schedule
        self._now = asyncio.get_running_loop().time

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def release(self, edge: EdgeClient) -> None:
        """This edge replies again: what was held back for it is due now."""
        for tracked in self._held.pop(edge, ()):
            self._let_leave(tracked)

    def look(self, edge: EdgeClient) -> None:
        """This edge does not reply: what was held back past its time leaves unless it is known to be down."""
        if self._is_down(edge):
            return
        for tracked in self._held.get(edge, ()):
            active = tracked.active
            if active is not None and active.latest is not None and (active.wake or 0.0) > active.latest:
                self._let_leave(tracked)

    def _let_leave(self, tracked: TrackedCall) -> None:
        """Its refresh is due now, with time for two forms: that it is late is not its peer's doing."""
        now, active = self._now(), tracked.active
        if tracked.gone or tracked.busy or active is None:
            return
        late = 0.0 if active.latest is None else max(0.0, now - active.latest)
        tracked.active = replace(active, since=active.since + late, wake=now)
        self._schedule(tracked)
