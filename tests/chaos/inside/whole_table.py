"""Prints keys and values of one of Kamailio's tables as JSON: ``whole_table.py TABLE``; runs beside Kamailio.

By the RPC's fifo, for a table of hundreds of entries does not fit into a datagram.
"""

import json
import os
import secrets
import sys
from pathlib import Path

FIFO = "/run/kamailio/rpc.fifo"


def entries(table: str) -> dict[str, str]:
    """Raises OSError where Kamailio does not read its fifo."""
    name = f"chaos-{secrets.token_hex(4)}"
    question = {"jsonrpc": "2.0", "method": "htable.dump", "params": [table], "reply_name": name, "id": 1}
    reply = Path("/tmp") / name  # noqa: S108  # where Kamailio writes its replies
    os.mkfifo(reply)
    try:
        # Without a reader this fails at once instead of waiting for one.
        fifo = os.open(FIFO, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fifo, json.dumps(question).encode())
        os.close(fifo)
        said = json.loads(reply.read_text())
    finally:
        reply.unlink()
    return {item["name"]: str(item["value"]) for slot in said.get("result", []) for item in slot["slot"]}


if __name__ == "__main__":
    try:
        print(json.dumps(entries(sys.argv[1])))
    except OSError as error:
        sys.exit(f"the edge's RPC: {error}")
