"""What a record shows of a refresh of ours. Nothing is inferred from absence.

A call is hung up only after a chain of facts, each of them seen. The edge that keeps the record is on the
dialog's path. We made Asterisk send a request, and it passed that edge. That very request timed out there, or
the far side answered it with 408 or 481 (RFC 4028 section 10). The peer has sent nothing since. Each way to
break the chain has a name here, because each asks for another next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .record import Asked, Outcome, Record

TOLERANCE = 1.5
"""Seconds by which another host's time may be read wrongly: its clock is known from readings a second old."""

GONE_CODES = frozenset({408, 481})
"""From the far side these say that there is no such call any more (RFC 4028 section 10)."""


class Shows(StrEnum):
    """What a record shows of one refresh of ours."""

    ANSWERED = "answered"
    """A 2xx of either side has passed since."""
    ALIVE = "alive"
    """It timed out or was answered 408 or 481, yet a request of the peer has passed since it left."""
    REFUSED = "refused"
    """The peer responds, but does not accept this refresh."""
    CHALLENGED = "challenged"
    """401 or 407: Asterisk answers the challenge by itself, with a request of its own."""
    GONE = "gone"
    """408 or 481 from the far side: a link of a hang-up."""
    TIMED_OUT = "timed_out"
    """It passed the edge, and no final response came there: a link of a hang-up."""
    UNROUTABLE = "unroutable"
    """The edge could not send it on: this says nothing of the peer."""
    UNDER_WAY = "under_way"
    """It passed the edge, and no final response has come yet."""
    NEVER_PASSED = "never_passed"
    """No request of ours has passed the edge since: Asterisk sent none, or an edge's route is not armed."""
    OFF_PATH = "off_path"
    """This edge does not see the dialog's requests, so its silence says nothing."""
    UNKNOWN = "unknown"
    """The record's clock is not known, so its times cannot be compared with ours."""

    @property
    def ends_a_call(self) -> bool:
        """True for what a hang-up may rest on."""
        return self in (Shows.GONE, Shows.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a record shows, and the request that shows it."""

    what: Shows
    request: Asked | None = None


ToOurs = Callable[[str, float], float | None]
"""Converts a time on the named clock to seconds on ours; None for a clock that is not known."""


def shows(record: Record, sent: float, to_ours: ToOurs) -> Seen:
    """Call after each read of a record, while a refresh of ours is open.

    `sent` is when we made Asterisk send it, in seconds on our clock. Returns what the record shows of it
    (RFC 4028 section 10).
    """
    at = to_ours(record.clock, record.at)
    if at is None:
        return Seen(Shows.UNKNOWN)
    if at >= sent:
        return Seen(Shows.ANSWERED, record.ours)
    ours = record.ours
    passed = None if ours is None else to_ours(ours.clock or record.clock, ours.at)
    if ours is not None and passed is None:
        return Seen(Shows.UNKNOWN, ours)
    if ours is None or passed is None or passed < sent - TOLERANCE:
        return Seen(Shows.NEVER_PASSED if record.on_path else Shows.OFF_PATH, ours)
    what = _outcome(ours)
    theirs = record.theirs
    heard = None if theirs is None else to_ours(theirs.clock or record.clock, theirs.at)
    if what.ends_a_call and heard is not None and heard >= sent:
        what = Shows.ALIVE
    return Seen(what, ours)


def _outcome(ours: Asked) -> Shows:
    match ours.outcome:
        case Outcome.OPEN:
            return Shows.UNDER_WAY
        case Outcome.ANSWERED:
            return Shows.ANSWERED
        case Outcome.TIMED_OUT:
            return Shows.TIMED_OUT
        case Outcome.UNROUTABLE:
            return Shows.UNROUTABLE
        case Outcome.REFUSED if ours.code in GONE_CODES:
            return Shows.GONE
        case Outcome.REFUSED if ours.code in (401, 407, 494):
            return Shows.CHALLENGED
    return Shows.REFUSED
