"""Tells others when a call is hung up or a peer refuses: a program of the operator's, or a web address.

Never in the way of a call: what cannot be told within its time, or is too much at once, is dropped and
counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from session_timer_companion.events.hook_settings import Hook, On

QUEUED = 100
"""Tellings that wait at most; what comes when so many wait is dropped."""

AT_ONCE = 4
"""Tellings that are under way at most."""

OUTCOMES = ("done", "failed", "timed_out", "dropped")

COUNTED = Counter(
    "session_timer_hooks",
    "Hooks that were to be told of something, by what came of it.",
    ["outcome"],
    registry=None,
)
for _outcome in OUTCOMES:
    COUNTED.labels(_outcome)


class Hooks:
    """Tells each hook of what it wants to hear; `tell` returns at once."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = hooks
        self._queue: asyncio.Queue[tuple[Hook, bytes]] = asyncio.Queue(QUEUED)
        self._workers: list[asyncio.Task[None]] = []
        self._full = False
        self._log = structlog.get_logger(__name__)

    def tell(self, on: On, facts: dict[str, object]) -> None:
        """Tell every hook that wants to hear of it."""
        for hook in self._hooks:
            if on not in hook.on:
                continue
            if not self._workers:
                self._workers = [asyncio.create_task(self._work()) for _ in range(AT_ONCE)]
            try:
                self._queue.put_nowait((hook, json.dumps({"event": on, **facts}).encode()))
            except asyncio.QueueFull:
                COUNTED.labels("dropped").inc()
                if not self._full:  # one line for each time that it runs full
                    self._log.warning("hooks_dropped", waiting=QUEUED)
                self._full = True
            else:
                self._full = False

    async def aclose(self) -> None:
        """Break off what is under way."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            hook, body = await self._queue.get()
            try:
                async with asyncio.timeout(hook.timeout):
                    reason = await (_run(hook.run, body) if hook.run else _post(str(hook.url), body))
            except TimeoutError:
                self._ended(hook, "timed_out", f"not done within {hook.timeout:g} s")
            except Exception as error:  # noqa: BLE001  # a hook's trouble is its own
                self._ended(hook, "failed", str(error) or type(error).__name__)
            else:
                self._ended(hook, "failed" if reason else "done", reason)

    def _ended(self, hook: Hook, outcome: str, reason: str) -> None:
        COUNTED.labels(outcome).inc()
        if outcome != "done":
            self._log.warning("hook_failed", hook=hook.run or hook.url, reason=reason)


async def _run(path: str, body: bytes) -> str:
    """Run a program with `body` on standard input; why that failed, or nothing.

    It gets no environment but a PATH: ours may name credentials. What it prints to standard error is in our
    journal.
    """
    process = await asyncio.create_subprocess_exec(
        path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        start_new_session=True,
    )
    try:
        # A program that does not read its input may be done all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.communicate(body)
        status = await process.wait()
    except BaseException:
        # Its time is over: it goes with all that it has started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return f"exit status {status}" if status else ""


async def _post(url: str, body: bytes) -> str:
    """Post `body` as JSON; why that failed, or nothing. Redirects are not followed."""
    import aiohttp  # noqa: PLC0415  # takes longer to import than all else at a start

    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"
