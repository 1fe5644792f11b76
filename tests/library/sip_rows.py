"""Header rows as a SIP message has them, for the readers under test."""

from __future__ import annotations

from collections.abc import Sequence

from session_timer import RefreshRequest, RefreshResponse, Rows

COMPACT_NAMES = {"x": "Session-Expires", "k": "Supported"}
"""As RFC 4028 section 12 and RFC 3261 20.37 have them. In the product it is Kamailio that knows them."""


def rows(*lines: str) -> Rows:
    """What a SIP stack answers when asked for a header: any case, compact or long, in order."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, value = line.split(":", 1)
        written = name.strip().lower()
        long = COMPACT_NAMES.get(written, written).lower()
        found.setdefault(long, []).append(value.strip())

    def lookup(header: str) -> Sequence[str]:
        return found.get(header.lower(), [])

    return lookup


def request(*lines: str, method: str = "INVITE") -> RefreshRequest:
    return RefreshRequest.read(method, rows(*lines))


def response(code: int, *lines: str) -> RefreshResponse:
    return RefreshResponse.read(code, rows(*lines))
