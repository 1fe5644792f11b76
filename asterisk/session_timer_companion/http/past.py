"""What happened to calls, as `/sessions/<call-id>/log` and the page show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from session_timer_companion.api import CallHistory, LoggedEvent
from session_timer_companion.events.call_log import EndedCall, History
from session_timer_companion.http.views import shown
from session_timer_companion.logs import SENTENCES
from session_timer_companion.timers.tracked_call import TrackedCall


def of_tracked(history: History, asterisk: str, tracked: TrackedCall, now: float, held: str) -> CallHistory:
    """What happened to a call that is up; `now` in seconds of the event loop's clock.

    `held` says why nothing is done for it; empty: it is.
    """
    return {
        "asterisk": asterisk,
        "call_id": tracked.call_id,
        "channel": tracked.channel,
        "peer": tracked.peer,
        "numbers": tracked.numbers,
        "ended": None,
        "why": "",
        "session": shown(asterisk, tracked, now, held),
        "refreshes": max(tracked.refreshes, 0),
        "events": _events(history, tracked.history, now),
    }


def of_ended(history: History, call: EndedCall, now: float) -> CallHistory:
    """What happened to a call that is over."""
    return {
        "asterisk": call.asterisk,
        "call_id": call.call_id,
        "channel": call.channel,
        "peer": call.peer,
        "numbers": call.numbers,
        "ended": round(now - call.ended, 3),
        "why": call.why,
        "session": None,
        "refreshes": call.refreshes,
        "events": _events(history, call.events, now),
    }


def _events(history: History, events: bytes, now: float) -> list[LoggedEvent]:
    moment = datetime.now(UTC)
    return [
        {
            "at": (moment - timedelta(seconds=now - event.at)).isoformat(timespec="milliseconds"),
            "ago": round(now - event.at, 3),
            "event": event.fact.event,
            "text": SENTENCES.get(event.fact.event, ""),
            "details": dict(event.fact.details),
            "times": event.times,
            "notable": event.fact.notable,
        }
        for event in history.decoded(events)
    ]
