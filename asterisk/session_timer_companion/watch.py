"""One call under watch, and what a record that was read means for it."""

from __future__ import annotations

from dataclasses import dataclass

from session_timer import Record, RefreshResponse, Side
from session_timer.session import Method, Session

from session_timer_companion import calls
from session_timer_companion.clocks import Clocks
from session_timer_companion.edge import Edge

UNKNOWN = -1
"""The count of refreshes of a call whose record has not been read yet."""

TOLERANCE = 1.5
"""Seconds by which another host's time may be read too late: readings are published each second."""


@dataclass(slots=True)
class Attempt:
    """A refresh of ours that is under way; times in seconds on our clock."""

    before: Session
    """The session as it stood: if Asterisk cannot be told to send, nothing was sent."""
    method: Method
    sent: float
    polls: int = 0
    """How often the record was read since."""
    second_tried: bool = False
    other_form: bool = False
    """A second form of refresh was sent too, because nothing shows that the first ever left."""


@dataclass(slots=True, eq=False)
class Watch:
    """A call, its timer, and what was last read of its record. There may be 100,000: keep it small."""

    channel: str
    """Asterisk's name for it. Transfers may change it."""
    key: str
    """Of the record. It stays."""
    edge: Edge
    session: Session
    refreshes: int = UNKNOWN
    number: str = ""
    """To be set as connected number before the first UPDATE; empty where Asterisk has one."""
    failure_at: float | None = None
    """Of the last failure that was dealt with, on the record's clock."""
    wake: float | None = None
    """When the agenda wakes it, on our clock."""
    attempt: Attempt | None = None
    busy: bool = False
    """A task of it is under way, and will see to the next wake."""
    gone: bool = False

    def __lt__(self, other: Watch) -> bool:
        """Two that wake at the same moment come in any order."""
        return False

    @property
    def call_id(self) -> str:
        return calls.call_id(self.key)

    @property
    def endpoint(self) -> str:
        return calls.endpoint(self.channel)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The record tells of a 2xx that the session does not know yet."""

    since: float
    """When it passed, in seconds on our clock."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The record tells of a non-2xx to a refresh of ours."""

    answer: RefreshResponse


def news(watch: Watch, record: Record, clocks: Clocks, now: float) -> Refreshed | Refused | None:
    """What `record` tells beyond what the watch knows; None for nothing."""
    at = clocks.ours(record.clock, record.at)
    session = watch.session
    counted = watch.refreshes != UNKNOWN and record.refreshes > watch.refreshes
    # An edge that lost its table counts from zero again; its time still tells.
    later = at is not None and at > session.since + TOLERANCE and record.refreshes != watch.refreshes
    if counted or later:
        return Refreshed(now if at is None else min(now, at))
    failure = record.failure
    if failure is None or failure.sender is not Side.LOCAL or failure.at == watch.failure_at:
        return None
    failed_at = clocks.ours(record.clock, failure.at)
    sent = session.sent
    if sent is None or (failed_at is not None and failed_at < sent - TOLERANCE):
        return None
    return Refused(RefreshResponse(code=failure.code, retry_after=failure.retry_after))
