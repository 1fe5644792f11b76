"""Which refresh has surely left Asterisk, and when another form is to be sent beside it.

Asterisk swallows an UPDATE by connected line where the endpoint has no `send_pai`, where the number is
hidden, or where there is none any more, and says Success. So an UPDATE that was answered shows nothing of the
next one; a re-INVITE, as `refreshing` makes Asterisk send it, always leaves.
"""

from __future__ import annotations

from session_timer.session import PROBE_TIME, Method

from session_timer_companion.watch import Attempt, Watch


def left_for_sure(attempt: Attempt) -> bool:
    """Whether this refresh surely left Asterisk, so that silence is the peer's."""
    return attempt.other_form or attempt.method is Method.INVITE


def second_due(watch: Watch, attempt: Attempt) -> float | None:
    """When to send a re-INVITE too; None where none is needed, or the session has time to try one later.

    In seconds of our clock: half-way to the verdict, so that it can still be answered.
    """
    standing = watch.session
    if attempt.second_tried or left_for_sure(attempt):
        return None
    if standing.wake is None or standing.deadline is None or standing.deadline - standing.wake >= PROBE_TIME:
        return None
    return (attempt.sent + standing.wake) / 2
