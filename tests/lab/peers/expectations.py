"""What several tests expect of a message."""

from __future__ import annotations

from tests.lab.sip import SipMessage

INTERNAL = "X-Session-Timer"
TAG_LISTS = ("Supported", "Require", "Proxy-Require")


def assert_no_timer(message: SipMessage) -> None:
    """Nothing in it speaks of session timers: what an Asterisk with timers=no is to see."""
    assert message.rows("Session-Expires") == ()
    assert message.rows("Min-SE") == ()
    for name in TAG_LISTS:
        assert "timer" not in message.tokens(name), (name, message.rows(name))


def assert_2xx(message: SipMessage, session_expires: str, *, requires: bool) -> None:
    """A 200 with exactly this timer, and ``timer`` in Require or not."""
    assert message.status == 200, message.start_line
    assert message.rows("Session-Expires") == (session_expires,)
    assert message.rows("Min-SE") == ()
    assert ("timer" in message.tokens("Require")) is requires
    assert message.rows(INTERNAL) == ()
