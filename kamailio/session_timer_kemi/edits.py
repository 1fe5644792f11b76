"""What is taken off a message and put on it."""

from __future__ import annotations

from session_timer import TIMER
from session_timer.headers import has_tag, without_tag

from . import ksr


def hide_values() -> None:
    """Take off Session-Expires and Min-SE: what stands there was not meant for who comes next."""
    for header in ("Session-Expires", "Min-SE"):
        if ksr.rows(header):
            ksr.remove(header)


def hide_timer() -> None:
    """Take off what Asterisk is not to see: the timer's headers, and its tag in the lists of tags."""
    hide_values()
    for header in ("Supported", "Require", "Proxy-Require"):
        rows = ksr.rows(header)
        if has_tag(rows, TIMER):
            ksr.remove(header)
            rest = without_tag(rows[0], TIMER)
            ksr.append((f"{header}: {rest}",) if rest else ())


def add_tag(header: str) -> None:
    """Add ``timer`` to a list of option tags, in the row that is there: not every peer reads a second."""
    present = ksr.rows(header)
    if has_tag(present, TIMER):
        return
    if present:
        ksr.remove(header)
    ksr.append((f"{header}: {', '.join(tags for tags in (*present, TIMER) if tags)}",))
