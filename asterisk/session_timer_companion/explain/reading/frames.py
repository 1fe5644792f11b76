"""The frames of a capture file, pcap or pcapng, one at a time.

dpkt has readers for both, but the one for pcapng knows a single interface, and both believe whatever length
a file names. A capture of two interfaces, a file that was cut off and a hostile one are what people have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

LARGEST_RECORD = 1 << 18
"""Bytes: libpcap's own limit (MAXIMUM_SNAPLEN)."""
_LARGEST_BLOCK = 1 << 24
# Magic number as it stands in the file -> byte order and ticks a second.
_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6
_RESOLUTION, _OFFSET = 9, 14


class Readable(Protocol):
    """A file, packed or not."""

    def read(self, size: int, /) -> bytes: ...


class Frame(NamedTuple):
    """One captured frame; ``time`` in seconds of the capturing host's clock, ``link`` its link type."""

    time: float
    link: int
    data: bytes


@dataclass(slots=True)
class Damage:
    """Where a file stops making sense; None as long as it does."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Interface:
    link: int
    ticks: float = 1e6
    offset: int = 0


@dataclass(slots=True)
class _Section:
    order: str
    interfaces: list[_Interface] = field(default_factory=list)


def is_capture(head: bytes) -> bool:
    """Whether these first four bytes are those of a capture file."""
    return head[:4] in _PCAP or head[:4] == _PCAPNG


def frames(file: Readable, damage: Damage) -> Iterator[Frame]:
    """The frames of the file, which stands at its beginning. What ends it early is put into ``damage``."""
    magic = file.read(4)
    if magic == _PCAPNG:
        yield from _pcapng(file, damage)
    elif magic in _PCAP:
        yield from _pcap(file, damage, *_PCAP[magic])


def _pcap(file: Readable, damage: Damage, order: str, ticks: int) -> Iterator[Frame]:
    head = file.read(20)
    if len(head) < 20:
        damage.reason = "the file ends within its header"
        return
    link = struct.unpack(order + "I", head[16:])[0] & 0xFFFF
    unpack = struct.Struct(order + "IIII").unpack
    read = file.read
    while True:
        header = read(16)
        if len(header) < 16:
            if header:
                damage.reason = "the file ends within a packet: it was cut off"
            return
        seconds, fraction, length, _ = unpack(header)
        if length > LARGEST_RECORD:
            damage.reason = f"a packet says that it has {length} bytes: the file is damaged from there on"
            return
        data = read(length)
        if len(data) < length:
            damage.reason = "the file ends within a packet: it was cut off"
            return
        yield Frame(seconds + fraction / ticks, link, data)


def _pcapng(file: Readable, damage: Damage) -> Iterator[Frame]:
    section: _Section | None = None
    kind = _PCAPNG
    while len(kind) == 4:
        rest = file.read(4)
        if kind == _PCAPNG:
            mark = file.read(4)
            if mark not in _ORDERS:
                damage.reason = "a section without a byte order: the file is damaged from there on"
                return
            section, body_read = _Section(_ORDERS[mark]), 12
        else:
            body_read = 8
        if section is None or len(rest) < 4:
            break
        length = struct.unpack(section.order + "I", rest)[0]
        if length < 12 or length > _LARGEST_BLOCK:
            damage.reason = f"a block says that it has {length} bytes: the file is damaged from there on"
            return
        block = file.read(length - body_read)
        if len(block) < length - body_read:
            break
        number = struct.unpack(section.order + "I", kind)[0]
        body = block[:-4]
        if number == _INTERFACE and len(body) >= 8:
            section.interfaces.append(_interface(section.order, body))
        elif number in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            frame = _packet(section, number, body)
            if frame is not None:
                yield frame
        kind = file.read(4)
        if not kind:
            return
    damage.reason = "the file ends within a block: it was cut off"


def _interface(order: str, body: bytes) -> _Interface:
    link = struct.unpack(order + "H", body[:2])[0]
    ticks, offset = 1e6, 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack(order + "HH", body[at : at + 4])
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == _RESOLUTION and len(value) == 1:
            power = value[0] & 0x7F
            ticks = float(2 ** min(power, 64) if value[0] & 0x80 else 10 ** min(power, 18))
        elif code == _OFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + (length + 3) // 4 * 4
    return _Interface(link, ticks, offset)


def _packet(section: _Section, number: int, body: bytes) -> Frame | None:
    """The frame of a packet block; None where it names an interface that the section does not have."""
    if number == _SIMPLE_PACKET:
        # It has no time: what it holds cannot be put in order with the rest.
        return None
    if len(body) < 20:
        return None
    if number == _PACKET:
        index, high, low, length = struct.unpack(section.order + "IIII", body[:16])
    else:
        index, _, high, low, length = struct.unpack(section.order + "HHIII", body[:16])
    if index >= len(section.interfaces):
        return None
    interface = section.interfaces[index]
    time = (high << 32 | low) / interface.ticks + interface.offset
    return Frame(time, interface.link, body[20 : 20 + length])
