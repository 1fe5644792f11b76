"""What a test makes Asterisk do in a call by AMI, the ways that a companion has included."""

from __future__ import annotations

import secrets

from tests.lab.peers.user_agent import Call
from tests.lab.stack import Stack


def _set(stack: Stack, call: Call, *orders: tuple[str, str]) -> None:
    stack.set_variables(stack.channels()[call.call_id], *orders)


def update(stack: Stack, call: Call) -> None:
    """UPDATE without SDP."""
    # The tag alone is sent only where a number is set; `i` sets it without sending.
    _set(stack, call, ("CONNECTEDLINE(num,i)", "1000"), ("CONNECTEDLINE(tag)", secrets.token_hex(4)))


def reinvite(stack: Stack, call: Call) -> None:
    """INVITE that repeats the session as it stands; on every release, unlike an offer."""
    channel = stack.channels()[call.call_id]
    mode = stack.ami("Getvar", Channel=channel, Variable="PJSIP_DTMF_MODE()")[0]["Value"]
    stack.set_variables(channel, ("PJSIP_DTMF_MODE()", "rfc4733" if mode == "auto_info" else "auto_info"))


def sends_offers(stack: Stack) -> bool:
    """Whether `refresh_with_offer` sends anything: not before 18 (docs/reference/asterisk-releases.md)."""
    return stack.asterisk_release() >= (18, 0)


def refresh_with_offer(stack: Stack, call: Call, method: str, codec: str = "ulaw") -> None:
    """INVITE or UPDATE with SDP that offers this codec alone."""
    # `none` never reaches the SDP; without it Asterisk sees nothing to tell and sends nothing.
    _set(
        stack,
        call,
        ("PJSIP_MEDIA_OFFER(audio)", f"!all,{codec},none"),
        ("PJSIP_SEND_SESSION_REFRESH()", method.lower()),
    )


def change_digits(stack: Stack, call: Call, mode: str = "auto_info") -> None:
    """Another way to send digits: a re-INVITE, which Asterisk keeps in its queue while it may not send it."""
    _set(stack, call, ("PJSIP_DTMF_MODE()", mode))


def hang_up(stack: Stack, call: Call) -> None:
    """The end of the call, as Asterisk sees fit: BYE, CANCEL or an answer that refuses."""
    stack.ami("Hangup", Channel=stack.channels()[call.call_id], Cause="16")
