"""One tracked call, and what a record that was read says about it."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

from session_timer import DialogTimer, Policy, Record, RefreshResponse, Side, session
from session_timer.session import PROBE_TIME, Method, Session

from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import calls
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.clocks import Clocks

UNKNOWN = -1
"""The count of refreshes of a call whose record has not been read yet."""

TOLERANCE = 1.5
"""Seconds by which another host's time may be read too late: readings are published each second."""

RETRY = 1.0
"""Seconds before a refresh or a hang-up is tried again that Asterisk could not be told of."""

_PLACES = tuple(place / 256 for place in range(256))


def place(key: str) -> float:
    """A call's constant place in [0, 1); of few values, so that many calls share one number."""
    return _PLACES[zlib.crc32(key.encode("utf-8", "surrogateescape")) % len(_PLACES)]


@lru_cache(maxsize=10_000)
def shared(dialog: DialogTimer) -> DialogTimer:
    """One object for all calls that agreed on the same: thousands of calls have few agreements."""
    return dialog


@dataclass(slots=True)
class Attempt:
    """A refresh of ours that is under way; times in seconds on our clock."""

    method: Method
    sent: float
    polls: int = 0
    """How often the record was read since."""
    second_tried: bool = False
    other_form: float | None = None
    """When a refresh with SDP was sent too, because nothing shows that the first form ever left."""
    reported: asyncio.Future[tuple[RefreshOutcome, str]] | None = None
    """Gets the outcome and its reason, where an operator asked for this refresh."""

    @property
    def surely_left_at(self) -> float | None:
        """When this refresh left Asterisk for sure, so that silence is the peer's; None: perhaps never.

        Asterisk drops an UPDATE by connected line, yet reports Success, where the endpoint has no `send_pai`,
        where the number is hidden, and where it has gone. So one answered UPDATE does not prove that the next
        one leaves. A refresh with SDP, as `refresh_actions` makes Asterisk send it, leaves.
        """
        return self.other_form if self.method is Method.UPDATE else self.sent


@dataclass(slots=True, eq=False)
class TrackedCall:
    """A call, its timer, and what was last read of its record.

    There may be 100,000. So a session that merely waits for its time is not kept: it is made again from
    what was agreed and when (`rest`).
    """

    channel: str
    """Asterisk's name for it. Transfers may change it."""
    key: str
    """Of the record. It stays."""
    edge: EdgeClient | None
    """Where its record is; None: Asterisk faces the carrier itself, and nobody keeps one."""
    policy: Policy
    placed_by_us: bool
    """Our side sent the initial INVITE."""
    dialog: DialogTimer
    since: float
    """When the last 2xx that we know of passed, on our clock."""
    peer: str = ""
    """The profile that it is held to; empty: the general settings."""
    numbers: str = ""
    """The numbers of both parties, as far as Asterisk knows them, for who searches."""
    history: bytes = b""
    """Its last events (`events/history.py`)."""
    refreshes: int = UNKNOWN
    number: str = ""
    """To be set as connected number before the first UPDATE; empty where Asterisk has one."""
    wake: int | None = None
    """The scheduler's: when it wakes this call."""
    failure_at: float | None = None
    """Of the last failure that was dealt with, on the record's clock."""
    hindrance: str = ""
    """What kept Asterisk from sending the last refresh, as it was logged; empty: it was sent."""
    active: Session | None = None
    """The session while it does more than wait."""
    attempt: Attempt | None = None
    busy: bool = False
    """A task has it in hand, and will see to the next wake."""
    gone: bool = False

    @property
    def call_id(self) -> str:
        return calls.call_id(self.key)

    @property
    def endpoint(self) -> str:
        return calls.endpoint(self.channel)

    @property
    def begun(self) -> bool:
        """Its record has been read, or its timer runs without."""
        return self.refreshes != UNKNOWN or self.wake is not None or self.active is not None

    def current_session(self) -> Session:
        """The session as it stands; made anew where it only waits, so keep what this returns."""
        if self.active is not None:
            return self.active
        return session.begin(
            self.dialog, self.since, self.policy, owns_call_id=self.placed_by_us, spread=self.spread
        )

    @property
    def spread(self) -> float:
        """Where its refresh lies in the time over which refreshes are spread."""
        return place(self.key)

    def rest(self, waiting: Session) -> None:
        """Keep a session that a 2xx has just begun anew."""
        self.dialog = waiting.dialog
        self.since = waiting.since
        self.active = waiting if waiting.failed else None


@dataclass(slots=True)
class PendingAction:
    """What one call is to do now; `before` is its session as it stood, for where Asterisk cannot be told."""

    tracked: TrackedCall
    before: Session
    action: session.Action

    def take_back(self, wake: float) -> None:
        """Nothing left: the session is as it was, unless a refresh of the peer has moved it on."""
        if self.tracked.active is not None and self.tracked.active.sent is not None:
            self.tracked.active = replace(self.before, wake=wake)


def second_form_due(tracked: TrackedCall, attempt: Attempt) -> float | None:
    """When to send a refresh with SDP too; None where none is needed, or the session can try one later.

    In seconds of our clock: half-way to the verdict, so that it can still be answered.
    """
    standing = tracked.current_session()
    if attempt.second_tried or attempt.surely_left_at is not None or standing.sent is None:
        return None
    if standing.wake is None or standing.deadline is None or standing.deadline - standing.wake >= PROBE_TIME:
        return None
    return (attempt.sent + standing.wake) / 2


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The record shows a 2xx that the session does not know yet."""

    since: float
    """When it passed, in seconds on our clock."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The record shows a non-2xx to a refresh of ours."""

    response: RefreshResponse


def news(tracked: TrackedCall, record: Record, clocks: Clocks, now: float) -> Refreshed | Refused | None:
    """What `record` shows beyond what is known of the call; None for nothing."""
    at = clocks.ours(record.clock, record.at)
    counted = tracked.refreshes != UNKNOWN and record.refreshes > tracked.refreshes
    sent = tracked.active.sent if tracked.active is not None else None
    if sent is None and tracked.attempt is not None:
        sent = tracked.attempt.sent
    known = tracked.since + TOLERANCE
    if tracked.refreshes == UNKNOWN and sent is not None:
        # How old the call is was a guess, perhaps made the moment before our refresh left.
        known = min(known, sent)
    # An edge that lost its table counts anew, and may come to any number again; its time still tells.
    later = at is not None and at > known
    if counted or later:
        return Refreshed(now if at is None else min(now, at))
    failure = record.failure
    if failure is None or failure.sender is not Side.LOCAL or failure.at == tracked.failure_at:
        return None
    failed_at = clocks.ours(failure.clock or record.clock, failure.at)
    if sent is None or (failed_at is not None and failed_at < sent - TOLERANCE):
        return None
    response = RefreshResponse(
        code=failure.code, min_se=record.dialog.min_se, retry_after=failure.retry_after
    )
    return Refused(response)
