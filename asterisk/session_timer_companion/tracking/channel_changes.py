"""What is on channels that events have named: Asterisk is asked about those of one moment together.

A channel may hang up while it is read, may not be readable at that moment, or may show its internal header
only in the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from session_timer_companion.ami.client import AmiError, AmiTimeout
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.channels.calls import Call, Channel
from session_timer_companion.tracking.resync import CHANNELS_PER_READ
from session_timer_companion.tracking.unreadable import UnreadableChannels

SETTLE = 0.02
"""Seconds that events are gathered before Asterisk is asked about their channels."""

LOOK_AGAIN = 0.5
"""Seconds after which an answered call without internal header is looked at once more."""

NamedChannels = Mapping[str, Channel | None]
"""Channels by name; one with its `Channel` was answered this moment."""


class ChannelChanges:
    """Those of one Asterisk, as long as its connection stands."""

    def __init__(
        self,
        channels: AsteriskChannels,
        *,
        header: Callable[[], str],
        take_note: Callable[[NamedChannels, Mapping[str, Call | None]], Awaitable[None]],
        background: BackgroundTasks,
    ) -> None:
        """`header` says what the internal header is called.

        `take_note` gets what was asked for and what is there: None for a channel that has gone. What could
        not be read is not among it.
        """
        self._channels = channels
        self._header = header
        self._take_note = take_note
        self._background = background
        self._to_look: dict[str, Channel | None] = {}
        self._unreadable = UnreadableChannels(self.look_at, background)
        self._readers = 0
        self._ended: set[str] = set()
        """Channels that hung up while channels were being read: what was read of them is out of date."""

    def look_at(self, channel: str, answered: Channel | None = None) -> None:
        """Ask Asterisk for a channel, with others that changed in the same moment.

        `answered`: it was answered this moment, so that its record need not be read.
        """
        if not self._to_look:
            self._background.spawn(self._look())
        self._to_look[channel] = answered if self._to_look.get(channel, answered) else None

    def look_later(self, answered: Channel) -> None:
        """Look once more, in a moment, at an answered channel whose internal header was absent."""
        self._background.spawn(self.look_again([answered]))

    def hung_up(self, channel: str) -> None:
        """This channel is gone."""
        if self._readers:
            self._ended.add(channel)
        self._to_look.pop(channel, None)
        self._unreadable.forget(channel)

    def begin_anew(self) -> None:
        """A connection is up, and every channel is read on it."""
        self._unreadable.clear()

    @contextlib.contextmanager
    def noting_ends(self) -> Iterator[None]:
        """Remember which channels hang up inside, for `has_ended`."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._ended.clear()

    def has_ended(self, channel: str) -> bool:
        """Whether this channel hung up while channels were being read."""
        return channel in self._ended

    async def _look(self) -> None:
        await asyncio.sleep(SETTLE)
        with self.noting_ends():
            await self._look_now()

    async def _look_now(self) -> None:
        stuck = self._channels.stuck
        while self._to_look:
            asked, self._to_look = self._to_look, {}
            asked = {name: channel for name, channel in asked.items() if name not in stuck}
            answered = [channel for channel in asked.values() if channel is not None]
            gone: dict[str, Call | None] = {}
            try:
                for name, known in asked.items():
                    if known is None:
                        channel = await self._channels.channel(name)
                        if channel is None:
                            gone[name] = None
                            self._unreadable.forget(name)
                        else:
                            answered.append(channel)
                found = await self._channels.calls(answered, self._header())
            except AmiTimeout:
                # It is slow, not gone. What was answered a while ago may have been refreshed meanwhile.
                self._to_look = dict.fromkeys(asked) | self._to_look
                continue
            except AmiError:
                return  # what was missed is found when Asterisk is back
            await self._take_note(asked, {**gone, **self._readable(found)})

    async def look_again(self, absent: Sequence[Channel]) -> None:
        """Look once more, after a moment, at answered channels whose internal header was absent."""
        await asyncio.sleep(LOOK_AGAIN)
        with self.noting_ends():
            for start in range(0, len(absent), CHANNELS_PER_READ):
                some = absent[start : start + CHANNELS_PER_READ]
                some = [each for each in some if each.name not in self._channels.stuck]
                try:
                    present = await self._channels.calls(some, self._header())
                    await self._channels.try_headers(present.values())
                except AmiTimeout:
                    for channel in some:  # it is slow, not gone
                        self.look_at(channel.name)
                except AmiError:
                    return  # they are read again when Asterisk is back
                else:
                    found = self._readable(present)
                    await self._take_note(dict.fromkeys(found), found)

    def _readable(self, found: Mapping[str, Call | None]) -> dict[str, Call]:
        """What Asterisk could say. Where it could not, the channel is looked at again: that is no end."""
        for name, call in found.items():
            if call is None:
                self._unreadable.note(name)
            else:
                self._unreadable.forget(name)
        return {name: call for name, call in found.items() if call is not None}
