"""The brake on hang-ups: many at once are a fault of ours until a person has looked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog

from session_timer_companion.metrics import Metrics

MINUTE = 60.0


class HangUpBrake:
    """Counts the hang-ups of the last minute, those of all Asterisks; stops all further ones when too many.

    `allowed` is how many a minute there may be at the moment. It stays on until `release`.
    """

    def __init__(
        self,
        allowed: Callable[[], float],
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.on = False
        self._allowed = allowed
        self._metrics = metrics
        self._log = log
        self._recent: deque[float] = deque()

    def stops(self, now: float) -> bool:
        """Whether no call may be hung up at `now`; else this hang-up is counted."""
        if self.on:
            return True
        while self._recent and self._recent[0] <= now - MINUTE:
            self._recent.popleft()
        if len(self._recent) >= self._allowed():
            self.on = True
            self._metrics.brake.set(1)
            self._log.error("brake_on", hangups=len(self._recent), seconds=int(MINUTE))
            return True
        self._recent.append(now)
        return False

    def not_done(self) -> None:
        """Asterisk would not hang up the call that was counted last: it was none."""
        if self._recent:
            self._recent.pop()

    def release(self) -> bool:
        """A person has looked: calls may be hung up again. Returns whether the brake was on."""
        was, self.on = self.on, False
        self._recent.clear()
        self._metrics.brake.set(0)
        if was:
            self._log.warning("brake_released")
        return was
