"""Sessions for the tests of `session_timer.session`: begun, refreshing, refused, woken."""

from __future__ import annotations

from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    RefreshResponse,
    Side,
    session,
)
from session_timer.session import (
    Method,
    Send,
    Session,
)

POLICY = Policy()
OURS = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True)
THEIRS = DialogTimer(Agreement(1800, Side.REMOTE), peer_supports=True)
BY_UPDATE = DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)
DEADLINE = 1768.0
ANSWER = 13.0
"""Seconds that one form has at 1800: the edge's own timer and a second for its record."""
INVITE, UPDATE, UPDATE_SDP = Send(Method.INVITE), Send(Method.UPDATE), Send(Method.UPDATE_SDP)


def begun(dialog: DialogTimer, policy: Policy = POLICY, *, owns: bool = False) -> Session:
    """A session whose last 2xx passed at 0."""
    return session.begin(dialog, 0.0, policy, owns_call_id=owns)


def refreshing(dialog: DialogTimer = OURS, policy: Policy = POLICY, *, owns: bool = False) -> Session:
    """A session whose refresh left at half of 1800 seconds."""
    held, action = session.due(begun(dialog, policy, owns=owns), 900.0)
    assert isinstance(action, Send)
    return held


def refused(
    held: Session,
    code: int,
    now: float,
    *,
    retry_after: int | None = None,
    min_se: int | None = None,
    chance: float = 0.5,
) -> session.Step:
    """A final response to the refresh that is open."""
    return session.responded(held, now, RefreshResponse(code, min_se=min_se, retry_after=retry_after), chance)


def woken(held: Session) -> tuple[Session, session.Action | None, float]:
    """What happens when the session's time has come, and when that was."""
    assert held.wake is not None
    next_one, action = session.due(held, held.wake)
    return next_one, action, held.wake
