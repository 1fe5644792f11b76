"""What an operator holds back. Kept in memory alone: a restart holds nothing back."""

from __future__ import annotations

from dataclasses import dataclass, field


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
