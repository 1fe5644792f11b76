"""Fills Kamailio's shared memory by its RPC until it takes nothing more: ``fill_memory.py HOST``.

Prints how many bytes it took. They go with `htable.flush session_timer_min_se`.
"""

import json
import socket
import sys

TABLE = "session_timer_min_se"
SIZES = (50_000, 5_000, 500)
"""First what is large, then what fits between it."""


def fill(host: str) -> int:
    """Raises OSError if the RPC does not reply."""
    taken = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.connect((host, 8090))
        for size in SIZES:
            for number in range(1_000_000):
                name = f"fill-{size}-{number}"
                question = {"jsonrpc": "2.0", "method": "htable.sets", "params": [TABLE, name, "x" * size]}
                udp.send(json.dumps({**question, "id": 1}).encode())
                try:
                    full = "error" in json.loads(udp.recv(65535))
                except TimeoutError:
                    full = True  # it has no memory even for the reply
                if full:
                    break
                taken += size
    return taken


if __name__ == "__main__":
    try:
        print(fill(sys.argv[1]))
    except OSError as error:
        sys.exit(f"the edge's RPC: {error}")
