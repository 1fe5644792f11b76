"""What grows with the number of calls, and how: ``make bench-growth``.

    python -m tests.bench.scale.growth --only companion    1,000 to 300,000 sessions, Asterisk and edge played
    python -m tests.bench.scale.growth --only edge         a real Kamailio with 0 to 1,000,000 records

Each prints its rows and puts them into tests/bench/measured/growth.json in place of those of the run before;
docs/reference/scale.md is made of that file (``make scale-page``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import companion_played
from tests.bench.scale import edge_growth
from tests.bench.soak.__main__ import code

MEASURED = Path(__file__).parents[1] / "measured" / "growth.json"
SESSIONS = (1_000, 10_000, 100_000, 300_000)
INTERVAL = 1800
RECORDS = (0, 10_000, 100_000, 1_000_000)


def companion(sessions: tuple[int, ...], seconds: float) -> Iterator[dict[str, Any]]:
    """The companion with so many calls at 1,800 s, of every age."""
    for calls in sessions:
        played = companion_played.measure(
            calls, interval=INTERVAL, spare=max(20.0, calls / 2500), seconds=seconds
        )
        print(played.told("companion"), flush=True)
        yield {
            "sessions": calls,
            "interval": INTERVAL,
            "bytes_a_session": round(played.bytes_a_call),
            "without_calls": played.base,
            "armed_seconds": round(played.arming, 2),
            "refreshes_a_second": round(played.confirmed / played.seconds, 1),
            "cpu_share": round(played.cpu_share, 5),
            "microseconds_a_refresh": round(played.microseconds_a_refresh),
            "late_p50": round(played.late(0.5), 4),
            "late_p99": round(played.late(0.99), 4),
            "late_longest": round(played.late(1.0), 4),
            "waited_share": round(played.waited / played.seconds, 4),
        }


def edge(records: tuple[int, ...], rounds: int, suite: str) -> Iterator[dict[str, Any]]:
    """A real Kamailio with so many records of other calls in its table."""
    held = [(count, 0) for count in records]
    for cost in edge_growth.measure(held, rounds=rounds, rate=150, calls=600, suite=suite):
        print(cost, flush=True)
        yield {
            "records": cost.records,
            "microseconds_a_call": round(cost.microseconds_a_call),
            "ratio": round(cost.ratio, 3),
            "bytes_a_record": round(cost.bytes_a_record),
            "idle_share": round(cost.idle, 5),
            "lost": cost.lost,
        }


def write(part: str, rows: list[dict[str, Any]]) -> None:
    """Put the rows of one part into the file."""
    held = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    run = {"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}Z", "code": code(), "load": round(os.getloadavg()[1], 1)}
    held[part] = {"run": run, "rows": rows}
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")


def main() -> int:
    """Measure what is asked for."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--only", choices=["companion", "edge"], help="one of the two")
    reader.add_argument("--sessions", type=int, nargs="+", default=SESSIONS)
    reader.add_argument("--seconds", type=float, default=40.0, help="how long each is looked at")
    reader.add_argument("--records", type=int, nargs="+", default=RECORDS)
    reader.add_argument("--rounds", type=int, default=9)
    reader.add_argument("--suite", default="trixie", help="the edge's Debian")
    reader.add_argument("--no-write", action="store_true", help="only print")
    options = reader.parse_args()
    for part in [options.only] if options.only else ["companion", "edge"]:
        if part == "companion":
            rows = list(companion(tuple(options.sessions), options.seconds))
        else:
            rows = list(edge(tuple(options.records), options.rounds, options.suite))
        if not options.no_write:
            write(part, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
