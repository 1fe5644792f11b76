"""What the companion says of itself: its own HTTP, asked from inside its container, and its log."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

# One process for all questions: `docker exec` costs a good part of a second.
_ASK = """
import json, sys, urllib.error, urllib.request
straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # by no proxy of Docker's client
for path in sys.stdin:
    try:
        with straight.open("http://127.0.0.1:8080" + path.strip(), timeout=5) as answer:
            said = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.code, error.read().decode()
    except OSError as error:
        said = 0, str(error)
    print(json.dumps(said), flush=True)
"""


@dataclass(slots=True)
class Companion:
    """The companion's container, asked over and over."""

    stack: Stack
    service: str = "companion"
    """What the stack calls it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: subprocess.Popen[str] | None = None

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages; status 0 while it does not answer."""
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._drop()
            process = self._process = self._process or self._open()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(f"{path}\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                self._drop()
                return 0, "its container does not run"
            status, body = json.loads(line)
            return status, body

    def sessions(self) -> dict[str, dict[str, Any]]:
        """What it has tracked, by Call-ID."""
        status, body = self.get("/sessions")
        return {each["call_id"]: each for each in json.loads(body)} if status == 200 else {}

    def session(
        self, call_id: str, holds: Callable[[dict[str, Any]], bool] = bool, timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """One call as the companion shows it; waits up to ``timeout`` seconds until ``holds``."""
        return wait_until(
            lambda: self.sessions().get(call_id, {}),
            timeout,
            f"the companion's session {call_id}",
            holds=lambda seen: bool(seen) and holds(seen),
        )

    def ready(self, timeout: float = 3 * PATIENCE) -> None:
        """Wait until it is in_sync."""
        wait_until(
            lambda: self.get("/readyz"), timeout, "a ready companion", holds=lambda seen: seen[0] == 200
        )

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels; there must be one of this name."""
        _, body = self.get("/metrics")
        assert f"# TYPE {name} " in body, (name, body)
        rows = [row.rpartition(" ") for row in body.splitlines() if not row.startswith("#")]
        return sum(float(value) for label, _, value in rows if label.partition("{")[0] == name)

    def log(self, call_id: str) -> str:
        """Its lines about one call."""
        lines = self.stack.logs(self.service).splitlines()
        return "\n".join(line for line in lines if call_id in line)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _open(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["docker", "exec", "-i", self.stack.container(self.service), "python3", "-u", "-c", _ASK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # it has died with a question unread
                    pipe.close()
