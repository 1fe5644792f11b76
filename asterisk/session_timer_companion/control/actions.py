"""What an operator may have done: hold things back, hang up, refresh the calls of a peer one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

import structlog

from session_timer_companion.ami.client import AmiError
from session_timer_companion.api import ActionReport, RefreshReport
from session_timer_companion.channels import refresh_actions
from session_timer_companion.control.operator import Holds
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers import manual_refresh
from session_timer_companion.timers.expiry import HangUpRules

if TYPE_CHECKING:
    from session_timer_companion.timers.tracked_call import TrackedCall
    from session_timer_companion.tracking.tracker import CallTracker

FASTEST = 50.0
"""Refreshes a second at most that an operator may ask for of one peer."""


class Busy(Exception):  # noqa: N818  # a fact, and named for it
    """What was asked for is under way already: the reason."""


class OperatorActions:
    """What an operator asks for, each logged and counted. Kept in memory alone: a restart forgets it."""

    def __init__(
        self,
        trackers: Sequence[CallTracker],
        holds: Holds,
        rules: HangUpRules,
        metrics: Metrics,
    ) -> None:
        self._trackers = trackers
        self._holds = holds
        self._rules = rules
        self._metrics = metrics
        self._refreshing = ""
        """The peer whose calls are being refreshed."""
        self._left: set[asyncio.Task[RefreshReport]] = set()
        self._now = asyncio.get_running_loop().time
        self._log = structlog.get_logger(__name__)

    def pause(self) -> bool:
        """Send nothing and hang nobody up until `resume`; whether that is new."""
        self._metrics.operator.labels("pause").inc()
        if self._holds.paused:
            return False
        self._holds.paused_at = self._now()
        for tracker in self._trackers:
            tracker.driver.hold()
        self._log.warning("paused")
        return True

    def resume(self) -> bool:
        """Go on, first with what was due meanwhile, and release the brake; whether either was on.

        Calls that are excluded stay so.
        """
        self._metrics.operator.labels("resume").inc()
        braked = self._rules.brake.release()
        if not self._holds.paused:
            return braked
        self._holds.paused_at = None
        for tracker in self._trackers:
            tracker.driver.let_go()
        self._log.warning("resumed")
        return True

    def exclude(self, tracker: CallTracker, tracked: TrackedCall) -> ActionReport:
        """Do nothing for this call any more, until `include`."""
        self._metrics.operator.labels("exclude").inc()
        if tracked.key in self._holds.excluded:
            return _report(tracker, tracked, "it is excluded already")
        self._holds.excluded[tracked.key] = self._now()
        tracker.driver.reschedule(tracked)
        tracker.log.warning("call_excluded", call=tracked)
        return _report(tracker, tracked)

    def include(self, tracker: CallTracker, tracked: TrackedCall) -> ActionReport:
        """Take an exclusion back: what was due meanwhile comes at once."""
        self._metrics.operator.labels("include").inc()
        if self._holds.excluded.pop(tracked.key, None) is None:
            return _report(tracker, tracked, "it is not excluded")
        tracker.driver.reschedule(tracked)
        tracker.log.warning("call_included", call=tracked)
        return _report(tracker, tracked)

    async def hang_up(self, tracker: CallTracker, tracked: TrackedCall) -> ActionReport:
        """Hang up one call, whatever its session says. Its CDR says that an operator did."""
        self._metrics.operator.labels("hang_up").inc()
        channels = tracker.channels
        try:
            if not await channels.has_dialog(tracked.channel, tracked.key) or tracked.gone:
                return _report(tracker, tracked, "the channel has another call, or none")
            *_, last = await channels.carry_out(
                refresh_actions.hang_up_as_told(tracked.channel, self._rules.cdr_field)
            )
        except AmiError as error:
            return _report(tracker, tracked, str(error))
        if not last.ok:
            return _report(tracker, tracked, last.reason or "Asterisk refused")
        tracker.log.warning(
            "hung_up_by_operator",
            call=tracked,
            channel=tracked.channel,
            peer=tracked.peer or None,
            reason="operator",
        )
        return _report(tracker, tracked)

    async def refresh(self, tracker: CallTracker, tracked: TrackedCall) -> RefreshReport:
        """Refresh one call now, and wait for what comes of it."""
        self._metrics.operator.labels("refresh").inc()
        return await manual_refresh.refresh(tracker, tracked)

    async def refresh_peer(self, peer: str, rate: float) -> AsyncGenerator[RefreshReport, None]:
        """Refresh every call of a profile, `rate` a second, and report each as its outcome is known.

        What is under way when the caller leaves is followed as usual; no further refresh is sent. Raises
        `Busy` where the calls of a peer are being refreshed already.
        """
        if self._refreshing:
            raise Busy(f"the calls of {self._refreshing} are being refreshed: wait, or stop that command")
        self._metrics.operator.labels("refresh_peer").inc()
        self._refreshing = peer
        try:
            found = [
                (tracker, tracked)
                for tracker in self._trackers
                for tracked in tracker.by_key.values()
                if (tracked.peer or GENERAL) == peer
            ]
            self._log.warning("peer_refresh_started", peer=peer, calls=len(found), rate=rate)
            async for report in self._one_by_one(found, 1 / rate):
                yield report
        finally:
            self._refreshing = ""

    async def _one_by_one(
        self, found: Sequence[tuple[CallTracker, TrackedCall]], pause: float
    ) -> AsyncGenerator[RefreshReport, None]:
        under_way: set[asyncio.Task[RefreshReport]] = set()
        left = iter(found)
        due = self._now()
        more = True
        try:
            while more or under_way:
                if more and self._now() >= due:
                    due += pause
                    each = next(left, None)
                    if each is None:
                        more = False
                    elif not each[1].gone:
                        under_way.add(asyncio.create_task(manual_refresh.refresh(*each)))
                    continue
                timeout = max(0.0, due - self._now()) if more else None
                if not under_way:
                    await asyncio.sleep(timeout or 0.0)
                    continue
                done, under_way = await asyncio.wait(
                    under_way, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    yield task.result()
        finally:
            # Whoever asked has left: what is under way comes to its end all the same.
            for task in under_way:
                self._left.add(task)
                task.add_done_callback(self._left.discard)


def _report(tracker: CallTracker, tracked: TrackedCall, reason: str = "") -> ActionReport:
    return {
        "asterisk": tracker.name,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "done": not reason,
        "reason": reason,
    }
