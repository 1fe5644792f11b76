"""What a full table costs the edge: the same calls through Kamailios that differ by the records they hold.

Each has its own container and all of them are up at once; the load goes from one to the next, many times, so
that what else the machine does meets all of them alike. A record is as long as a real one after a refresh.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.edge_cost import NAME, NET, VARIANTS, cpu_seconds, docker, edge, fill, load, stage

IDLE_SECONDS = 20.0
"""htable looks for entries that are over so often."""
NATIVE_WITH_TIMERS = VARIANTS[1]

ASK = """
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.bind("/tmp/ask.sock")
os.chmod("/tmp/ask.sock", 0o777)
client.sendto(sys.argv[1].encode(), "/tmp/kamailio_rpc.sock")
print(client.recv(65535).decode())
os.unlink("/tmp/ask.sock")
"""


@dataclass(slots=True)
class Held:
    """One Kamailio and the records in its table."""

    records: int
    size: int
    """Of the table, by htable's parameter; 0: as it is shipped."""
    address: str
    bytes_a_record: float = 0.0
    """Of shared memory."""
    idle: float = 0.0
    """CPU seconds a second without calls."""
    costs: list[float] = field(default_factory=list)
    """CPU seconds a call, of each round, without the idle share."""
    lost: int = 0

    @property
    def name(self) -> str:
        return f"holds-{self.records}-{self.size}"

    def shared(self) -> int:
        """Bytes of Kamailio's shared memory that are in use."""
        question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "core.shmmem"})
        answer = json.loads(docker("exec", f"{NAME}-{self.name}", "python3", "-c", ASK, question))
        return int(answer["result"]["used"])

    def look_idle(self, seconds: float) -> None:
        """What it uses without calls."""
        start, at = cpu_seconds(self.name), time.monotonic()
        time.sleep(seconds)
        self.idle = (cpu_seconds(self.name) - start) / (time.monotonic() - at)

    def take(self, rate: int, calls: int) -> None:
        """One round of the load."""
        start, at = cpu_seconds(self.name), time.monotonic()
        self.lost += load(rate, calls, self.address)
        used, wall = cpu_seconds(self.name) - start, time.monotonic() - at
        self.costs.append((used - self.idle * wall) / calls)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs an edge that holds so many records."""

    records: int
    size: int
    microseconds_a_call: float
    """CPU, the median of the rounds."""
    ratio: float
    """To an edge with an empty table, the median of the rounds' ratios."""
    bytes_a_record: float
    idle: float
    """Share of a CPU without calls."""
    lost: int

    def __str__(self) -> str:
        table = f" in a table of size={self.size}" if self.size else ""
        return (
            f"edge with {self.records} records{table}: {self.microseconds_a_call:.0f} us CPU a call, "
            f"{self.ratio:.3f} of an empty table's, {self.bytes_a_record:.0f} bytes a record, "
            f"{self.idle:.2%} of a CPU without calls, lost {self.lost}"
        )


def measure(held: Sequence[tuple[int, int]], *, rounds: int, rate: int, calls: int, suite: str) -> list[Cost]:
    """What each number of records costs in a table of each size; the first has none."""
    with stage(), _all_up(held, suite) as edges:
        for turn in range(rounds):
            for one in edges if turn % 2 == 0 else reversed(edges):
                one.take(rate, calls)
    empty = edges[0].costs
    return [
        Cost(
            one.records,
            one.size,
            statistics.median(one.costs) * 1e6,
            statistics.median(a / b for a, b in zip(one.costs, empty, strict=True)),
            one.bytes_a_record,
            one.idle,
            one.lost,
        )
        for one in edges
    ]


@contextlib.contextmanager
def _all_up(wanted: Sequence[tuple[int, int]], suite: str) -> Iterator[list[Held]]:
    held = [Held(records, size, f"{NET}.{100 + place}") for place, (records, size) in enumerate(wanted)]
    with contextlib.ExitStack() as up:
        for one in held:
            up.enter_context(
                edge(NATIVE_WITH_TIMERS, suite, name=one.name, address=one.address, size=one.size)
            )
            before = one.shared()
            fill(one.records, one.name)
            one.bytes_a_record = (one.shared() - before) / max(1, one.records)
        for one in held:
            one.look_idle(IDLE_SECONDS)
        yield held
