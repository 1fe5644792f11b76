"""SIP messages out of a classic pcap file, also out of one that tcpdump is still writing.

Knows the link types tcpdump produces in a container, IPv4 with fragments, UDP, and WebSocket on TCP.
Everything that is not SIP is passed over in silence: RTP, JSON-RPC and DNS share the interface.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import dpkt

from tests.lab.sip import NotSip, SipMessage
from tests.lab.websocket_stream import WebSocketStreams

_FILE_HEADER = 24
_RECORD_HEADER = 16
# Magic number as it stands in the file -> byte order and length of one tick of the fraction, in seconds.
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_ETHERNET, _RAW, _RAW_OLD, _COOKED, _IPV4, _COOKED_2 = 1, 101, 12, 113, 228, 276
# Link type -> where the two octets of the protocol stand, and where the payload begins.
_LINK = {_ETHERNET: (12, 14), _COOKED: (14, 16), _COOKED_2: (0, 20)}
_ETHERTYPE_IPV4, _ETHERTYPE_VLAN = 0x0800, 0x8100
_FRAGMENT_LIFETIME = 30.0
_TCP, _UDP = 6, 17


class CaptureError(ValueError):
    """The file is not a capture this module reads; the message says what it is and what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a datagram, or of a connection."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured SIP message; ``time`` is the capturing host's clock in seconds."""

    time: float
    source: Endpoint
    destination: Endpoint
    message: SipMessage
    retransmission: bool = False


@dataclass(frozen=True, slots=True)
class Datagram:
    """One whole UDP datagram, or one message of a WebSocket."""

    time: float
    source: Endpoint
    destination: Endpoint
    payload: bytes


class CaptureReader:
    """Reads a pcap file piece by piece: each ``poll`` gives what has become complete since the last one.

    A file that does not exist yet, or is shorter than its header, gives nothing: tcpdump has not
    written it yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._order = "<"
        self._tick = 1e-6
        self._link = _ETHERNET
        self._fragments = FragmentBuffer()
        self._streams = WebSocketStreams()
        self._seen: set[tuple[Endpoint, Endpoint, bytes]] = set()

    def poll(self) -> list[Packet]:
        """The SIP messages that are newly complete, in order. Raises CaptureError for a foreign file."""
        return [packet for packet in map(self._packet, self._datagrams()) if packet is not None]

    def close(self) -> None:
        """Let go of the file; ``poll`` afterwards starts at its beginning again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _packet(self, datagram: Datagram) -> Packet | None:
        try:
            message = SipMessage.parse(datagram.payload)
        except NotSip:
            return None
        key = (datagram.source, datagram.destination, datagram.payload)
        again = key in self._seen
        self._seen.add(key)
        return Packet(datagram.time, datagram.source, datagram.destination, message, again)

    def _datagrams(self) -> Iterator[Datagram]:
        for moment, frame in self._frames():
            packet = _ip_packet(frame, self._link)
            if packet is None:
                continue
            if packet.p == _TCP:
                yield from self._carried(moment, packet)
                continue
            datagram = self._fragments.add(moment, packet)
            if datagram is not None:
                yield datagram

    def _carried(self, moment: float, packet: dpkt.ip.IP) -> Iterator[Datagram]:
        """What a TCP segment completes of a WebSocket."""
        segment = packet.data
        if not isinstance(segment, dpkt.tcp.TCP):
            return
        ends = (Endpoint(_dotted(packet.src), segment.sport), Endpoint(_dotted(packet.dst), segment.dport))
        begins = bool(segment.flags & dpkt.tcp.TH_SYN)
        for message in self._streams.add(ends, segment.seq, bytes(segment.data), begins=begins):
            yield Datagram(moment, *ends, message)

    def _frames(self) -> Iterator[tuple[float, bytes]]:
        if self._file is None and not self._open():
            return
        assert self._file is not None
        while True:
            start = self._file.tell()
            head = self._file.read(_RECORD_HEADER)
            if len(head) == _RECORD_HEADER:
                seconds, fraction, length, _ = struct.unpack(self._order + "IIII", head)
                frame = self._file.read(length)
                if len(frame) == length:
                    yield seconds + fraction * self._tick, frame
                    continue
            self._file.seek(start)
            return

    def _open(self) -> bool:
        if not self._path.exists() or self._path.stat().st_size < _FILE_HEADER:
            return False
        opened = self._path.open("rb")
        head = opened.read(_FILE_HEADER)
        try:
            self._order, self._tick, self._link = _file_header(head, self._path)
        except CaptureError:
            opened.close()
            raise
        self._file = opened
        return True


@dataclass(slots=True)
class FragmentBuffer:
    """Puts fragmented IPv4 datagrams together again (RFC 791 section 3.2); a big INVITE comes in two."""

    _parts: dict[tuple[bytes, bytes, int], tuple[float, list[tuple[int, bool, bytes]]]] = field(
        default_factory=dict
    )

    def add(self, moment: float, packet: dpkt.ip.IP) -> Datagram | None:
        """The datagram this packet is, or completes; None while parts are missing or if it is not UDP."""
        payload = bytes(packet.data)
        if not (packet.mf or packet.offset):
            return _datagram(moment, packet, payload)
        key = (packet.src, packet.dst, packet.id)
        first, parts = self._parts.pop(key, (moment, []))
        # The header counts in units of eight octets, and dpkt leaves it so.
        parts.append((packet.offset * 8, bool(packet.mf), payload))
        whole = _joined(parts)
        if whole is not None:
            return _datagram(moment, packet, whole)
        self._parts = {k: v for k, v in self._parts.items() if moment - v[0] < _FRAGMENT_LIFETIME}
        self._parts[key] = (first, parts)
        return None


def read(path: Path) -> list[Packet]:
    """All SIP messages of a finished capture.

    Raises CaptureError if the file is missing or not a pcap file.
    """
    if not path.exists():
        raise CaptureError(f"{path}: no such capture; was tcpdump started?")
    if 0 < path.stat().st_size < _FILE_HEADER:
        raise CaptureError(f"{path}: too short for a pcap file ({path.stat().st_size} bytes)")
    reader = CaptureReader(path)
    try:
        return reader.poll()
    finally:
        reader.close()


def _file_header(head: bytes, path: Path) -> tuple[str, float, int]:
    known = _MAGIC.get(head[:4])
    if known is None:
        raise CaptureError(
            f"{path}: not a classic pcap file (starts {head[:4].hex()}); write it by tcpdump -w"
        )
    order, tick = known
    link = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
    if link not in {*_LINK, _RAW, _RAW_OLD, _IPV4}:
        raise CaptureError(f"{path}: link type {link} is not read; capture with tcpdump -i any or -i eth0")
    return order, tick, link


def _ip_packet(frame: bytes, link: int) -> dpkt.ip.IP | None:
    data = frame
    if link in _LINK:
        at, start = _LINK[link]
        protocol = int.from_bytes(frame[at : at + 2])
        if protocol == _ETHERTYPE_VLAN:
            protocol, start = int.from_bytes(frame[start + 2 : start + 4]), start + 4
        if protocol != _ETHERTYPE_IPV4:
            return None
        data = frame[start:]
    try:
        packet = dpkt.ip.IP(data)
    except dpkt.UnpackError:
        return None
    return packet if packet.v == 4 and packet.p in (_TCP, _UDP) else None


def _joined(parts: list[tuple[int, bool, bytes]]) -> bytes | None:
    """The payload if the parts cover it from offset 0 to a last one, else None. Repeated parts are fine."""
    whole = b""
    more = True
    for offset, more_follow, payload in sorted(parts, key=lambda part: part[0]):
        if offset > len(whole):
            return None
        whole = whole[:offset] + payload
        more = more_follow
    return None if more else whole


def _datagram(moment: float, packet: dpkt.ip.IP, payload: bytes) -> Datagram | None:
    if len(payload) < 8:
        return None
    source_port, destination_port, length, _ = struct.unpack("!HHHH", payload[:8])
    return Datagram(
        moment,
        Endpoint(_dotted(packet.src), source_port),
        Endpoint(_dotted(packet.dst), destination_port),
        payload[8 : max(length, 8)],
    )


def _dotted(address: bytes) -> str:
    return ".".join(str(octet) for octet in address)
