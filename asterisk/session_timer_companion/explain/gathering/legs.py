"""Legs of one call that have a Call-ID each: a B2BUA such as Asterisk stands between.

Nothing on the wire says so for certain. A leg is taken for another's next one if it names the other's Call-ID
in a header, or if it leaves the place that the other reached, while that one is being set up, for the same
number or from the same.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field

from session_timer_companion.explain.reading.sip import Endpoint
from session_timer_companion.explain.reading.trace import Seen

NAMING = ("X-Call-ID", "X-CID", "X-Original-Call-ID", "X-Orig-Call-ID", "X-Parent-Call-ID", "P-Call-ID")
"""Headers in which the next leg names the Call-ID of the one before."""
_SETUP = 10.0
"""Seconds between the INVITEs of two legs at most."""
_SAME_DIGITS = 6
_MOST = 20_000
_MOST_RECENT = 500
_MOST_LEGS = 16
"""Of one call: what looks like more is the load of a test, or a scanner."""


@dataclass(slots=True)
class _Leg:
    time: float
    left: str
    """The address it came from."""
    reached: set[Endpoint]
    called: str
    calling: str
    group: set[str] = field(default_factory=set)


class Legs:
    """Watches INVITEs, and says which Call-IDs belong together."""

    def __init__(self) -> None:
        self._legs: OrderedDict[str, _Leg] = OrderedDict()

    def add(self, seen: Seen) -> None:
        """Takes one message in; only an initial INVITE counts."""
        message = seen.message
        if not message.is_request or message.method != "INVITE" or message.to_tag is not None:
            return
        known = self._legs.get(message.call_id)
        if known is not None:
            known.reached.add(seen.destination)
            return
        leg = _Leg(
            seen.time,
            seen.source.address,
            {seen.destination},
            _number(message.user("to")),
            _number(message.user("from")),
            {message.call_id},
        )
        before = self._before(seen, leg)
        if before is not None and len(before.group) < _MOST_LEGS:
            before.group.add(message.call_id)
            leg.group = before.group
        self._legs[message.call_id] = leg
        while len(self._legs) > _MOST:
            self._legs.popitem(last=False)

    def partners(self, call_id: str) -> tuple[str, ...]:
        """The other legs of the same call."""
        leg = self._legs.get(call_id)
        return tuple(sorted(leg.group - {call_id})) if leg is not None else ()

    def _before(self, seen: Seen, leg: _Leg) -> _Leg | None:
        for name in NAMING:
            for value in seen.message.rows(name):
                if value in self._legs:
                    return self._legs[value]
        recent = itertools.takewhile(
            lambda other: abs(seen.time - other.time) <= _SETUP, reversed(self._legs.values())
        )
        like = [
            other
            for other in itertools.islice(recent, _MOST_RECENT)
            if _leaves(seen.source, other) and _same(leg, other)
        ]
        # Of several calls to one number the first that has no next leg yet.
        return next((other for other in reversed(like) if len(other.group) == 1), like[0] if like else None)


def _leaves(source: Endpoint, other: _Leg) -> bool:
    """Whether who sends from there is whom the other leg reached; on one host the port tells."""
    return any(
        end.address == source.address and (end.address != other.left or end.port == source.port)
        for end in other.reached
    )


def _number(user: str) -> str:
    """The digits a number ends with, or the whole name of who has none."""
    digits = "".join(letter for letter in user if letter.isdigit())
    return digits[-9:] if len(digits) >= _SAME_DIGITS else user


def _same(one: _Leg, other: _Leg) -> bool:
    called = one.called == other.called or (
        len(one.called) >= _SAME_DIGITS
        and len(other.called) >= _SAME_DIGITS
        and one.called[-_SAME_DIGITS:] == other.called[-_SAME_DIGITS:]
    )
    return bool(one.called and called) or bool(one.calling and one.calling == other.calling)
