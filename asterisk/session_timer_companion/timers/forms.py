"""Which refresh has surely left Asterisk, and when another form is to be sent beside it.

Asterisk swallows an UPDATE by connected line where the endpoint has no `send_pai`, where the number is
hidden, or where there is none any more, and says Success. So an UPDATE that was answered shows nothing of the
next one. A refresh with SDP, as `refreshing` makes Asterisk send it, always leaves.
"""

from __future__ import annotations

from session_timer.session import PROBE_TIME, Method

from session_timer_companion.timers.tracked_call import Attempt, TrackedCall


def left(attempt: Attempt | None) -> float | None:
    """When this refresh left for sure, on our clock, so that silence is the peer's; None: perhaps never."""
    if attempt is None:
        return None
    return attempt.other_form if attempt.method is Method.UPDATE else attempt.sent


def second_due(tracked: TrackedCall, attempt: Attempt) -> float | None:
    """When to send a refresh with SDP too; None where none is needed, or the session can try one later.

    In seconds of our clock: half-way to the verdict, so that it can still be answered.
    """
    standing = tracked.session
    if attempt.second_tried or left(attempt) is not None:
        return None
    if standing.wake is None or standing.deadline is None or standing.deadline - standing.wake >= PROBE_TIME:
        return None
    return (attempt.sent + standing.wake) / 2
