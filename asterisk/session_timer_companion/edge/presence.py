"""What is known of whether an edge is there, beyond whether its door replies: dead, or only silent.

Nothing may be sent through a dead edge, because Asterisk would end the call for it. Through one whose door
alone is silent a refresh must be sent, because the peer would hang up without. Three things tell them apart:

- a connection to the door is refused: the host is there, and nobody serves the door any more;
- the host says nothing at all, though it refused connections while the door replied;
- a call has come through the edge meanwhile: then SIP is well there, whatever became of its door.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from session_timer_companion.edge.host import Seen

LATE = 10.0
"""Seconds. A call that is told of by then may have come before the door fell silent: Asterisk may be slow."""

SERVED = 60.0
"""Seconds for which one call shows that SIP is well."""


class DoorSeen(Enum):
    """What came of a question at a door."""

    REPLIED = "replied"
    REFUSED = "refused"
    """Nobody takes a connection there."""
    UNREACHABLE = "unreachable"
    """The network says that the host is not there."""
    WRONG = "wrong"
    """No reply in time, or none of this edge's door."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Times are in seconds on our clock. Each method returns the next one."""

    door: DoorSeen | None = None
    """What came of the last question; None before the first."""
    known: bool = False
    """Its door has replied before: the address is the edge's."""
    lost: float = 0.0
    """Since when its door does not reply."""
    speaks: bool = False
    """Its host refused a connection when it was looked at last while the door replied."""
    host: Seen = Seen.UNKNOWN
    """What came of the last look at its host since `lost`."""
    called: float | None = None
    """When the last call came through it."""

    def asked(self, door: DoorSeen, now: float) -> Presence:
        """A question has been put at its door."""
        if door is DoorSeen.REPLIED:
            return replace(self, door=door, known=True, host=Seen.UNKNOWN)
        lost = self.lost if self.door not in (DoorSeen.REPLIED, None) else now
        return replace(self, door=door, lost=lost)

    def looked(self, host: Seen) -> Presence:
        """Its host has been looked at."""
        if self.door is DoorSeen.REPLIED:
            return self if host is Seen.UNKNOWN else replace(self, speaks=host is Seen.THERE)
        return replace(self, host=host)

    def served(self, now: float) -> Presence:
        """A call has just been answered that came through it."""
        return replace(self, called=now)

    def is_down(self, now: float) -> bool:
        """Whether it is known to be down: what is sent through it goes nowhere."""
        if not self.known or self._serves(now):
            return False
        match self.door:
            case DoorSeen.REFUSED:
                return True
            case DoorSeen.UNREACHABLE:  # a firewall says so too, of a host that is there
                return self.host is not Seen.THERE
            case DoorSeen.WRONG:
                return self.speaks and self.host is Seen.SILENT
        return False

    def _serves(self, now: float) -> bool:
        return self.called is not None and self.called > self.lost + LATE and now < self.called + SERVED
