"""All that the page shows, in one reading: the most urgent calls, peers, what is held back, readiness.

Of 100,000 calls a few are shown. They are looked through in pieces, and nobody's refresh is late for it.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, TypedDict

from session_timer_companion import __version__
from session_timer_companion.api import RefreshOutcome, ShownSession
from session_timer_companion.channels.abilities import written
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.companion import Companion
from session_timer_companion.http.views import shown
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers.scheduler import TICK
from session_timer_companion.timers.tracked_call import TrackedCall

AT_A_TIME = 1_000
"""Calls that are looked through in one go."""

MOST = 500
"""Calls that are shown at most."""


class EndedShown(TypedDict):
    """A call that is over, in one line."""

    asterisk: str
    call_id: str
    peer: str
    numbers: str
    ended: float
    """Seconds ago."""
    why: str
    notable: bool


class PeerShown(TypedDict):
    """How a peer did since the companion started."""

    peer: str
    calls: int
    refreshes: dict[str, int]
    """By outcome."""
    success: float | None
    """Of the refreshes that have ended, the share that was confirmed; null for none."""
    median: float | None
    slowest: float | None
    """Seconds to the 2xx: half of them, and 95 of 100, were at most so slow."""
    ended: dict[str, int]
    """Sessions that expired, by what followed."""
    saved: int
    swallowed: int
    seen: int


def matches(tracked: TrackedCall, words: Iterable[str]) -> bool:
    """Whether every word, in lower case, is in its Call-ID, tags, channel, numbers or peer."""
    text = f"{tracked.key} {tracked.channel} {tracked.numbers} {tracked.peer or GENERAL}".lower()
    return all(word in text for word in words)


def readiness(companion: Companion) -> dict[str, Any]:
    """What `/readyz` says: each Asterisk and each edge, `ready` or what is missing, and what is held back."""
    holds = companion.operator.holds
    return {
        "version": __version__,
        "asterisk": {
            tracker.name: "ready" if tracker.ready else str(tracker.ami.last_error or "starting")
            for tracker in companion.trackers
        },
        "edge": {
            edge.name: "ready" if edge.up else edge.reason or "not asked yet"
            for edge in companion.edges.all()
        },
        "role": {
            tracker.name: "leading" if tracker.driver.leading else "standing by"
            for tracker in companion.trackers
        },
        "release": {tracker.name: _release(tracker.channels) for tracker in companion.trackers},
        "brake": companion.brake.standing,
        "paused": holds.paused,
        "excluded": len(holds.excluded),
    }


def _release(channels: AsteriskChannels) -> str:
    """An Asterisk's release, and what it lacks."""
    missing = "; ".join(need.told for need in sorted(channels.lacks))
    release = written(channels.release)
    return f"{release} lacks {missing}" if missing else release


async def overview(companion: Companion, search: str, limit: int) -> dict[str, Any]:
    """What the page shows; `search` has words that a call must match, `limit` is how many calls at most."""
    now = asyncio.get_running_loop().time()
    words = search.lower().split()
    holds, history = companion.operator.holds, companion.operator.history
    urgent: list[tuple[float, str, str, TrackedCall]] = []
    matching, by_peer = 0, Counter[str]()
    async for asterisk, some in _in_pieces(companion):
        by_peer.update([tracked.peer or GENERAL for tracked in some])
        found = [tracked for tracked in some if matches(tracked, words)] if words else some
        matching += len(found)
        urgent = heapq.nsmallest(
            limit, [*urgent, *((_urgency(each), each.key, asterisk, each) for each in found)]
        )
    calls: list[ShownSession] = [
        shown(asterisk, tracked, now, holds.why(tracked.key))
        for _, _, asterisk, tracked in urgent
        if not tracked.gone
    ]
    ended: list[EndedShown] = []
    for call in history.ended():
        text = f"{call.call_id} {call.channel} {call.numbers} {call.peer or GENERAL}".lower()
        if len(ended) < limit and all(word in text for word in words):
            ended.append(
                {
                    "asterisk": call.asterisk,
                    "call_id": call.call_id,
                    "peer": call.peer,
                    "numbers": call.numbers,
                    "ended": round(now - call.ended, 1),
                    "why": call.why,
                    "notable": history.is_notable(call),
                }
            )
    return {
        "readiness": readiness(companion) | {"ready": companion.ready},
        "tracked": by_peer.total(),
        "matching": matching,
        "calls": calls,
        "ended": ended,
        "peers": peers(companion.metrics, by_peer),
        "learned": [
            {"asterisk": tracker.name, "far": far, "left": round(left)}
            for tracker in companion.trackers
            for far, left in list(tracker.driver.learned.left().items())[:limit]
        ],
        "held": {
            "waiting": {tracker.name: tracker.driver.waiting for tracker in companion.trackers},
            "edge_down": {tracker.name: tracker.driver.held for tracker in companion.trackers},
            "paused": None if holds.paused_at is None else round(now - holds.paused_at, 1),
            "excluded": [
                {"call_id": tracked.call_id, "asterisk": tracker.name, "since": round(now - since, 1)}
                for key, since in list(holds.excluded.items())[:limit]
                for tracker in companion.trackers
                if (tracked := tracker.by_key.get(key)) is not None
            ],
        },
    }


def _urgency(tracked: TrackedCall) -> float:
    """The moment of its next step; one that is being seen to comes first."""
    if tracked.busy:
        return -math.inf
    return math.inf if tracked.wake is None else tracked.wake.number * TICK


async def _in_pieces(companion: Companion) -> AsyncIterator[tuple[str, list[TrackedCall]]]:
    for tracker in companion.trackers:
        tracked_calls = list(tracker.by_key.values())
        for start in range(0, len(tracked_calls), AT_A_TIME):
            yield tracker.name, tracked_calls[start : start + AT_A_TIME]
            await asyncio.sleep(0)


def peers(metrics: Metrics, calls: Mapping[str, int]) -> list[PeerShown]:
    """How each peer did, the one with most calls first; `calls` are those that are up now."""
    names = sorted({*calls, *metrics.peers()}, key=lambda name: (-calls.get(name, 0), name))
    return [_peer(metrics, name, calls.get(name, 0)) for name in names]


def _peer(metrics: Metrics, name: str, calls: int) -> PeerShown:
    told = metrics.of_peer(name)
    ended = sum(told.refreshes.values()) - told.refreshes[RefreshOutcome.NOT_SENT]
    return {
        "peer": name,
        "calls": calls,
        "refreshes": {str(outcome): count for outcome, count in told.refreshes.items() if count},
        "success": told.refreshes[RefreshOutcome.CONFIRMED] / ended if ended else None,
        "median": quantile(told.response, 0.5),
        "slowest": quantile(told.response, 0.95),
        "ended": told.ended,
        "saved": told.saved,
        "swallowed": told.swallowed,
        "seen": told.seen,
    }


def quantile(buckets: Iterable[tuple[float, int]], share: float) -> float | None:
    """The upper edge of the bucket within which that share lies; None without any, or above the last one.

    `buckets` are upper edges in seconds and how many lie up to there, the smallest first.
    """
    filled = list(buckets)
    total = filled[-1][1] if filled else 0
    for edge, count in filled:
        if total and count >= share * total:
            return None if math.isinf(edge) else edge
    return None
