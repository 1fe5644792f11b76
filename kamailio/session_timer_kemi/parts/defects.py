"""What a message breaks although it is handled: each such message is told in the log and counted."""

from __future__ import annotations

from collections.abc import Iterable

from .. import ksr


def tell(call: str, message: str, found: Iterable[str]) -> None:
    """`call` is how lines of the log begin; `message` says what has these defects, one at least."""
    ksr.count("session_timer_defects")
    for defect in found:
        ksr.warn(f"{call} defect in a {message}: {defect}")
