"""Real calls through real Kamailio and Asterisk for hours, and whether anything grows: ``make soak HOURS=n``.

    python -m tests.bench.soak --hours 0.5        one run; its samples are added to out/soak.csv
    python -m tests.bench.soak --judge            no run: what the samples of that file show together

1,000 calls at 90 s, half of them refreshed by us; beside them 20 calls a second come, last 10 s and go, and
for fifty of those one more goes silent after the ACK. Runs may follow one another: their samples are judged
and drawn together. A run that is cut (Ctrl-C, a reboot) is judged by what it has written.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.bench import companion_calls
from tests.bench.companion_calls import begin, channels, inside
from tests.bench.companion_load import CARRIER, HALF, HOLD, INTERVAL, PERIOD, RAMP, Load
from tests.bench.soak import samples
from tests.bench.soak.judge import Soak
from tests.bench.soak.look import Looking
from tests.bench.soak.picture import drawn
from tests.bench.soak.samples import Sample
from tests.lab.stack import ROOT, LabError, Stack
from tests.lab.waiting import NotInTimeError, wait_until

SAMPLES = ROOT / "out" / "soak.csv"
CALLS = 1000
NEW = 20.0
"""Calls that come and go beside those, each second."""
ONE_IN = 50
"""Of those, how many are there for one that goes silent."""
EVERY = 60.0
"""Seconds between two looks."""
SPARE = 40
"""Seconds that the load outlasts its last look, in the mean; less for a short one."""


class Sessions(NamedTuple):
    """At which interval the calls are, in seconds, and from which of the carrier's addresses they come."""

    interval: int
    carrier: int


AT_90_S = Sessions(INTERVAL, CARRIER)


def load_of(seconds: int, calls: int, new: float, sessions: Sessions = AT_90_S) -> Load:
    """A load that is whole for so long. A call ends by its count of refreshes, of which some come early."""
    whole = calls / 2 / RAMP + HOLD
    lasting = (whole + seconds + min(SPARE, seconds / 4)) * HALF / PERIOD
    return Load(
        calls=calls,
        seconds=round(lasting),
        new=new,
        silent=new / ONE_IN,
        interval=sessions.interval,
        carrier=sessions.carrier,
    )


def run(
    stack: Stack,
    seconds: int,
    told: Callable[[Sample], None],
    *,
    calls: int = CALLS,
    new: float = NEW,
    every: float = EVERY,
    sessions: Sessions = AT_90_S,
) -> None:
    """Put the load on a stack that is up and tell every sample; the last one when no call should be left."""
    load = load_of(seconds, calls, new, sessions)
    named = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {code()}"
    looking = Looking(stack, named, {}, load.interval)
    looking.skip()
    kinds = looking.kinds
    kinds.update((kind.name, kind) for kind in begin(stack, load))
    whole = time.monotonic() + load.ramp + HOLD
    end = whole + seconds
    try:
        moment = whole
        while moment < end:
            time.sleep(max(0.0, moment - time.monotonic()))
            try:
                told(looking.look(time.monotonic() - whole))
            except LabError as error:
                # What could not be looked at in time is no reason to lose hours.
                print(f"soak: no look in this minute: {error}", file=sys.stderr, flush=True)
            moment += every
        for kind in kinds.values():
            kind.process.wait(load.seconds + 2 * load.interval + 60)
        try:
            wait_until(lambda: empty(stack), 30, "no call and no record to be left", pause=1.0)
        except NotInTimeError as left:
            print(f"soak: {left}", file=sys.stderr)
        told(looking.look(time.monotonic() - whole, last=True))
    finally:
        for kind in kinds.values():
            kind.process.kill()


def empty(stack: Stack) -> bool:
    """Whether no call is left: in Asterisk, in the companion, in the edge's table."""
    records = {table["name"]: table["all"] for table in stack.rpc("htable.stats")}["session_timer"]
    return not (channels(stack) or inside(stack)["sessions"] or records)


def code() -> str:
    """The commit that is measured."""
    told = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(told, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> int:
    """Run it, or only judge; the status is 1 if a call was lost, a dead one stood, or something grows."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--hours", type=float, default=1.0, help="how long the load is whole (1)")
    reader.add_argument("--samples", type=Path, default=SAMPLES, help="the file (out/soak.csv)")
    reader.add_argument("--picture", type=Path, help="where to draw it (beside the samples)")
    reader.add_argument("--judge", action="store_true", help="run nothing")
    options = reader.parse_args()
    # In a shell's background Ctrl-C is ignored unless it is asked for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)

    def told(sample: Sample) -> None:
        samples.append(options.samples, sample)
        print(
            f"{sample.second / 60:6.1f} min: {sample.calls} calls, companion "
            f"{sample.companion_memory / 2**20:.1f} MiB, edge {sample.edge_memory / 2**20:.1f} + "
            f"{sample.edge_shared / 2**20:.2f} MiB, Asterisk {sample.asterisk_memory / 2**20:.0f} MiB, "
            f"refreshed within {sample.refresh_latest:.1f} s, lost {sample.live_lost}, "
            f"standing {sample.dead_standing}",
            flush=True,
        )

    try:
        if not options.judge:
            with companion_calls.stack_of_its_own() as stack:
                run(stack, round(options.hours * 3600), told)
        seen = samples.read(options.samples)
    except (ValueError, OSError, LabError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        seen = samples.read(options.samples) if options.samples.exists() else []
    soak = Soak.of(seen)
    for growth in soak.growth:
        print(growth)
    picture = options.picture or options.samples.with_suffix(".svg")
    picture.write_text(drawn(seen))
    print(f"drawn: {picture}")
    print(soak)
    return int(not soak.good)


if __name__ == "__main__":
    sys.exit(main())
