"""What a deployment carries, computed from what was measured: pure functions of the rows of growth.json.

A part is taken to be full at half of one processor: the rest is for what comes in bursts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FULL = 0.5
"""Share of a processor at which a part counts as full."""
INTERVAL = 1800
"""Seconds: the usual session interval; a refresh is due after half of it, less up to a tenth of that."""
BETWEEN = INTERVAL / 2 * 0.95
"""Seconds between two refreshes of a call, in the mean."""
CALL = 180
"""Seconds that a call lasts, for the page's example."""
ONE_ASTERISK = 1000
"""Calls at once of one Asterisk, for the page's example."""
PACE = 500
"""Refreshes a second that one Asterisk is made to send at most (`companion.pace`)."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Companion:
    """What one companion carries."""

    refreshes: float
    """A second, until it is full."""
    sessions: int
    """At `INTERVAL`, until it is full."""
    at_90: int
    """At 90 s, the shortest interval of RFC 4028."""
    bytes_a_session: int
    armed: float
    """Seconds after a restart until all of the largest measured number are tracked."""
    measured: int
    """That number."""


def companion(rows: Sequence[Row]) -> Companion:
    """What one companion carries, by the row with most sessions."""
    most = max(rows, key=lambda row: int(row["sessions"]))
    refreshes = FULL / (most["microseconds_a_refresh"] / 1e6)
    return Companion(
        refreshes=refreshes,
        sessions=int(refreshes * BETWEEN),
        at_90=int(refreshes * 90 / 2 * 0.95),
        bytes_a_session=most["bytes_a_session"],
        armed=most["armed_seconds"],
        measured=most["sessions"],
    )


@dataclass(frozen=True, slots=True)
class Edge:
    """What one edge carries."""

    calls_a_second: float
    """With one refresh each, for each processor until it is half full."""
    at_once: int
    """Calls at once at that rate, if each lasts `CALL` seconds."""
    bytes_a_record: int
    records_in_64_mb: int
    """Records for which Kamailio's default of shared memory has room, if half of it is for them."""
    worst_ratio: float
    """CPU of a call with the fullest table, over that with an empty one."""
    most: int
    """Records of the fullest table."""


def edge(rows: Sequence[Row]) -> Edge:
    """What one edge carries, by the row with most records."""
    most = max(rows, key=lambda row: int(row["records"]))
    rate = FULL / (most["microseconds_a_call"] / 1e6)
    return Edge(
        calls_a_second=rate,
        at_once=int(rate * CALL),
        bytes_a_record=most["bytes_a_record"],
        records_in_64_mb=int(32 * 2**20 / most["bytes_a_record"]),
        worst_ratio=most["ratio"],
        most=most["records"],
    )


@dataclass(frozen=True, slots=True)
class Hundred:
    """A hundred Asterisks with `ONE_ASTERISK` calls each."""

    calls: int
    refreshes: float
    """A second, if our side is the refresher of all of them."""
    companion_share: float
    """Of a processor."""
    companion_bytes: int
    record_bytes: int
    new_calls: float
    """A second, if each call lasts `CALL` seconds."""
    edges: int
    """Processors at the edge until each is half full."""


def hundred(companion_rows: Sequence[Row], edge_rows: Sequence[Row]) -> Hundred:
    """What a hundred Asterisks need."""
    way = edge(edge_rows)
    calls = 100 * ONE_ASTERISK
    # The run with at least so many sessions: idle turns weigh less the more there are.
    like = min(
        (row for row in companion_rows if row["sessions"] >= calls), key=lambda row: int(row["sessions"])
    )
    new = calls / CALL
    refreshes = calls / BETWEEN
    return Hundred(
        calls=calls,
        refreshes=refreshes,
        companion_share=refreshes * like["cpu_share"] / like["refreshes_a_second"],
        companion_bytes=calls * like["bytes_a_session"],
        record_bytes=calls * way.bytes_a_record,
        new_calls=new,
        edges=-int(-new // way.calls_a_second),
    )
