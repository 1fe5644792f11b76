"""Asks the companion, in its own container, whether it is ready; ``kill`` ends it first, by kill -9.

Prints JSON: `ready`, `sessions`, and after a kill its time, `killed`, in seconds since 1970.
"""

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""By no proxy that Docker's client gave the container."""
PATIENCE = 60.0
PAUSE = 0.2
"""Seconds between two questions: each takes time from what is measured."""


def ask(path: str) -> object:
    """What the companion answers; None if it does not, or says no."""
    try:
        with STRAIGHT.open(f"http://127.0.0.1:8080{path}", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def running() -> int:
    """The companion's process, the one that Python runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"python3") and b"session_timer_companion" in words:
            return int(folder.name)
    sys.exit("there is no companion to be killed")


def killed() -> dict[str, object]:
    """Kill it and wait for the next one."""
    victim = running()
    killed_at = time.time()
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    while ask("/readyz") is None:
        if time.monotonic() > began + PATIENCE:
            sys.exit(f"the companion was not ready again within {PATIENCE:g} s")
        time.sleep(PAUSE)
    return {"killed": killed_at}


if __name__ == "__main__":
    found = killed() if sys.argv[1:] == ["kill"] else {}
    sessions = ask("/sessions")
    found |= {
        "ready": ask("/readyz") is not None,
        "sessions": len(sessions) if isinstance(sessions, list) else 0,
    }
    print(json.dumps(found))
