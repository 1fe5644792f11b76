"""The states of a session, and every move between them. The table is the only way to move.

Three kinds of events begin a new interval. A 2xx does (RFC 4028 sections 2 and 10). A call does that has
outlived the time after which a user agent ends a dead call by itself. And so does a call that is kept without
a refresh, because no evidence speaks against its peer. All other events leave the interval as it is.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a session stands."""

    OFF = "off"
    """No expiration: nothing to refresh, nothing to wait for."""
    OURS = "ours"
    """We are the refresher; the next refresh is not due yet."""
    THEIRS = "theirs"
    """The peer is the refresher; its silence is not suspicious yet."""
    REFRESHING = "refreshing"
    """Our refresh is on its way."""
    WAITING = "waiting"
    """Our refresh was refused for now and is tried again later."""
    REFUSED = "refused"
    """The peer responds, but refuses our refreshes."""
    ASKING = "asking"
    """The driver reads the record before the session decides about our refresh or about the peer."""
    PROBING = "probing"
    """The peer missed its refresh; a refresh of ours shows whether it is alive."""
    OVER = "over"


class Event(StrEnum):
    """What moves a session."""

    AGREED_OURS = "2xx: we refresh"
    AGREED_THEIRS = "2xx: the peer refreshes"
    SWITCHED_OFF = "2xx without Session-Expires"
    OUTLIVED_OURS = "outlived: we refresh"
    OUTLIVED_THEIRS = "outlived: the peer refreshes"
    KEPT_OURS = "kept: we refresh"
    KEPT_THEIRS = "kept: the peer refreshes"
    DUE = "due"
    LATE = "no final response in time"
    DEADLINE = "deadline"
    AGAIN = "once more"
    LATER = "response: later"
    NEVER = "response: not so"
    GONE = "response: no such dialog"
    TIMED_OUT = "timed out at the edge, last form"
    GIVEN_UP = "hung up at the deadline"


class TransitionError(RuntimeError):
    """A move that is not in the table: an error of the driver or of this library."""


_ANY = tuple(state for state in State if state is not State.OVER)
_OPEN = (State.REFRESHING, State.ASKING, State.PROBING)
"""Where a refresh of ours may still be without a final response."""

TRANSITIONS: dict[tuple[State, Event], State] = {
    # A 2xx moves the deadline from everywhere.
    **{(state, Event.AGREED_OURS): State.OURS for state in _ANY},
    **{(state, Event.AGREED_THEIRS): State.THEIRS for state in _ANY},
    **{(state, Event.SWITCHED_OFF): State.OFF for state in _ANY},
    (State.OURS, Event.DUE): State.REFRESHING,
    (State.WAITING, Event.DUE): State.REFRESHING,
    (State.THEIRS, Event.DUE): State.ASKING,
    **{(state, Event.AGAIN): State.REFRESHING for state in _OPEN},
    **{(state, Event.LATER): State.WAITING for state in _OPEN},
    **{(state, Event.NEVER): State.REFUSED for state in _OPEN},
    (State.REFRESHING, Event.LATE): State.ASKING,
    (State.PROBING, Event.LATE): State.ASKING,
    (State.ASKING, Event.LATE): State.ASKING,
    (State.WAITING, Event.DEADLINE): State.ASKING,
    (State.REFUSED, Event.DEADLINE): State.ASKING,
    (State.ASKING, Event.DUE): State.PROBING,
    # Without evidence the call is kept, and where the peer was heard while a refresh of ours came to nothing.
    (State.ASKING, Event.OUTLIVED_OURS): State.OURS,
    (State.ASKING, Event.OUTLIVED_THEIRS): State.THEIRS,
    **{(state, Event.KEPT_OURS): State.OURS for state in _OPEN},
    **{(state, Event.KEPT_THEIRS): State.THEIRS for state in _OPEN},
    # The end: on evidence, or on the operator's word.
    **{(state, Event.GONE): State.OVER for state in _OPEN},
    **{(state, Event.TIMED_OUT): State.OVER for state in _OPEN},
    (State.ASKING, Event.GIVEN_UP): State.OVER,
}


def after(state: State, event: Event) -> State:
    """The state that `event` leads to. Raises `TransitionError` for a move that is not in the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionError(f"a session that is {state} cannot take the event {event.name}") from None
