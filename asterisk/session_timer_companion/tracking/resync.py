"""Brings the tracked calls of one Asterisk in line with its channels, after each login.

Events that were missed are not made up for by AMI: so every answered channel is read, and the record of each
call whose timer does not run yet.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from session_timer_companion.ami.client import Ami, AmiRefused, AmiTimeout, AmiUnavailable
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.channels.calls import AnsweredChannels, Channel
from session_timer_companion.timers.tracked_call import UNKNOWN, TrackedCall

if TYPE_CHECKING:
    from session_timer_companion.tracking.tracker import CallTracker

CHANNELS_PER_READ = 250
"""Channels that are read in one go while many calls are found."""

READS_AT_ONCE = 4
"""How many of them are under way: Asterisk replies for some while an edge does for others."""


class Resync:
    """Reads all channels of `tracker`'s Asterisk; one run after each login."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        tracker: CallTracker,
        ami: Ami,
        channels: AsteriskChannels,
        *,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._tracker = tracker
        self._ami = ami
        self._channels = channels
        self._log = log
        self._chance = chance
        self._on_fault = on_fault
        self._now = asyncio.get_running_loop().time
        self._unseen: dict[str, TrackedCall] = {}
        """Calls from before this connection that were not found on it yet, while all channels are read."""

    def seen(self, key: str) -> None:
        """This call has been found on a channel."""
        self._unseen.pop(key, None)

    async def run(self) -> None:
        """Read everything; while the connection stands, again and again until that has succeeded."""
        read: set[str] = set()
        absent: list[Channel] = []
        tracker = self._tracker
        for attempt in itertools.count():
            try:
                await self._channels.examine()
                with tracker.changes.noting_ends():
                    await self._read_all(read, absent)
            except AmiTimeout as error:
                self._log.warning("sync_retried", reason=str(error))
            except AmiRefused as error:
                self._log.error("sync_refused", reason=error.reason)  # for the operator
                await asyncio.sleep(self._ami.backoff.delay(attempt, self._chance(), refused=True))
                self._ami.reconnect(str(error))
            except AmiUnavailable:
                return  # the connection is gone; the next one brings the next resync
            except Exception as error:  # noqa: BLE001  # calls must not die of our faults
                self._on_fault(error)
                # What is tracked already is kept: one call that cannot be read must not cost the others.
                tracker.driver.resume()
            else:
                await tracker.changes.look_again(absent)
                await self._channels.await_modules()
                return
            await asyncio.sleep(self._ami.backoff.delay(attempt, self._chance()))

    async def _read_all(self, read: set[str], absent: list[Channel]) -> None:
        """Bring what is tracked in line with the channels that Asterisk has. Raises AmiError.

        `read` has those that were read on this connection already; whatever is read now is added.
        `absent` gets those whose internal header may be readable only in a moment.
        """
        began = self._now()
        tracker, stuck = self._tracker, self._channels.stuck
        self._unseen = {key: call for key, call in tracker.by_key.items() if call.channel not in read}
        found: list[TrackedCall] = []
        try:
            listed = await self._channels.answered()
            await self._channels.try_on(name for name in listed.names if name not in read)
            readers = [self._track_all(listed, found, absent, read) for _ in range(READS_AT_ONCE)]
            # None is left behind at work when another one fails.
            for outcome in await asyncio.gather(*readers, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            for tracked in self._unseen.values():
                if not tracked.gone and tracked.channel not in stuck:
                    tracker.forget(tracked, "ended while we were away")
        finally:
            for tracked in found:
                tracked.busy = False
        tracker.in_sync.set()
        tracker.driver.resume()
        self._log.info(
            "in_sync",
            sessions=len(tracker.by_key),
            found=len(found),
            stuck=len(stuck),
            seconds=round(self._now() - began, 3),
        )

    async def _track_all(
        self, listed: AnsweredChannels, found: list[TrackedCall], absent: list[Channel], read: set[str]
    ) -> None:
        """Take channels out of `listed` and track the calls of those not in `read`, until none is left."""
        stuck = self._channels.stuck
        while some := listed.take(CHANNELS_PER_READ):
            unread = [each for each in some if each.name not in read and each.name not in stuck]
            await self._track(unread, found, absent, read)

    async def _track(
        self,
        listed: list[Channel],
        found: list[TrackedCall],
        absent: list[Channel],
        read: set[str],
    ) -> None:
        """Track the calls of some channels, and start each timer that does not run yet.

        Not only new calls have none: a reading may have been broken off between the channels and the records.
        """
        tracker = self._tracker
        fresh: list[TrackedCall] = []
        named = {channel.name: channel for channel in listed}
        for name, call in (await self._channels.calls(listed, tracker.config.edge.header)).items():
            if tracker.changes.has_ended(name):
                continue
            held = tracker.on(name)
            if call is None:  # Asterisk could not say; a call that we know of is kept
                if held is not None:
                    self.seen(held.key)
                tracker.look_at(name)
                continue
            if held is not None:
                call = call.as_known(held.key)  # noqa: PLW2901  # the same call, under its key
            self.seen(call.key)
            tracked = tracker.by_key.get(call.key)
            if tracked is not None:
                tracker.move(tracked, call.channel)
            elif tracker.may_be_late(call):
                absent.append(named[call.channel])
            else:
                tracked = tracker.track(call, refreshes=UNKNOWN)
            if tracked is not None and not tracked.begun:
                tracked.busy = True
                fresh.append(tracked)
        found += fresh
        edges = {tracked.edge for tracked in fresh}
        await asyncio.gather(
            *[tracker.settle(edge, [each for each in fresh if each.edge is edge]) for edge in edges]
        )
        read.update(channel.name for channel in listed)
