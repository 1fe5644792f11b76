"""One call as others see it: what `/sessions` delivers, and what the command line and the view read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from session_timer.session.transitions import State

from session_timer_companion.api import ShownSession
from session_timer_companion.timers.tracked_call import TrackedCall


def shown(asterisk: str, tracked: TrackedCall, now: float, held: str = "") -> ShownSession:
    """`tracked` at `now`, seconds of the event loop's clock; `held`: why nothing is done for it."""
    session = tracked.current_session()
    agreed = session.dialog.agreement
    return {
        "asterisk": asterisk,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "peer": tracked.peer,
        "numbers": tracked.numbers,
        "held": held,
        "edge": tracked.edge.name if tracked.edge is not None else None,
        "state": str(session.state),
        "refresher": refresher(tracked),
        "interval": agreed.interval if agreed else 0,
        "since": round(session.since - now, 3),
        "due": None if session.wake is None else round(session.wake - now, 3),
        "deadline": None if session.deadline is None else round(session.deadline - now, 3),
        "refreshes": max(tracked.refreshes, 0),
        "method": session.method.name,
        "refused": list(session.refused),
        "last": _last(tracked),
    }


def refresher(tracked: TrackedCall) -> str:
    """`local`, `remote` or `none`."""
    agreed = tracked.dialog.agreement if tracked.active is None else tracked.active.dialog.agreement
    return str(agreed.refresher) if agreed else "none"


def standings(tracked_calls: Collection[TrackedCall]) -> Counter[tuple[str, str]]:
    """How many calls have which refresher and state.

    Of 100,000 nearly all only wait, and share a few agreements: those are told apart once each.
    """
    agreed = {id(tracked.dialog): tracked for tracked in tracked_calls if tracked.active is None}
    waiting = Counter(id(tracked.dialog) for tracked in tracked_calls if tracked.active is None)
    found: Counter[tuple[str, str]] = Counter()
    for identity, calls in waiting.items():
        found[_standing(agreed[identity])] += calls
    found.update(_standing(tracked) for tracked in tracked_calls if tracked.active is not None)
    return found


def _standing(tracked: TrackedCall) -> tuple[str, str]:
    return refresher(tracked), str(tracked.current_session().state)


def _last(tracked: TrackedCall) -> str:
    if tracked.attempt is not None:
        return f"{tracked.attempt.method.name} sent"
    if tracked.active is not None and tracked.active.refused:
        return "refused: " + ", ".join(str(code) for code in tracked.active.refused)
    if tracked.active is not None and tracked.active.state in (State.ASKING, State.PROBING):
        return "no refresh came"
    return "refreshed" if tracked.refreshes > 0 else ""
