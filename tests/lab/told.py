"""What the edge tells Asterisk in the internal header, read with the lab's key."""

from __future__ import annotations

from session_timer import HeaderError, InternalHeader, SharedKey

from tests.lab.sip import SipMessage
from tests.lab.stack import ROOT

INTERNAL = "X-Session-Timer"
KEY = SharedKey.parse((ROOT / "docker" / "config" / "session-timer-key").read_text(encoding="ascii"))
"""Known to everybody who reads this: it is worth nothing outside the lab."""


def told(message: SipMessage, name: str = INTERNAL) -> InternalHeader:
    """The only row of the internal header in a message. AssertionError if it is not signed for its call."""
    rows = message.rows(name)
    assert len(rows) == 1, f"rows of {name}: {rows}"
    return InternalHeader.decode(rows[0], KEY, message.call_id)


def is_ours(value: str, call_id: str) -> bool:
    """Whether the edge wrote this value for this call."""
    try:
        InternalHeader.decode(value, KEY, call_id)
    except HeaderError:
        return False
    return True
