"""A dialog cut into periods: from one 2xx to the next, each with what it agreed and how it was left."""

from __future__ import annotations

from dataclasses import dataclass, field

from session_timer import Agreement

from session_timer_companion.explain.gathering.calls import Sighted
from session_timer_companion.explain.gathering.hops import REFRESHES, Dialog, Transaction

TRANSACTION = 32.0
"""Seconds: Timers B and F (RFC 3261 17.1)."""


@dataclass(slots=True)
class Period:
    """From one 2xx to the next, or to the end: no deadline moves within."""

    since: float
    agreement: Agreement | None
    by: Sighted | None
    attempts: list[Transaction] = field(default_factory=list)
    """Refreshes within it that no 2xx answered."""
    following: Transaction | None = None
    """The refresh that ended it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How far a capture can be believed about what is missing."""

    end: float
    """Seconds: the time of its last packet."""
    timed: bool
    """Times mean something: the clock did not jump, the text had times."""
    floor: int


def periods(dialog: Dialog, agreements: dict[int, Agreement | None]) -> list[Period]:
    """The dialog from its 2xx, or from the first 2xx that was seen, to its end.

    ``agreements`` has what each 2xx brought into force, by the identity of the 2xx.
    """
    answer = dialog.answer
    found: list[Period] = []
    if answer is not None:
        found.append(Period(answer.time, agreements.get(id(answer)), answer))
    elif dialog.inner:
        found.append(Period(dialog.inner[0].request.time, None, None))
    moves: list[tuple[float, Transaction, Sighted | None]] = []
    for each in dialog.inner:
        if each.method in REFRESHES:
            final = each.final()
            good = final if final is not None and 200 <= (final.message.status or 0) < 300 else None
            moves.append((good.time if good is not None else each.request.time, each, good))
    for at, each, good in sorted(moves, key=lambda move: move[0]):
        if not found or (answer is not None and at < answer.time):
            continue  # an UPDATE before the answer: the answer's 2xx wins (G-07)
        if good is None:
            found[-1].attempts.append(each)
        else:
            found[-1].following = each
            found.append(Period(at, agreements.get(id(good)), good))
    return found


def hang_up(dialog: Dialog) -> Transaction | None:
    """The BYE that ended the dialog."""
    return next((each for each in dialog.inner if each.method == "BYE"), None)
