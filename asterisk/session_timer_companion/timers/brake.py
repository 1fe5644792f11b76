"""The brake on hang-ups: many at once are a fault of ours until a person has looked.

Where most of them are calls with one peer, that peer's calls are kept and the others go on: whoever calls us
from one address and lets his calls die keeps nobody else's dead calls up. So it is with a second address, if
calls with all others are refreshed meanwhile: a fault of ours would meet those too. A third is no chance.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection

import structlog

from session_timer_companion.metrics import Metrics

MINUTE = 60.0

MOST_PEERS = 2
"""Peers whose calls are kept while the others go on. Each costs as many calls as a minute allows, if it is a
fault of ours after all."""


class HangUpBrake:
    """Counts the hang-ups of the last minute, those of all Asterisks; stops further ones when too many.

    `allowed` is how many a minute there may be at the moment. `refreshed` is how many calls with other peers
    than the given ones have been refreshed within a minute. It stays on until `release`.
    """

    def __init__(
        self,
        allowed: Callable[[], float],
        refreshed: Callable[[Collection[str]], int],
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.on = False
        """It stops all hang-ups."""
        self.peers: tuple[str, ...] = ()
        """The addresses of the peers whose calls alone it keeps."""
        self._allowed = allowed
        self._refreshed = refreshed
        self._metrics = metrics
        self._log = log
        self._recent: deque[tuple[float, str]] = deque()
        """When, and with whom."""

    @property
    def standing(self) -> str:
        """How it stands, in a word or a few: ``off``, ``on``, or ``on for <addresses>``."""
        if self.on:
            return "on"
        return f"on for {', '.join(self.peers)}" if self.peers else "off"

    def stops(self, now: float, far: str) -> str:
        """Why a call with the peer at `far` may not be hung up at `now`; empty: it may, and is counted."""
        self._count(now)
        if self.on:
            return "the brake is on: too many hang-ups within a minute"
        if far in self.peers:
            return "the brake is on for this peer: too many hang-ups within a minute"
        self._recent.append((now, far))
        return ""

    def not_done(self) -> None:
        """Asterisk would not hang up the call that was counted last: it was none."""
        if self._recent:
            self._recent.pop()

    def release(self) -> bool:
        """A person has looked: calls may be hung up again. Returns whether the brake was on."""
        was = self.standing != "off"
        self.on, self.peers = False, ()
        self._recent.clear()
        self._metrics.brake.set(0)
        if was:
            self._log.warning("brake_released")
        return was

    def _count(self, now: float) -> None:
        """Pull it where the next hang-up would be one too many."""
        while self._recent and self._recent[0][0] <= now - MINUTE:
            self._recent.popleft()
        hangups = len(self._recent)
        if self.on or hangups < self._allowed():
            return
        crowd = self._crowd(hangups)
        self.peers = (*self.peers, *crowd)
        self._recent = deque(each for each in self._recent if each[1] not in crowd)
        self.on = not crowd
        self._metrics.brake.set(1)
        self._log.error("brake_on", hangups=hangups, seconds=int(MINUTE), far=", ".join(crowd) or None)

    def _crowd(self, hangups: int) -> tuple[str, ...]:
        """The peers that have more than half of so many hang-ups, if their calls alone are to be kept."""
        calls, crowd = 0, tuple[str, ...]()
        counted = Counter(far for _, far in self._recent)
        for far, own in counted.most_common(MOST_PEERS - len(self.peers)):
            calls, crowd = calls + own, (*crowd, far)
            if calls > hangups / 2:
                break
        kept = (*self.peers, *crowd)
        if "" in crowd or calls <= hangups / 2 or (len(kept) > 1 and self._refreshed(kept) < calls):
            return ()
        return crowd
