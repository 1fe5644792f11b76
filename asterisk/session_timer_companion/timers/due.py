"""What one call is to do now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from session_timer import session
from session_timer.session import Session

from session_timer_companion.timers.tracked_call import TrackedCall

RETRY = 1.0
"""Seconds before a refresh or a hang-up is tried again that Asterisk could not be told of."""


@dataclass(slots=True)
class PendingAction:
    """An action of a session; `before` is the session as it stood, for where Asterisk cannot be told."""

    tracked: TrackedCall
    before: Session
    action: session.Action

    def take_back(self, wake: float) -> None:
        """Nothing left: the session is as it was, unless a refresh of the peer has moved it on."""
        if self.tracked.active is not None and self.tracked.active.sent is not None:
            self.tracked.active = replace(self.before, wake=wake)
