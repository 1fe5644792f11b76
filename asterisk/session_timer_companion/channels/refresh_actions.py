"""What makes Asterisk send a refresh: the AMI actions, for each form of RFC 4028 7.4.

Asterisk swallows a refresh that would change nothing, while AMI says that it was done. So each form asks
for a change that the other side cannot see.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping

from session_timer.session import Method, Reason

from session_timer_companion.channels.calls import Media

Action = tuple[str, Mapping[str, str]]
"""An AMI action and its headers."""

HANG_UP_CAUSE = 102
"""Q.850: recovery on timer expiry. It shows in the CDR and in the BYE's Reason."""

NORMAL_CLEARING = 16
"""Q.850: somebody has hung up."""

_SAME_SDP = {
    "rfc4733": "auto_info",
    "auto": "auto_info",
    "auto_info": "auto",
    "info": "none",
    "inband": "none",
    "none": "info",
}
"""Ways to send digits, each with one that is described alike: with telephone-event, or without."""

_run = secrets.token_hex(4)
_count = itertools.count(1)


class CannotRefresh(Exception):  # noqa: N818  # a fact about the call, and named for it
    """This form of refresh would change the call: what stands against it."""


def fresh_tag() -> str:
    """A tag that no channel of Asterisk has had, from this process or from one before it."""
    return f"{_run}.{next(_count)}"


def by_connected_line(channel: str, tag: str, number: str = "") -> list[Action]:
    """UPDATE without SDP: the connected line has a new tag, which only Asterisk sees.

    `number` is set first, quietly, on a channel that has none: without one no connected line is valid.
    """
    actions = [_set(channel, "CONNECTEDLINE(num,i)", number)] if number else []
    return [*actions, _set(channel, "CONNECTEDLINE(tag)", tag)]


def with_sdp(channel: str, media: Media, method: Method, *, offers: bool = True) -> list[Action]:
    """re-INVITE, or UPDATE with SDP, that leaves the session as it is. Raises `CannotRefresh`.

    Only audio can be offered anew without a change. Anything else goes by re-INVITE, whatever `method` says:
    Asterisk sends no UPDATE that repeats it. `offers`: this release sends such offers at all.
    """
    if offers and media.only_audio:
        return by_offer(channel, media, method)
    return by_repetition(channel, media)


def by_offer(channel: str, media: Media, method: Method) -> list[Action]:
    """re-INVITE, or UPDATE with SDP: the audio codecs in use are offered again.

    Asterisk makes such an offer from the endpoint's settings: it would end a T.38 session, begin video, or
    name it anew. The format `none` makes the offer differ from what was negotiated, and never reaches the
    SDP.
    """
    return [
        _set(channel, "PJSIP_MEDIA_OFFER(audio)", ",".join(("!all", *media.codecs, "none"))),
        _set(channel, "PJSIP_SEND_SESSION_REFRESH()", "invite" if method is Method.INVITE else "update"),
    ]


def by_repetition(channel: str, media: Media) -> list[Action]:
    """re-INVITE with the description in force, twice in a row; raises `CannotRefresh` if Asterisk would not.

    Another way to send digits makes Asterisk describe the session as it stands: every stream in its place,
    with its formats and keys. The way back makes it do so again.
    """
    other = _SAME_SDP.get(media.digits)
    if other is None:
        raise CannotRefresh(f"how Asterisk sends digits in this call is not known: {media.digits!r}")
    return [_set(channel, "PJSIP_DTMF_MODE()", mode) for mode in (other, media.digits)]


def set_digits(channel: str, mode: str) -> list[Action]:
    """Send digits in this way again, where a pair of orders was broken off in between."""
    return [_set(channel, "PJSIP_DTMF_MODE()", mode)]


def hang_up(channel: str, reason: Reason, cdr_field: str) -> list[Action]:
    """End an expired call; the CDR variable `cdr_field`, if any is named, says why."""
    actions: list[Action] = []
    if cdr_field:
        actions.append(_set(channel, f"CDR({cdr_field})", f"session-timer: {reason.text}"))
    return [*actions, ("Hangup", {"Channel": channel, "Cause": str(HANG_UP_CAUSE)})]


def hang_up_as_told(channel: str, cdr_field: str) -> list[Action]:
    """End a call because an operator says so; the CDR variable `cdr_field`, if any is named, says that."""
    actions: list[Action] = []
    if cdr_field:
        actions.append(_set(channel, f"CDR({cdr_field})", "session-timer: an operator hung up"))
    return [*actions, ("Hangup", {"Channel": channel, "Cause": str(NORMAL_CLEARING)})]


def _set(channel: str, variable: str, value: str) -> Action:
    return "Setvar", {"Channel": channel, "Variable": variable, "Value": value}
