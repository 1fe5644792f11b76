"""What `/sessions` and `/refresh` deliver. Imports nothing of the daemon, so that commands start fast."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

NO_CALL = "no call with the Call-ID"
"""How the body begins that says there is none: 404 alone any program says."""

NO_PROFILE = "no profile is called"
"""The same for a peer."""


class RefreshOutcome(StrEnum):
    """How a refresh of ours can end."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    """The edge saw it pass, and no response to it."""
    OUTLIVED = "outlived"
    """No record told, and the call stood longer than it could have without a response."""
    UNKNOWN = "unknown"
    """No record tells what came of it."""
    NOT_SENT = "not_sent"


class ShownSession(TypedDict):
    """A tracked call. Times are seconds from the moment of asking; below zero is gone by."""

    asterisk: str
    call_id: str
    channel: str
    peer: str
    """The profile that it is held to; empty: the general settings."""
    numbers: str
    """The numbers of both parties, as far as Asterisk knows them."""
    held: str
    """Why nothing is done for it; empty: it is."""
    edge: str | None
    """The edge its record is asked from; null where Asterisk faces the carrier itself."""
    state: str
    refresher: str
    """`local`: we refresh; `remote`: the peer does; `none`: no timer runs."""
    interval: int
    since: float
    """When the last 2xx passed that is known."""
    due: float | None
    """What comes next: our refresh, or a look at the record. Null: nothing."""
    deadline: float | None
    """When the call is hung up if no refresh comes. Null: never."""
    refreshes: int
    method: str
    refused: list[int]
    last: str
    """What happened last, in a few words; empty: nothing since the call was answered."""


class LoggedEvent(TypedDict):
    """Something that happened to a call."""

    at: str
    """UTC, as ISO 8601 writes it, by this host's clock."""
    ago: float
    """Seconds."""
    event: str
    """The identifier that the log has too."""
    text: str
    """What it means, for a person."""
    details: dict[str, str]
    times: int
    """How often it happened in a row; `at` is the last time."""
    notable: bool
    """It was worth a warning."""


class CallHistory(TypedDict):
    """What happened to one call, that is tracked or was."""

    asterisk: str
    call_id: str
    channel: str
    peer: str
    numbers: str
    ended: float | None
    """Seconds since it is no longer tracked; null: it is."""
    why: str
    """Why it is no longer tracked."""
    session: ShownSession | None
    """Where it stands at the same moment; null once it is over."""
    refreshes: int
    events: list[LoggedEvent]
    """The oldest first."""


class ActionReport(TypedDict):
    """What came of what an operator asked for one call."""

    asterisk: str
    call_id: str
    channel: str
    done: bool
    reason: str
    """Why not; empty where it was done."""


class RefreshReport(TypedDict):
    """What came of one refresh that an operator asked for."""

    asterisk: str
    call_id: str
    channel: str
    method: str
    outcome: str
    """One of `RefreshOutcome`."""
    reason: str
    seconds: float
    """From sending to knowing."""
