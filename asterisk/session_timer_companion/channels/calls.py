"""The calls of an Asterisk, as AMI tells of its channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import NamedTuple, Protocol

from session_timer import HeaderError, InternalHeader, record

TECHNOLOGY = "PJSIP/"
UP = "6"
"""Asterisk's channel state of an answered call (`AST_STATE_UP`)."""

DIALOG = ("CHANNEL(pjsip,call-id)", "CHANNEL(pjsip,local_tag)", "CHANNEL(pjsip,remote_tag)")
"""The functions that name a channel's SIP dialog."""

CONNECTED_NUMBER = ("CONNECTEDLINE(num)",)

MEDIA = (
    "CHANNEL(audionativeformat)",
    "CHANNEL(pjsip,t38state)",
    "PJSIP_MEDIA_OFFER(video)",
    "PJSIP_DTMF_MODE()",
)
"""The functions that tell what a refresh with SDP must repeat."""

_NOBODY = frozenset({"", "<unknown>"})
_CODEC = re.compile(r"[A-Za-z0-9_.-]+")
_NO_CODEC = "nothing"


class StatusEntry(Protocol):
    """One entry of a `Status` list, or an event that shows a channel."""

    def text(self, name: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Media:
    """What is negotiated on a channel."""

    codecs: tuple[str, ...] = ()
    """Of audio, as Asterisk names them."""
    t38: bool = False
    """A fax session by T.38 is up: audio must not be offered."""
    video: bool = False
    """The endpoint allows video: a new offer would name it, negotiated or not."""
    digits: str = "rfc4733"
    """How digits are sent, in the words of the endpoint's `dtmf_mode`."""

    @property
    def only_audio(self) -> bool:
        """A new offer of the codecs in use repeats all that is negotiated."""
        return bool(self.codecs) and not self.t38 and not self.video


class Channel(NamedTuple):
    """An answered channel, as a list of channels shows it."""

    name: str
    connected: bool
    """Asterisk knows a number of the other party, without which it announces no connected line."""
    number: str
    """The number that was called: what the other party is told where Asterisk knows none."""
    numbers: str = ""
    """The numbers of both parties, as far as Asterisk knows them, one after the other."""


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
    placed_by_us: bool = False
    """Asterisk placed the call, so its side made the Call-ID (RFC 3261 14.1)."""
    number: str = ""
    """To be set as the connected number before a refresh by it; empty where Asterisk has one."""
    numbers: str = ""
    """The numbers of both parties, as far as Asterisk knows them."""

    @property
    def call_id(self) -> str:
        return call_id(self.key)

    @property
    def endpoint(self) -> str:
        return endpoint(self.channel)


def call_id(key: str) -> str:
    """The Call-ID in a record's key."""
    return record.split_key(key)[0]


def endpoint(channel: str) -> str:
    """The PJSIP endpoint in a channel's name: ``PJSIP/carrier-0000001a`` is of ``carrier``."""
    return intern(channel.removeprefix(TECHNOLOGY).rpartition("-")[0])


def header_functions(header: str) -> tuple[str, str]:
    """The functions that read our internal header: of a call received, and of a call placed."""
    return f"PJSIP_HEADER(read,{header})", f"PJSIP_RESPONSE_HEADER(read,{header})"


def answered(entry: StatusEntry) -> Channel | None:
    """The channel of an entry of `Status`; None for one that is not answered or is not PJSIP's."""
    name = entry.text("Channel")
    if entry.text("ChannelState") != UP or not name.startswith(TECHNOLOGY):
        return None
    connected = entry.text("ConnectedLineNum") not in _NOBODY
    return Channel(
        name, connected, intern(entry.text("DNID") or entry.text("Exten") or "unknown"), _numbers(entry)
    )


def _numbers(entry: StatusEntry) -> str:
    both = (entry.text("CallerIDNum"), entry.text("ConnectedLineNum"))
    return intern(" ".join(dict.fromkeys(number for number in both if number not in _NOBODY)))


def media(codecs: str, t38: str, video: str, digits: str) -> Media:
    """What the functions of `MEDIA` tell."""
    audio = tuple(name for name in _CODEC.findall(codecs) if name != _NO_CODEC)
    return Media(audio, t38 == "ENABLED", bool(video), digits)


def read(channel: Channel, dialog: tuple[str, ...], inbound: str, placed_by_us: str) -> Call | None:
    """The call of a channel, from Call-ID, tags and internal headers; None where there is no dialog."""
    call_id, local_tag, remote_tag = dialog
    if not (call_id and local_tag and remote_tag):
        return None
    internal, malformed = _internal(inbound or placed_by_us)
    return Call(
        channel=channel.name,
        key=record.key(call_id, local_tag, remote_tag),
        header=internal,
        malformed=malformed,
        placed_by_us=bool(placed_by_us) and not inbound,
        number="" if channel.connected else channel.number,
        numbers=channel.numbers,
    )


@lru_cache(maxsize=1024)
def _internal(value: str) -> tuple[InternalHeader | None, str]:
    """Our header, and why it cannot be read. Thousands of calls share a few values."""
    if not value:
        return None, ""
    try:
        return InternalHeader.decode(value), ""
    except HeaderError as error:
        return None, str(error)
