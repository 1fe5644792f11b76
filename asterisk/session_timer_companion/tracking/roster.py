"""Who is under watch: found by dialog and by channel, through every change of channel, to the end."""

from __future__ import annotations

import structlog

from session_timer_companion.timers.tracked_call import Watch


class Roster:
    """The calls of one Asterisk that are under watch."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        self.by_key: dict[str, Watch] = {}
        self._by_channel: dict[str, Watch] = {}
        self._log = log

    def add(self, watch: Watch) -> None:
        self.by_key[watch.key] = watch
        self._by_channel[watch.channel] = watch

    def on(self, channel: str) -> Watch | None:
        """The call that this channel carries."""
        return self._by_channel.get(channel)

    def leave(self, channel: str) -> None:
        """This channel no longer carries the call that it did."""
        del self._by_channel[channel]

    def move(self, watch: Watch, channel: str) -> None:
        """A call is carried by this channel, from now on or as before."""
        if watch.channel == channel and self.on(channel) is watch:
            return
        if self.on(watch.channel) is watch:
            self.leave(watch.channel)
        self._log.info("dialog has moved", call_id=watch.call_id, channel=channel, was=watch.channel)
        watch.channel = channel
        self._by_channel[channel] = watch

    def remove(self, watch: Watch, why: str) -> None:
        watch.gone = True
        self.by_key.pop(watch.key, None)
        if self.on(watch.channel) is watch:
            self.leave(watch.channel)
        self._log.info("no longer under watch", call_id=watch.call_id, channel=watch.channel, why=why)
