"""What a peer says of its call: the crowd keeps it, the judge reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Account:
    """What became of one call."""

    call_id: str
    kind: str
    mortal: bool
    interval: int
    begun: float
    answered: float | None = None
    refreshed: float | None = None
    """When the last 2xx to a refresh, or to the INVITE, passed here."""
    refreshes: int = 0
    longest: float = 0.0
    """The longest time between two of them."""
    silent: float | None = None
    """When the peer died."""
    ended: float | None = None
    by: str = ""
    """`peer`: it hung up. `bye`: it got a BYE. `gone`: its request got 481. `failed`: the INVITE was refused.
    `fault`: its peer is dead, and Asterisk lost it. `asterisk`: so it did, and its BYE did not come here."""
    code: int = 0
    reason: str = ""

    def told(self) -> dict[str, Any]:
        return asdict(self)
