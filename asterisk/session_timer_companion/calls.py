"""The calls of an Asterisk, read from what AMI's `Status` tells of its channels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Protocol

from session_timer import HeaderError, InternalHeader, record

TECHNOLOGY = "PJSIP/"
UP = "6"
"""Asterisk's channel state of an answered call (`AST_STATE_UP`)."""

_CALL_ID = "CHANNEL(pjsip,call-id)"
_LOCAL_TAG = "CHANNEL(pjsip,local_tag)"
_REMOTE_TAG = "CHANNEL(pjsip,remote_tag)"
_CODECS = "CHANNEL(audionativeformat)"
_T38 = "CHANNEL(pjsip,t38state)"
_NOBODY = frozenset({"", "<unknown>"})
_CODEC = re.compile(r"[A-Za-z0-9_.-]+")


class StatusEntry(Protocol):
    """One entry of a `Status` list."""

    def text(self, name: str) -> str: ...

    def variables(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One answered channel that is an end of a SIP dialog."""

    channel: str
    key: str
    """Its record's key at the edge: Call-ID and both tags."""
    header: InternalHeader | None
    """What the edge says of its timer; None: this call did not come through our edge."""
    malformed: str = ""
    """Why an internal header could not be read."""
    outbound: bool = False
    """Asterisk placed the call, so its side made the Call-ID (RFC 3261 14.1)."""
    codecs: tuple[str, ...] = ()
    """Negotiated for audio, as Asterisk names them."""
    t38: bool = False
    """A fax session by T.38 is up: audio must not be offered."""
    connected: bool = False
    """Asterisk knows a number of the other party, without which it announces no connected line."""
    number: str = ""
    """The number that was called: what the other party is told where Asterisk knows none."""

    @property
    def call_id(self) -> str:
        return call_id(self.key)

    @property
    def endpoint(self) -> str:
        return endpoint(self.channel)


def call_id(key: str) -> str:
    """The Call-ID in a record's key."""
    return key.rsplit(";", 2)[0]


def endpoint(channel: str) -> str:
    """The PJSIP endpoint in a channel's name: ``PJSIP/carrier-0000001a`` is of ``carrier``."""
    return intern(channel.removeprefix(TECHNOLOGY).rpartition("-")[0])


def variables(header: str) -> str:
    """What a `Status` action must ask for so that `read` understands it; `header` names our own."""
    inbound, outbound = _header_variables(header)
    return ",".join((_CALL_ID, _LOCAL_TAG, _REMOTE_TAG, inbound, outbound, _CODECS, _T38))


def read(entry: StatusEntry, header: str) -> Call | None:
    """The call that an entry of `Status` shows; None for a channel not answered or without SIP dialog."""
    channel = entry.text("channel")
    if entry.text("channelstate") != UP or not channel.startswith(TECHNOLOGY):
        return None
    told = entry.variables()
    named = told.get(_CALL_ID, ""), told.get(_LOCAL_TAG, ""), told.get(_REMOTE_TAG, "")
    if not all(named):
        return None
    inbound, outbound = _header_variables(header)
    value = told.get(inbound, "") or told.get(outbound, "")
    internal: InternalHeader | None = None
    malformed = ""
    if value:
        try:
            internal = InternalHeader.decode(value)
        except HeaderError as error:
            malformed = str(error)
    return Call(
        channel=channel,
        key=record.key(*named),
        header=internal,
        malformed=malformed,
        outbound=not told.get(inbound, "") and bool(told.get(outbound, "")),
        codecs=tuple(name for name in _CODEC.findall(told.get(_CODECS, "")) if name != "nothing"),
        t38=told.get(_T38, "") == "ENABLED",
        connected=entry.text("connectedlinenum") not in _NOBODY,
        number=entry.text("dnid") or entry.text("exten"),
    )


def _header_variables(header: str) -> tuple[str, str]:
    return f"PJSIP_HEADER(read,{header})", f"PJSIP_RESPONSE_HEADER(read,{header})"
