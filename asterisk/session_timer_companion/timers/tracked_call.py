"""One tracked call, and what a record that was read says about it."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from sys import intern

from session_timer import DialogTimer, Outcome, Policy, Record, session
from session_timer.session import Method, Session, State

from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import calls
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.replies import Found

UNKNOWN = -1
"""The count of refreshes of a call whose record has not been read yet."""

TOLERANCE = 1.5
"""Seconds by which another host's time may be read too late: readings are published each second."""

RETRY = 1.0
"""Seconds before what a fault of ours kept back is tried again, and a hang-up that was not carried out."""

_PLACES = tuple(place / 256 for place in range(256))


def place(key: str) -> float:
    """A call's constant place in [0, 1); of few values, so that many calls share one number."""
    return _PLACES[zlib.crc32(key.encode("utf-8", "surrogateescape")) % len(_PLACES)]


@lru_cache(maxsize=10_000)
def shared(dialog: DialogTimer) -> DialogTimer:
    """One object for all calls that agreed on the same: thousands of calls have few agreements."""
    return dialog


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call is held to. Thousands of calls have the same: get it from `terms`, which shares it."""

    edge: EdgeClient | None
    """Where the record is; None: Asterisk faces the carrier itself, and nobody keeps one."""
    policy: Policy
    peer: str = ""
    """The profile; empty: the general settings."""
    placed_by_us: bool = False
    """Our side sent the initial INVITE."""
    connected: bool = True
    """Asterisk knows a number of the other party, without which it sends no UPDATE by connected line."""


terms = lru_cache(maxsize=10_000)(Terms)
"""One `Terms` for all calls that are held to the same."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What kept the last refresh or hang-up of a call from being done."""

    reason: str = ""
    """As it was logged; empty: nothing did."""
    refusals: int = 0
    """How often in a row Asterisk refused to send a refresh."""


UNHINDERED = Hindrance()


@dataclass(slots=True)
class Attempt:
    """A refresh of ours that is under way; times in seconds on our clock."""

    method: Method
    sent: float
    polls: int = 0
    """How often the record was read since."""
    judged: bool = False
    """A hang-up that follows from it was put off: the record is read again when that is due, not before."""
    settled: bool = False
    """That it timed out at the edge was seen once already: Asterisk knows of it by now."""
    reported: asyncio.Future[tuple[RefreshOutcome, str]] | None = None
    """Gets the outcome and its reason, where an operator asked for this refresh."""

    @property
    def surely_left_at(self) -> float | None:
        """When this refresh left Asterisk as far as Asterisk tells; None: perhaps never.

        Asterisk drops an UPDATE by connected line, yet reports Success, where the endpoint has no `send_pai`,
        where the number is hidden, and where it has gone. This counts only where no edge can say what passed.
        """
        return None if self.method is Method.UPDATE else self.sent


class Tick(list["TrackedCall"]):
    """Those whom the scheduler wakes at the same time, and its number of that time."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


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
    terms: Terms
    dialog: DialogTimer
    since: float
    """When the last 2xx that we know of passed, on our clock."""
    refreshes: int = UNKNOWN
    numbers_utf8: bytes = b""
    """The numbers of both parties, as far as Asterisk knows them."""
    history: bytes = b""
    """Its last events (`events/call_log.py`)."""
    far: str = ""
    """Where the peer is, as the edge sees it."""
    wake: Tick | None = None
    """The scheduler's: with whom it wakes this call."""
    dealt: float | None = None
    """When the last refusal or timeout ended that was dealt with, on the record's clock."""
    hindrance: Hindrance = UNHINDERED
    active: Session | None = None
    """The session while it does more than wait."""
    attempt: Attempt | None = None
    busy: bool = False
    """A task has it in hand, and will see to the next wake."""
    gone: bool = False

    @property
    def edge(self) -> EdgeClient | None:
        return self.terms.edge

    @property
    def policy(self) -> Policy:
        return self.terms.policy

    @property
    def peer(self) -> str:
        return self.terms.peer

    @property
    def numbers(self) -> str:
        """Of both parties, for who searches; one of them where they are equal."""
        return " ".join(dict.fromkeys(self.numbers_utf8.decode("utf-8", "replace").split()))

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

    @property
    def unasked(self) -> bool:
        """The peer has agreed to no session timer, and has not shown that it knows any."""
        agreed = self.dialog.agreement
        return agreed is not None and agreed.one_sided and not self.dialog.peer_supports

    def current_session(self) -> Session:
        """The session as it stands; made anew where it only waits, so keep what this returns."""
        if self.active is not None:
            return self.active
        return session.begin(
            self.dialog,
            self.since,
            self.terms.policy,
            owns_call_id=self.terms.placed_by_us,
            spread=self.spread,
        )

    @property
    def spread(self) -> float:
        """Where its refresh lies in the time over which refreshes are spread."""
        return place(self.key)

    def take_up(self, found: Found, now: float) -> bool:
        """Begin from this record; False if its clock is not known, so that its interval counts from `now`."""
        record = found.record
        at = found.clocks.ours(record.clock, record.at)
        self.since = now if at is None else min(now, at)
        self.refreshes = record.refreshes
        ours = record.ours
        self.dealt = ours.ended if ours is not None and ours.outcome is not Outcome.ANSWERED else None
        self.note_peer(record)
        self.dialog = shared(record.dialog)
        return at is not None

    def note_peer(self, record: Record) -> None:
        """Keep where the peer is; thousands of calls are with few peers, and share the text."""
        self.far = intern(record.far)

    def shift(self, seconds: float) -> None:
        """Everything of this call is so much older than we thought."""
        self.since -= seconds
        active = self.active
        if active is not None:
            wake = None if active.wake is None else active.wake - seconds
            sent = None if active.sent is None else active.sent - seconds
            self.active = replace(active, since=active.since - seconds, wake=wake, sent=sent)
        if self.attempt is not None:
            self.attempt.sent -= seconds

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

    @property
    def may_be_the_last(self) -> bool:
        """Whether a verdict may follow this refresh."""
        active = self.tracked.active
        return active is not None and (active.attempts > 1 or active.state is State.PROBING)

    def take_back(self, wake: float) -> None:
        """Nothing left: the session is as it was, unless a refresh of the peer has moved it on."""
        if self.tracked.active is not None and self.tracked.active.sent is not None:
            self.tracked.active = replace(self.before, wake=wake)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The record shows a 2xx that the session does not know yet."""

    since: float
    """When it passed, in seconds on our clock."""


def news(tracked: TrackedCall, found: Found, now: float) -> Refreshed | None:
    """The refresh that a record shows beyond what is known of the call; None for nothing."""
    record = found.record
    at = found.clocks.ours(record.clock, record.at)
    counted = tracked.refreshes != UNKNOWN and record.refreshes > tracked.refreshes
    sent = sent_at(tracked)
    known = tracked.since + TOLERANCE
    if tracked.refreshes == UNKNOWN and sent is not None:
        # How old the call is was a guess, perhaps made the moment before our refresh left.
        known = min(known, sent)
    # An edge that lost its table counts anew, and may come to any number again; its time still tells.
    later = at is not None and at > known
    return Refreshed(now if at is None else min(now, at)) if counted or later else None


def sent_at(tracked: TrackedCall) -> float | None:
    """When the refresh of ours left that is under way; None for none."""
    if tracked.active is not None and tracked.active.sent is not None:
        return tracked.active.sent
    return tracked.attempt.sent if tracked.attempt is not None else None
