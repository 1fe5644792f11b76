"""One dialog's timer in time: when to refresh, what to do with a response, when to hang up.

Theory of operation. A session is data. Every function takes one, and `now`, and returns the next one with at
most one action for its driver. There is no clock here: the driver calls `due` when `wake` has come. A driver
that cannot see responses itself reads the edge's record. `due` then ends in `Ask`, and the driver says what
the record shows: `refreshed`, `responded`, `timed_out`, `alive`, `under_way`, `never_passed`, `silent`,
`untraced` or `unknown`.

Two rules. A session moves only by the table in `transitions`. And it ends only on evidence: a refresh of ours
that timed out at the edge in its last form, or 408 or 481 from the far side. An operator may add to that:
`hang_up_refused` ends a call whose peer answers but refuses.

Times are seconds on the driver's monotonic clock.
"""

from .model import Action, Ask, Expire, Method, Reason, Send, Session, Step, forms
from .steps import (
    ANSWER_TIME,
    EARLY,
    MOST_ATTEMPTS,
    SELF_ENDING,
    SHORTEST_HALF,
    SOON,
    alive,
    begin,
    due,
    left_at,
    never_passed,
    refreshed,
    responded,
    silent,
    timed_out,
    under_way,
    unknown,
    untraced,
)
from .transitions import TRANSITIONS, Event, State, TransitionError, after

__all__ = [
    "ANSWER_TIME",
    "EARLY",
    "MOST_ATTEMPTS",
    "SELF_ENDING",
    "SHORTEST_HALF",
    "SOON",
    "TRANSITIONS",
    "Action",
    "Ask",
    "Event",
    "Expire",
    "Method",
    "Reason",
    "Send",
    "Session",
    "State",
    "Step",
    "TransitionError",
    "after",
    "alive",
    "begin",
    "due",
    "forms",
    "left_at",
    "never_passed",
    "refreshed",
    "responded",
    "silent",
    "timed_out",
    "under_way",
    "unknown",
    "untraced",
]
