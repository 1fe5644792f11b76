"""Runs in the companion's container: asks edges as the companion does, and says what it learned.

Arguments: a record's key, then each edge as NAME=ADDRESS; the first one is asked, the others may stand in for
it. Out: one JSON object with the clocks that the edges list and the record's age in seconds. With a line on
standard input it looks again and writes another, with the clocks it learned before: as one that kept running.
"""

import asyncio
import json
import sys
from pathlib import Path

from session_timer import SharedKey
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import Changes, Found

KEY = SharedKey.parse(Path("/run/secrets/session-timer-key").read_text(encoding="utf-8"))


async def look(edges: EdgePool, key: str, rounds: int) -> dict[str, object]:
    listed: set[str] = set()
    for _ in range(rounds):
        for edge in edges.all():
            found = await edge.changes()
            if isinstance(found, Changes) and found.facts is not None:
                listed |= set(found.facts.clocks)
        await asyncio.sleep(0.05)
    first = edges.all()[0]
    (reply,) = await edges.records(first, [key])
    seen: dict[str, object] = {"up": first.up, "clocks": sorted(listed), "answer": type(reply).__name__}
    if isinstance(reply, Found):
        at = reply.clocks.ours(reply.record.clock, reply.record.at)
        age = None if at is None else asyncio.get_running_loop().time() - at
        seen |= {"clock": reply.record.clock, "age": age}
    return seen


async def main(key: str, *places: str) -> None:
    named = dict(place.split("=", 1) for place in places)
    edges = EdgePool(
        EdgeClient(
            name, Door(address, KEY, timeout=3.0), stand_ins=[other for other in named if other != name]
        )
        for name, address in named.items()
    )
    # A reading of another edge's clock is up to a second old; the freshest of some is near the truth.
    rounds = 25
    while True:
        print(json.dumps(await look(edges, key, rounds)), flush=True)
        rounds = 1
        if not await asyncio.to_thread(sys.stdin.readline):
            await edges.close()
            return


asyncio.run(main(*sys.argv[1:]))
