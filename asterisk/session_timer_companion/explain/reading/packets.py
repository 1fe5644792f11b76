"""From a frame to what a transport carries: a datagram, or a segment of a TCP connection.

dpkt reads the headers. It is the one library of its kind that is in Debian 12 and 13 and on PyPI, is fast
enough, and may be used under any licence.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from session_timer_companion.explain.reading.sip import Endpoint

ETHERNET, RAW, RAW_OLD, RAW_BSD = 1, 101, 12, 14
NULL, LOOP, COOKED, COOKED_2, IPV4, IPV6 = 0, 108, 113, 276, 228, 229
_UDP, _TCP = 17, 6
_VLANS = frozenset({0x8100, 0x88A8, 0x9100})
_IPV4, _IPV6 = 0x0800, 0x86DD
# Link type -> where the two octets of the protocol stand, and where the payload begins.
_LINKS = {ETHERNET: (12, 14), COOKED: (14, 16), COOKED_2: (0, 20)}
_BARE = frozenset({RAW, RAW_OLD, RAW_BSD, IPV4, IPV6})
_MOST_FRAGMENTED = 512
_MOST_PARTS = 64
_FRAGMENT_LIFETIME = 30.0


@dataclass(frozen=True, slots=True)
class Datagram:
    """One whole UDP datagram."""

    time: float
    source: Endpoint
    destination: Endpoint
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """What one TCP packet carries; ``sequence`` is the number of its first byte."""

    time: float
    source: Endpoint
    destination: Endpoint
    sequence: int
    begins: bool
    """SYN: the connection begins here."""
    ends: bool
    """FIN or RST."""
    payload: bytes


def is_link_known(link: int) -> bool:
    """Whether frames of this link type can be read."""
    return link in _LINKS or link in _BARE or link in (NULL, LOOP)


class Packets:
    """Reads frames; holds fragments until the datagram is whole."""

    def __init__(self) -> None:
        # Loaded here and not with the module: who has a text to explain needs no library for packets.
        import dpkt  # noqa: PLC0415

        self._dpkt: Any = dpkt
        # What dpkt raises at a packet that is not what it seems, by its source.
        self._malformed = (dpkt.Error, struct.error, LookupError, ValueError, TypeError, AttributeError)
        self._fragments: OrderedDict[tuple[bytes, bytes, int], tuple[float, dict[int, tuple[bool, bytes]]]]
        self._fragments = OrderedDict()

    def read(self, time: float, link: int, frame: bytes) -> Datagram | Segment | None:
        """What the frame carries or completes; None if nothing of interest, or nothing that can be read."""
        data = _network_layer(link, frame)
        if not data:
            return None
        version = data[0] >> 4
        if version == 4:
            # Most of a capture is RTP. What is one whole UDP datagram and speaks no SIP needs no closer look.
            if data[0] == 0x45 and data[9:10] == b"\x11" and not data[6] & 0x3F and not data[7]:
                if len(data) > 28 and _may_be_sip(data):
                    ends = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
                    return self._udp(time, *ends, data[20:])
                return None
            return self._ipv4(time, data)
        return self._ipv6(time, data) if version == 6 else None

    def _ipv4(self, time: float, data: bytes) -> Datagram | Segment | None:
        try:
            packet = self._dpkt.ip.IP(data)
            # Captures of an interface that computes lengths itself say 0 (TSO); dpkt then takes it all.
            more, offset, payload = bool(packet.mf), int(packet.offset), bytes(packet.data)
            source, target = socket.inet_ntoa(packet.src), socket.inet_ntoa(packet.dst)
        except self._malformed:
            return None
        if packet.p not in (_UDP, _TCP):
            return None
        if more or offset:
            whole = self._joined(time, (packet.src, packet.dst, packet.id), offset * 8, (more, payload))
            if whole is None:
                return None
            payload = whole
        return self._transport(time, packet.p, source, target, payload)

    def _ipv6(self, time: float, data: bytes) -> Datagram | Segment | None:
        try:
            packet = self._dpkt.ip6.IP6(data)
            source = socket.inet_ntop(socket.AF_INET6, packet.src)
            target = socket.inet_ntop(socket.AF_INET6, packet.dst)
            fragment = packet.extension_hdrs.get(self._dpkt.ip.IP_PROTO_FRAGMENT)
            protocol, payload = int(packet.p), bytes(packet.data)
            if fragment is not None:
                protocol = int(fragment.nxt)
                more, offset = bool(fragment.m_flag), int(fragment.frag_off) * 8
                key = (packet.src, packet.dst, int(fragment.id))
        except self._malformed:
            return None
        if protocol not in (_UDP, _TCP):
            return None
        if fragment is not None and (more or offset):
            whole = self._joined(time, key, offset, (more, payload))
            if whole is None:
                return None
            payload = whole
        return self._transport(time, protocol, source, target, payload)

    def _transport(
        self, time: float, protocol: int, source: str, target: str, payload: bytes
    ) -> Datagram | Segment | None:
        return (self._udp if protocol == _UDP else self._tcp)(time, source, target, payload)

    def _udp(self, time: float, source: str, target: str, data: bytes) -> Datagram | None:
        if len(data) < 8:
            return None
        from_port, to_port, length, _ = struct.unpack("!HHHH", data[:8])
        payload = data[8 : length if length >= 8 else len(data)]
        return Datagram(time, Endpoint(source, from_port), Endpoint(target, to_port), payload)

    def _tcp(self, time: float, source: str, target: str, data: bytes) -> Segment | None:
        if len(data) < 20:
            return None
        from_port, to_port, sequence, _, offset, flags = struct.unpack("!HHIIBB", data[:14])
        return Segment(
            time,
            Endpoint(source, from_port),
            Endpoint(target, to_port),
            sequence,
            bool(flags & 0x02),
            bool(flags & 0x05),
            data[max(offset >> 4, 5) * 4 :],
        )

    def _joined(
        self, time: float, key: tuple[bytes, bytes, int], offset: int, part: tuple[bool, bytes]
    ) -> bytes | None:
        """The whole payload if this part completes it (RFC 791 section 3.2), else None."""
        first, parts = self._fragments.pop(key, (time, {}))
        if time - first > _FRAGMENT_LIFETIME or len(parts) >= _MOST_PARTS:
            first, parts = time, {}
        parts[offset] = part
        whole = _whole(parts)
        if whole is None:
            self._fragments[key] = (first, parts)
            while len(self._fragments) > _MOST_FRAGMENTED:
                self._fragments.popitem(last=False)
        return whole


def _may_be_sip(data: bytes) -> bool:
    return b"SIP/2.0" in data or data[28:32] == b"HEP3"


def _network_layer(link: int, frame: bytes) -> bytes:
    """The IP packet in a frame; empty if there is none."""
    if link in _BARE:
        return frame
    if link in (NULL, LOOP):
        # The family's number differs by system, and so does its byte order: the version that follows decides.
        return frame[4:]
    place = _LINKS.get(link)
    if place is None:
        return b""
    at, start = place
    protocol = int.from_bytes(frame[at : at + 2])
    while protocol in _VLANS:
        protocol, start = int.from_bytes(frame[start + 2 : start + 4]), start + 4
    return frame[start:] if protocol in (_IPV4, _IPV6) else b""


def _whole(parts: dict[int, tuple[bool, bytes]]) -> bytes | None:
    """The payload if the parts cover it from offset 0 to a last one, else None. Repeated parts are fine."""
    whole = b""
    more = True
    for offset, (more_follow, payload) in sorted(parts.items()):
        if offset > len(whole):
            return None
        whole = whole[:offset] + payload
        more = more_follow
    return None if more else whole
