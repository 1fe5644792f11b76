"""The calls of an Asterisk, as AMI tells of its channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from sys import intern
from typing import NamedTuple, Protocol

from session_timer import HeaderError, InternalHeader, SharedKey, Side, record

TECHNOLOGY = "PJSIP/"
UP = "6"
"""Asterisk's channel state of an answered call (`AST_STATE_UP`)."""

DIALOG = ("CHANNEL(pjsip,call-id)", "CHANNEL(pjsip,local_tag)", "CHANNEL(pjsip,remote_tag)")
"""The functions that name a channel's SIP dialog."""

NUMBERS = ("CONNECTEDLINE(num)", "CALLERID(dnid)")
"""The functions that name the other party: the number that Asterisk knows, and the one that was dialled."""

STANDING = ("CHANNEL(state)", "CONNECTEDLINE(num)", "CALLERID(num)")
"""The functions that say whether a channel is answered, and the numbers of its parties."""

RECEIVED_PACKETS = ("CHANNEL(rtcp,rxcount)",)
"""The function that counts the RTP packets of the peer."""

ROWS = range(2, 6)
"""Further rows of the internal header's name that are looked at where the first one is not ours."""

MEDIA = (
    "CHANNEL(audionativeformat)",
    "CHANNEL(pjsip,t38state)",
    "PJSIP_MEDIA_OFFER(video)",
    "PJSIP_DTMF_MODE()",
)
"""The functions that tell what a refresh with SDP must repeat."""

_NUMBER = re.compile(r"[0-9+*#]{1,40}")
_NOBODY = frozenset({"", "<unknown>"})
_CODEC = re.compile(r"[A-Za-z0-9_.-]+")
_NO_CODEC = "nothing"


class StatusEntry(Protocol):
    """One entry of a list of channels, or an event that shows a channel."""

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


def both(caller: str, connected: str) -> bytes:
    """The numbers of both parties as far as Asterisk knows them, a space between, in UTF-8.

    As text they would take a quarter more, and there may be 100,000.
    """
    numbers = (number if is_number(number) else "" for number in (caller, connected))
    return " ".join(numbers).encode("utf-8", "replace")


def is_number(text: str) -> bool:
    """Whether Asterisk has a number there."""
    return text not in _NOBODY


class Channel(NamedTuple):
    """An answered channel."""

    name: str
    numbers_utf8: bytes = both("", "")
    """As `both` writes them."""

    @property
    def connected(self) -> bool:
        """Asterisk knows a number of the other party, without which it announces no connected line."""
        return not self.numbers_utf8.endswith(b" ")


class AnsweredChannels:
    """The answered channels of one Asterisk, of which there may be 100,000.

    A `Channel` is made when it is taken out: one for each would hold memory between those of the calls.
    """

    def __init__(self, channels: Iterable[Channel] = ()) -> None:
        self.names: list[str] = []
        self._numbers: list[bytes] = []
        for channel in channels:
            self.add(channel)

    def add(self, channel: Channel) -> None:
        """One more."""
        self.names.append(channel.name)
        self._numbers.append(channel.numbers_utf8)

    def take(self, most: int) -> list[Channel]:
        """Take out as many as are left, `most` at most."""
        some = list(map(Channel, self.names[-most:], self._numbers[-most:]))
        del self.names[-most:], self._numbers[-most:]
        return some


class Numbers(NamedTuple):
    """What Asterisk knows of the other party of a channel."""

    connected: str
    dialled: str

    @property
    def to_set(self) -> str:
        """The number dialled, if it is one: ``s`` and ``unknown`` are none, and are shown to nobody."""
        return self.dialled if _NUMBER.fullmatch(self.dialled) else ""


@dataclass(frozen=True, slots=True)
class Call:
    """One answered channel that is an end of a SIP dialog."""

    channel: str
    key: str
    """Its record's key at the edge: both tags, and the Call-ID that the edge has."""
    header: InternalHeader | None
    """What the edge says of its timer; None: this call did not come through our edge."""
    refused: str = ""
    """Why a row of the internal header's name was not believed."""
    placed_by_us: bool = False
    """Our side sent the initial INVITE, so it made the Call-ID (RFC 3261 14.1)."""
    connected: bool = True
    """Asterisk knows a number of the other party."""
    numbers_utf8: bytes = b""
    """The numbers of both parties, as `both` writes them."""

    def as_known(self, key: str) -> Call:
        """This call, if Asterisk told no header this time with `key`: that of the call on this channel.

        Without the header there is only Asterisk's Call-ID, and topology hiding may have changed that.
        """
        told_less = self.header is None and self.key != key and record.same_tags(self.key, key)
        return replace(self, key=key) if told_less else self

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


def header_functions(header: str, row: int = 1) -> tuple[str, str]:
    """The functions that read a row of our internal header: of a call received, and of a call placed."""
    number = "" if row == 1 else f",{row}"
    return f"PJSIP_HEADER(read,{header}{number})", f"PJSIP_RESPONSE_HEADER(read,{header}{number})"


def answered(entry: StatusEntry) -> Channel | None:
    """The channel of an entry or event; None for one that is not answered or is not PJSIP's."""
    name = entry.text("Channel")
    if entry.text("ChannelState") != UP or not name.startswith(TECHNOLOGY):
        return None
    caller, connected = entry.text("CallerIDNum"), entry.text("ConnectedLineNum")
    return Channel(name, both(caller, connected))


def media(codecs: str, t38: str, video: str, digits: str) -> Media:
    """What the functions of `MEDIA` tell."""
    audio = tuple(name for name in _CODEC.findall(codecs) if name != _NO_CODEC)
    return Media(audio, t38 == "ENABLED", bool(video), digits)


def verified(
    rows: Iterable[str], key: SharedKey, call_id: str, peer_tag: str
) -> tuple[InternalHeader | None, str]:
    """The first row that our key has signed for this call; else why the last one that is there has not.

    pjsip may read rows that Kamailio did not see, so that a stranger's may come before ours.
    """
    refused = ""
    for value in rows:
        if value:
            try:
                return InternalHeader.decode(value, key, call_id, peer_tag), ""
            except HeaderError as error:
                refused = str(error)
    return None, refused


def key_at_edge(header: InternalHeader | None, call_id: str, local_tag: str, remote_tag: str) -> str:
    """The key of the record of a dialog that Asterisk knows by these."""
    known = header is not None and header.call_id
    return record.key(known or call_id, local_tag, remote_tag)


def is_placed_by_us(header: InternalHeader | None, rows: Sequence[str]) -> bool:
    """Whether our side sent the initial INVITE: the header says so, else the response that had one.

    A re-INVITE of the peer brings the header of a call received to a call that Asterisk placed.
    """
    if header is not None and header.placed is not None:
        return header.placed is Side.LOCAL
    received, placed, *_ = (*rows, "", "")
    return bool(placed) and not received
