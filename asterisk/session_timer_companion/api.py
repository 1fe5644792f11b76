"""What `/sessions` and `/refresh` deliver. Imports nothing of the daemon, so that commands start fast."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

NO_CALL = "no call with the Call-ID"
"""How the body begins that says there is none: 404 alone any program says."""


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
    """When the call is given up if no refresh comes. Null: never."""
    refreshes: int
    method: str
    refused: list[int]
    last: str
    """What happened last, in a few words; empty: nothing since the call was answered."""


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
