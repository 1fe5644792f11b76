"""What an edge's replies mean: a dialog's record or none, what has changed, how the edge is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from session_timer import Record
from session_timer.clock import Clocks

REFUSED_RECORDS = "lost_records"
"""The statistic of an edge that counts the records which its table has refused."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The edge has seen something of this dialog."""

    record: Record
    clocks: Clocks
    """As the edge that said so knows them: nobody else tells how old its records are."""


@dataclass(frozen=True, slots=True)
class Found(Shown):
    """The edge has a record of this dialog."""


@dataclass(frozen=True, slots=True)
class OnlyAsked(Shown):
    """The edge has lost its record, and has seen what became of our side's requests since.

    Of what was agreed it says nothing, nor of refreshes that it may have missed.
    """


@dataclass(frozen=True, slots=True)
class Missing:
    """The edge replied, and knows no such dialog."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No reply, or none that this code can read: nobody can say."""

    reason: str


RecordReply = Found | OnlyAsked | Missing | Unreachable


@dataclass(frozen=True, slots=True)
class Changes:
    """The records that changed in the last minute, by their key, and what else the edge says of itself."""

    records: Mapping[str, Record]
    facts: EdgeFacts | None = None


@dataclass(frozen=True, slots=True)
class EdgeFacts:
    """What an edge says of itself."""

    clock: str
    digest: str
    """Of the settings that edge and companion must agree on."""
    clocks: tuple[str, ...] = ()
    """The clocks of which it publishes readings: its own, and those of edges that replicate to it."""
    stats: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """An edge's hash table of records."""

    records: int
    slots: int


@dataclass(frozen=True, slots=True)
class LeadWanted:
    """Ask for the lead of one Asterisk; 0 seconds give it up."""

    asterisk: str
    by: str
    seconds: float

    def question(self) -> dict[str, Any]:
        """As the door reads it."""
        return {"name": self.asterisk, "by": self.by, "seconds": self.seconds}
