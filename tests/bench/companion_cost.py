"""What the companion costs, and whether it keeps its word: ``make bench-companion``.

    python -m tests.bench.companion_cost             everything, about 20 minutes
    python -m tests.bench.companion_cost --short     fewer calls, about 7 minutes
    python -m tests.bench.companion_cost --only fake | real

First the companion as a process before an Asterisk and an edge that are played by another process: memory,
CPU time, lateness. Then real calls through real Kamailio and Asterisk, some of which die, and a kill -9.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from tests.bench import companion_calls, companion_played
from tests.bench.companion_calls import Outcome
from tests.bench.companion_load import Load
from tests.bench.companion_played import Played

FULL = Load(calls=2000, seconds=600, new=20.0, silent=0.4)
SHORT = Load(calls=200, seconds=150, new=5.0, silent=0.2)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the last line is made of."""

    memory: Played | None = None
    late: Played | None = None
    calls: Outcome | None = None

    def __str__(self) -> str:
        parts = []
        if self.memory is not None and self.late is not None:
            parts += [
                f"{self.memory.bytes_a_call:.0f} bytes/session",
                f"{self.memory.microseconds_a_refresh:.0f} us/refresh",
                f"p99 {self.late.late(0.99) * 1e3:.0f} ms",
            ]
        if self.calls is not None:
            parts += [
                f"live lost {self.calls.live_lost}",
                f"dead standing {self.calls.dead_standing}",
                f"rearm {self.calls.rearm:.2f} s",
            ]
        return "companion: " + ", ".join(parts)


def main() -> int:
    """Run it; the status is 1 if a live call was lost or a dead one stood."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--short", action="store_true", help="fewer calls, less time")
    reader.add_argument("--only", choices=["fake", "real"], help="one of the two parts")
    reader.add_argument("--sessions", type=int, help="calls of the memory's measurement (100000)")
    reader.add_argument("--calls", type=int, help="real calls at once (2000)")
    reader.add_argument("--seconds", type=int, help="how long they are held (600)")
    options = reader.parse_args()

    memory = late = outcome = None
    if options.only != "real":
        many = options.sessions or (20_000 if options.short else 100_000)
        # Some 400 refreshes a second, from when all calls are surely under watch.
        memory = companion_played.measure(
            many,
            interval=max(90, many // 111),
            spare=max(20.0, many / 1000),
            seconds=20 if options.short else 40,
        )
        print(memory.told("memory and CPU"), flush=True)
        late = companion_played.measure(10_000, interval=90, spare=20.0, seconds=30 if options.short else 60)
        print(late.told("lateness"), flush=True)
        livekit = companion_played.measure(1000, interval=1800, spare=8.0, seconds=30)
        print(
            f"1,000 calls at 1,800 s: {livekit.cpu_share:.2%} of a CPU, {livekit.grown / 1024:.0f} KB",
            flush=True,
        )
    if options.only != "fake":
        load = SHORT if options.short else FULL
        outcome = companion_calls.measure(load.changed(options.calls, options.seconds))
        print(outcome, flush=True)
    print(Figures(memory, late, outcome))
    return int(outcome is not None and bool(outcome.live_lost or outcome.dead_standing))


if __name__ == "__main__":
    sys.exit(main())
