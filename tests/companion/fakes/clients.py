"""What tests of an AMI client need beside the fake Asterisk: quick settings, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from session_timer_companion.ami.client import Ami, AmiEntry, Backoff

QUICK = Backoff(first=0.01, ceiling=0.05, refused=0.02)

Client = Callable[..., Ami]
"""Makes a client: settings of AmiAccount and arguments of Ami, all by name."""


async def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; fail if it does not within `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.002)


async def collect(ami: Ami, name: str, /, *, timeout: float | None = None, **headers: str) -> list[AmiEntry]:
    """Send a list action and return its entries; raises as `Ami.stream` does."""
    entries: list[AmiEntry] = []
    await ami.stream(name, entries.append, timeout=timeout, **headers)
    return entries


def variables(entry: AmiEntry) -> dict[str, str]:
    """What `Variables` asked for, by the expression asked."""
    lines = entry._lines.split("\r\n")
    named = (
        line.removeprefix("Variable: ").partition("=") for line in lines if line.startswith("Variable: ")
    )
    return {name: value for name, _, value in named}
