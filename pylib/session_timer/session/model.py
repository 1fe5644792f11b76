"""A session as data: where it stands, what it asks its driver to do, and its times (RFC 4028 section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..config.policy import Policy
from ..dialog import DialogTimer, Side
from .transitions import State


class Method(StrEnum):
    """The forms of a refresh, in the order of RFC 4028 7.4's preference."""

    UPDATE = "UPDATE"
    """UPDATE without an offer."""
    UPDATE_SDP = "UPDATE with SDP"
    INVITE = "INVITE"
    """re-INVITE with the unchanged offer."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a refresh now."""

    method: Method


@dataclass(frozen=True, slots=True)
class Ask:
    """Find out what became of a refresh, ours or the peer's, and say so."""


class Reason(StrEnum):
    """Why a session has expired. The value is an identifier; `text` is for people."""

    UNANSWERED = "unanswered"
    GONE = "gone"
    SILENT = "silent"
    REFUSED = "refused"

    @property
    def text(self) -> str:
        """The reason as a sentence."""
        return _REASONS[self]


_REASONS = {
    Reason.UNANSWERED: "our refresh was not answered",
    Reason.GONE: "the peer no longer knows the call",
    Reason.SILENT: "the peer sent no refresh",
    Reason.REFUSED: "the peer refused every refresh",
}


@dataclass(frozen=True, slots=True)
class Expire:
    """The session is over: hang up, or only report it where the policy says so."""

    reason: Reason
    hang_up: bool


Action = Send | Ask | Expire
Step = tuple["Session", Action | None]

MARGIN = 1.0
"""Seconds, at most, that the edge has beyond its own timer to write down what it has seen."""


@dataclass(frozen=True, slots=True)
class Session:
    """One dialog's timer."""

    dialog: DialogTimer
    policy: Policy
    state: State
    since: float
    """When the last 2xx was received or sent: the zero of the interval."""
    wake: float | None
    """When `due` must be called; None: never."""
    failed: tuple[Method, ...] = ()
    """The forms of refresh that this peer would not take, or that brought no response."""
    sent: float | None = None
    """When the refresh of ours left that has no final response yet; None: none is open."""
    attempts: int = 0
    refused: tuple[int, ...] = ()
    """The codes that refused this round's refreshes."""
    heard: bool = False
    """The peer has sent a request since the first refresh of this round that came to nothing."""
    owns_call_id: bool = False
    """Our side placed the call (RFC 3261 14.1 asks that for the wait after a 491)."""
    spread: float = 0.0
    """In [0, 1), constant for a session: its place in the spread of `EARLY`."""

    @property
    def interval(self) -> float:
        """Seconds; 0 where nothing expires."""
        return interval_of(self.dialog)

    @property
    def method(self) -> Method:
        """The best form of refresh that has not failed; the last resort if all have."""
        known = forms(self.policy, self.dialog)
        return next((form for form in known if form not in self.failed), known[-1])

    @property
    def deadline(self) -> float | None:
        """When a session without refresh is hung up (RFC 4028 section 10); None: never."""
        if self.dialog.agreement is None:
            return None
        lasting = self.policy.lasting(self.interval)
        return self.since + lasting - self.policy.guard(lasting)

    @property
    def expires(self) -> float | None:
        """When the session interval is over; None: never."""
        if self.dialog.agreement is None:
            return None
        return self.since + self.policy.lasting(self.interval)

    @property
    def latest(self) -> float | None:
        """Until when a refresh of ours can be held back and still be tried in two forms; None: no need."""
        if self.expires is None:
            return None
        ringing, answer = self.policy.ringing_time(self.interval), self.policy.answer_time(self.interval)
        return self.expires - ringing - answer - 2 * margin(self)


def forms(policy: Policy, dialog: DialogTimer) -> tuple[Method, ...]:
    """The forms of refresh to try, best first (RFC 4028 7.4): UPDATE only where the peer's Allow lists it."""
    if policy.use_update and dialog.peer_allows_update:
        return (Method.UPDATE, Method.UPDATE_SDP, Method.INVITE)
    return (Method.INVITE,)


def interval_of(dialog: DialogTimer) -> float:
    """Seconds; 0 where nothing expires."""
    return float(dialog.agreement.interval) if dialog.agreement else 0.0


def is_ours(dialog: DialogTimer) -> bool:
    """Whether our side is the refresher."""
    agreed = dialog.agreement
    return agreed is not None and agreed.refresher is Side.LOCAL


def margin(session: Session) -> float:
    """Seconds that the edge has, beyond its own timer, to write down what it has seen."""
    return min(MARGIN, session.policy.lasting(session.interval) / 30)
