"""Who is tracked: found by dialog and by channel, through every change of channel, to the end."""

from __future__ import annotations

import structlog

from session_timer_companion.timers.tracked_call import TrackedCall


class Roster:
    """The calls of one Asterisk that are tracked."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self.by_key: dict[str, TrackedCall] = {}
        self._by_channel: dict[str, TrackedCall] = {}
        self._log = log

    def add(self, tracked: TrackedCall) -> None:
        self.by_key[tracked.key] = tracked
        self._by_channel[tracked.channel] = tracked

    def on(self, channel: str) -> TrackedCall | None:
        """The call that this channel carries."""
        return self._by_channel.get(channel)

    def leave(self, channel: str) -> None:
        """This channel no longer carries the call that it did."""
        del self._by_channel[channel]

    def move(self, tracked: TrackedCall, channel: str) -> None:
        """A call is carried by this channel, from now on or as before."""
        if tracked.channel == channel and self.on(channel) is tracked:
            return
        if self.on(tracked.channel) is tracked:
            self.leave(tracked.channel)
        self._log.info("dialog has moved", call_id=tracked.call_id, channel=channel, was=tracked.channel)
        tracked.channel = channel
        self._by_channel[channel] = tracked

    def remove(self, tracked: TrackedCall, why: str) -> None:
        tracked.gone = True
        self.by_key.pop(tracked.key, None)
        if self.on(tracked.channel) is tracked:
            self.leave(tracked.channel)
        self._log.info("no longer tracked", call_id=tracked.call_id, channel=tracked.channel, why=why)
