"""The brake on hang-ups: many at once are a fault of ours until a person has looked.

Where most of them are calls with one peer, that peer's calls are kept and the others go on: whoever calls us
from one address and lets his calls die keeps nobody else's dead calls up. A second such peer is no chance.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import structlog

from session_timer_companion.metrics import Metrics

MINUTE = 60.0


class HangUpBrake:
    """Counts the hang-ups of the last minute, those of all Asterisks; stops further ones when too many.

    `allowed` is how many a minute there may be at the moment. It stays on until `release`.
    """

    def __init__(
        self,
        allowed: Callable[[], float],
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.on = False
        """It stops all hang-ups."""
        self.peer = ""
        """The address of the one peer whose calls it keeps; empty: of none."""
        self._allowed = allowed
        self._metrics = metrics
        self._log = log
        self._recent: deque[tuple[float, str]] = deque()
        """When, and with whom."""

    @property
    def standing(self) -> str:
        """How it stands, in a word or a few: ``off``, ``on``, or ``on for <address>``."""
        if self.on:
            return "on"
        return f"on for {self.peer}" if self.peer else "off"

    def stops(self, now: float, far: str) -> str:
        """Why a call with the peer at `far` may not be hung up at `now`; empty: it may, and is counted."""
        self._count(now)
        if self.on:
            return "the brake is on: too many hang-ups within a minute"
        if far and far == self.peer:
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
        self.on, self.peer = False, ""
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
        far, most = Counter(far for _, far in self._recent).most_common(1)[0]
        if far and not self.peer and most > hangups / 2:
            self.peer = far
            self._recent = deque(each for each in self._recent if each[1] != far)
        else:
            self.on = True
        self._metrics.brake.set(1)
        self._log.error(
            "brake_on", hangups=hangups, seconds=int(MINUTE), far=self.peer if not self.on else None
        )
