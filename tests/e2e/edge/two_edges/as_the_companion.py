"""Runs in the companion's container: asks edges as the companion does, and says what it learned.

Arguments: a record's key, then the edges' addresses; the first one is asked.
Out: one JSON object with the clocks that the first edge lists and the record's age in seconds. With a line on
standard input it looks again and writes another, with the clocks it learned before: as one that kept running.
"""

import asyncio
import json
import sys

from session_timer_companion.edge.client import Changes, Found
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import EdgePool


async def look(edges: EdgePool, clocks: Clocks, key: str, rounds: int) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    listed: set[str] = set()
    for _ in range(rounds):
        for edge in edges.all():
            found = await edge.changes()
            if isinstance(found, Changes):
                clocks.learn(found.clocks, loop.time())
                listed |= set(found.clocks)
        await asyncio.sleep(0.05)
    first = edges.all()[0]
    (answer,) = await edges.records(first, [key])
    seen: dict[str, object] = {"up": first.up, "clocks": sorted(listed), "answer": type(answer).__name__}
    if isinstance(answer, Found):
        at = clocks.ours(answer.record.clock, answer.record.at)
        seen |= {"clock": answer.record.clock, "age": None if at is None else loop.time() - at}
    return seen


async def main(key: str, *addresses: str) -> None:
    edges, clocks = EdgePool(timeout=1), Clocks()
    for address in addresses:
        edges.at(address)
    # A reading is up to a second old; the freshest of some is near the truth.
    rounds = 25
    while True:
        print(json.dumps(await look(edges, clocks, key, rounds)), flush=True)
        rounds = 1
        if not await asyncio.to_thread(sys.stdin.readline):
            return


asyncio.run(main(*sys.argv[1:]))
