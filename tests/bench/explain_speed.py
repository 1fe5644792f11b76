"""How fast ``session-timer explain`` reads: ``python -m tests.bench.explain_speed``.

Two captures are written and read: one of calls with their media, of which nearly all packets are, and one of
nothing but SIP, each call seen on both hops of a proxy. Processor time counts: others may use the machine.
"""

from __future__ import annotations

import heapq
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from session_timer_companion.explain.command import explained
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.reading.trace import Notes, read

from tests.companion.explain import scenario, writers
from tests.lab import wire

SIP_CALLS, MEDIA_CALLS, MEDIA_PACKETS = 4000, 300, 1000
_EVERY = 0.2
"""Seconds between two calls."""


def calls(count: int, media: int) -> Iterator[tuple[float, bytes]]:
    """The frames of so many calls, of 2,000 seconds each, with so many packets of media on each."""
    base, waiting = scenario.lawful(), list[tuple[float, int, bytes]]()
    chance = random.Random(4028)  # noqa: S311 - the same capture each time
    number = 0
    for call in range(count):
        began = scenario.START + call * _EVERY
        while waiting and waiting[0][0] < began:
            at, _, ip = heapq.heappop(waiting)
            yield at, ip
        script = replace(base, call_id=f"call-{call}@carrier.example")
        sent = [(one.time + call * _EVERY, writers.udp(one)) for one in script.through()]
        payload = b"\x80\x08" + chance.randbytes(170)
        rtp = writers.packet(scenario.CARRIER, scenario.PBX, 17, b"\x27\x10\x27\x12\x00\xb4\0\0" + payload)
        for at, ip in [*sent, *((began + 4 + n, rtp) for n in range(media))]:
            heapq.heappush(waiting, (at, number, ip))
            number += 1
    while waiting:
        at, _, ip = heapq.heappop(waiting)
        yield at, ip


def measured(name: str, count: int, media: int) -> str:
    """Writes a capture, reads it, and says how fast that went."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.pcap"
        with path.open("wb") as file:
            file.write(wire.header(1))
            for at, ip in calls(count, media):
                file.write(wire.record(at, wire.ethernet(ip)))
        size = path.stat().st_size / 1e6
        began = time.process_time()
        notes = Notes()
        found = sum(1 for _ in explained(read(path, notes), notes, Settings()))
        took = time.process_time() - began
    assert found == count, (found, count)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = f"{took:.1f} s, {size / took:.1f} MB/s"
    return f"{name}: {size:.0f} MB, {count} calls, {speed}, {memory:.0f} MiB at most"


def main() -> None:
    """Both captures."""
    print(measured("calls with media", MEDIA_CALLS, MEDIA_PACKETS))
    print(measured("nothing but SIP", SIP_CALLS, 0))


if __name__ == "__main__":
    main()
