"""What each response to a refresh asks of the refresher (RFC 4028 section 10, RFC 3261 14.1, RFC 5057)."""

from __future__ import annotations

from enum import Enum, auto

from ..message import RefreshResponse

TIMEOUT = 408
"""A transaction timeout counts as 408 (RFC 3261 8.1.3.1)."""


class Reaction(Enum):
    """What the refresher does next."""

    EXTEND = auto()
    """A 2xx: take what it says."""
    END = auto()
    """The dialog is gone: end the session (RFC 4028 section 10, RFC 3261 12.2.1.2)."""
    AWAIT = auto()
    """Asterisk answers the challenge by itself: one resend a round (RFC 3261 22.2)."""
    RETRY = auto()
    """Once more at once, with what the response asked for: credentials, interval, extension, hops."""
    OTHER_METHOD = auto()
    """This method is not understood: never again on this dialog, the other one at once."""
    BACK_OFF = auto()
    """Glare: wait as RFC 3261 14.1 says, then once more."""
    WAIT = auto()
    """Wait as long as the response says, then retry."""
    ADAPT = auto()
    """Refused, the session goes on: another form of refresh once, no loop."""


_REACTIONS: dict[int, Reaction] = {
    **dict.fromkeys((408, 481), Reaction.END),
    **dict.fromkeys((401, 407, 494), Reaction.AWAIT),
    **dict.fromkeys((420, 421, 422, 483), Reaction.RETRY),
    **dict.fromkeys((405, 501), Reaction.OTHER_METHOD),
    491: Reaction.BACK_OFF,
    **dict.fromkeys((500, 503, 504, 505, 513, 580), Reaction.WAIT),
}
"""Every code with a rule of its own; the others are `Reaction.ADAPT` (unknown codes count as x00)."""

MAY_BE_OVER = frozenset({404, 410, 416, 480, 482, 484, 485, 502, 604})
"""RFC 5057 5.1 takes the dialog or the call for gone on these too; tell the operator, and go on.

Here they are refusals: RFC 4028 section 10 names 408 and 481 only, an intermediary's bad minute answers 480
or 502, and media may flow all the while.
"""

OWN_WAIT = 10.0
"""Seconds before the retry where a 5xx names no Retry-After."""


def reaction(code: int) -> Reaction:
    """What a final response with this code asks for (RFC 4028 section 10, RFC 3261 8.1.3.2)."""
    if 200 <= code < 300:
        return Reaction.EXTEND
    found = _REACTIONS.get(code)
    if found is not None:
        return found
    return Reaction.WAIT if 500 <= code < 600 else Reaction.ADAPT


def glare_delay(chance: float, *, owns_call_id: bool) -> float:
    """Seconds to wait after a 491: 2.1 to 4.0 for the owner of the Call-ID, 0 to 2.0 for the other.

    `chance` is uniform in [0, 1); the wait comes in units of 10 ms (RFC 3261 14.1, RFC 3311 5.3).
    """
    least, steps = (210, 191) if owns_call_id else (0, 201)
    return (least + int(chance * steps)) / 100


def wait(response: RefreshResponse) -> float:
    """Seconds to wait before the retry that a 5xx allows (RFC 3261 20.33)."""
    return float(response.retry_after) if response.retry_after is not None else OWN_WAIT
