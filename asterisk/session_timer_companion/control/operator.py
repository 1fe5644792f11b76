"""What is alike for all Asterisks: what is kept of events, what is held back, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_timer_companion.control.holds import Holds
from session_timer_companion.events.history import History
from session_timer_companion.events.hook_settings import On
from session_timer_companion.events.hooks import Hooks

if TYPE_CHECKING:
    from session_timer_companion.timers.tracked_call import TrackedCall

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
