"""What load of real calls is put on the stack, and SIPp's scenarios at its interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

INTERVAL = 90
CARRIER = 45
"""Host number of the address whose profile has that interval."""
HALF = INTERVAL / 2
PERIOD = 42
"""Seconds between two refreshes of the carrier (companion/refreshing.xml)."""
RAMP = 20
"""Calls a second of each kind at the start."""
HOLD = 10
"""Seconds that a short call lasts (companion/short.xml)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is put on the stack. Rates are calls a second."""

    calls: int
    seconds: int
    new: float
    silent: float
    interval: int = INTERVAL
    """The session interval in seconds."""
    carrier: int = CARRIER
    """Host number of the address from which they come: its profile allows that interval, and we refresh."""

    @property
    def period(self) -> float:
        """Seconds between two refreshes of the carrier."""
        return PERIOD * self.interval / INTERVAL

    def changed(self, calls: int | None, seconds: int | None) -> Load:
        return replace(self, calls=calls or self.calls, seconds=seconds or self.seconds)

    @property
    def ramp(self) -> float:
        return self.calls / 2 / RAMP


def scenario(name: str, load: Load) -> str:
    """The scenario of this name, at the interval of the load."""
    text = (Path(__file__).parent / "companion" / f"{name}.xml").read_text(encoding="utf-8")
    text = text.replace(f"Session-Expires: {INTERVAL}", f"Session-Expires: {load.interval}")
    text = text.replace(f"^ *{INTERVAL};", f"^ *{load.interval};")
    text = text.replace(f'"{INTERVAL}000"', f'"{load.interval}000"')
    return text.replace(f'"{PERIOD}000"', f'"{round(1000 * load.period)}"')
