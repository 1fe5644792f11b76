"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

PATIENCE = 20.0
"""Seconds to wait for what comes at once on an idle machine. A test that sees it waits no longer."""


class NotInTimeError(AssertionError):
    """The condition did not come true; the message says what was expected and what was seen last."""


def wait_until(
    look: Callable[[], Seen],
    timeout: float,
    what: str,
    *,
    holds: Callable[[Seen], bool] = bool,
    pause: float = 0.1,
) -> Seen:
    """Look again and again until ``holds`` what was seen, and return that.

    ``timeout`` and ``pause`` are seconds. Raises NotInTimeError with ``what`` and the last thing seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() >= deadline:
            raise NotInTimeError(f"expected within {timeout:g} s: {what}; last seen: {seen!r}")
        time.sleep(pause)
