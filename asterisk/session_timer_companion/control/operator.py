"""What is alike for all Asterisks: what is kept of events, what an operator holds back, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_timer_companion.events.call_log import History
from session_timer_companion.events.hook_settings import On
from session_timer_companion.events.hooks import Hooks

if TYPE_CHECKING:
    from session_timer_companion.timers.tracked_call import TrackedCall


@dataclass(slots=True)
class Holds:
    """What is held back. Times are seconds of the event loop's clock."""

    paused_at: float | None = None
    """Since when nothing is sent and nobody is hung up; None: nothing is paused."""
    excluded: dict[str, float] = field(default_factory=dict)
    """Calls for which nothing is done, by the key of their record, and since when."""

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    def why(self, key: str) -> str:
        """Why nothing is done for this call; empty: it is."""
        if self.paused:
            return "the companion is paused (session-timer resume)"
        if key in self.excluded:
            return "an operator has excluded this call (session-timer resume CALL-ID)"
        return ""


_HOOKED: dict[str, On] = {
    "hung_up": "hung_up",
    "hung_up_by_operator": "hung_up",
    "refresh_refused": "refused",
}
"""The events that hooks are told of, and what they call them."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Shared by the trackers of all Asterisks."""

    history: History
    hooks: Hooks
    holds: Holds = field(default_factory=Holds)

    def heard(self, asterisk: str, event: str, call: TrackedCall, details: Mapping[str, object]) -> None:
        """An event of a call: tell the hooks that want to hear of it."""
        on = _HOOKED.get(event)
        if on is None:
            return
        facts: dict[str, object] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "asterisk": asterisk,
            "call_id": call.call_id,
            "channel": call.channel,
            "peer": call.peer,
            "numbers": call.numbers,
        }
        self.hooks.tell(on, facts | {name: value for name, value in details.items() if value is not None})
