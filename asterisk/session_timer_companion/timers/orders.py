"""Where Asterisk refuses what it is told: wait longer each time, and stop where it refuses everything."""

from __future__ import annotations

from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics

LONGEST = 60.0
"""Seconds between two tries for one call at most."""

LAST_TRIES = 10.0
"""Seconds between two tries where there is no time left to wait for."""

REFUSALS = 20
"""So many refusals in a row, and none that was carried out, open the breaker."""

TRIAL = 10.0
"""Seconds between two trials while it is open."""

_GONE = "no such channel"


def next_try(refusals: int, now: float, latest: float | None) -> float:
    """When to try again after so many refusals in a row (1 for the first), in seconds of our clock.

    `latest` is until when a refresh is still in time.
    """
    wait = min(LONGEST, 2.0 ** min(refusals - 1, 16))
    if latest is not None and now < latest:
        return min(now + wait, latest)
    return now + min(wait, LAST_TRIES)


class Breaker:
    """One Asterisk's: open while it refuses whatever it is told."""

    def __init__(self, asterisk: str, metrics: Metrics, log: CallLog) -> None:
        self.open = False
        self._gauge = metrics.orders_refused.labels(asterisk)
        self._gauge.set(0)
        self._log = log
        self._refusals = 0
        self._next_trial = 0.0

    def refused(self, reason: str, now: float) -> None:
        """Asterisk has refused an order."""
        if reason.lower().startswith(_GONE):
            return  # a matter of that call alone
        self._refusals += 1
        if self._refusals >= REFUSALS and not self.open:
            self.open = True
            self._next_trial = now + TRIAL
            self._gauge.set(1)
            self._log.error("orders_refused", reason=reason)

    def carried_out(self) -> None:
        """Asterisk has done what it was told."""
        self._refusals = 0
        if self.open:
            self.open = False
            self._gauge.set(0)
            self._log.info("orders_accepted")

    def admits(self, now: float) -> bool:
        """Whether an order may be given: always while closed, else one as a trial now and then."""
        if not self.open:
            return True
        if now < self._next_trial:
            return False
        self._next_trial = now + TRIAL
        return True
