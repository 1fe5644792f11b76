"""From a frame to what a transport carries: a datagram, or a segment of a TCP connection.

dpkt reads the headers. It is the one library of its kind that is in Debian 12 and 13 and on PyPI, is fast
enough, and may be used under any licence.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from session_timer_companion.explain.reading import tunnels
from session_timer_companion.explain.reading.sip import Endpoint

ETHERNET, RAW, RAW_OLD, RAW_BSD = 1, 101, 12, 14
NULL, LOOP, COOKED, COOKED_2, IPV4, IPV6 = 0, 108, 113, 276, 228, 229
_UDP, _TCP = 17, 6
_CARRIED = frozenset({_UDP, _TCP, *tunnels.TUNNELS})
_DEEPEST = 4
"""Packets within packets, at most."""
# Link type -> where the two octets of the protocol stand, and where the payload begins.
_LINKS = {ETHERNET: (12, 14), COOKED: (14, 16), COOKED_2: (0, 20)}
_BARE = frozenset({RAW, RAW_OLD, RAW_BSD, IPV4, IPV6})
_MOST_FRAGMENTED = 512
_MOST_PARTS = 64
_FRAGMENT_LIFETIME = 30.0
_FRAGMENTS_TOGETHER = 1.0
"""Seconds: what is missing of a datagram after that was not captured."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One whole UDP datagram."""

    time: float
    source: Endpoint
    destination: Endpoint
    payload: bytes
    cut: bool = False
    """Its end was not captured."""


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


@dataclass(slots=True)
class _Fragments:
    """Of one datagram."""

    first: float
    protocol: int
    source: str
    target: str
    parts: dict[int, tuple[bool, bytes]] = field(default_factory=dict)


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
        self._fragments: OrderedDict[tuple[bytes, bytes, int], _Fragments] = OrderedDict()

    def read(self, time: float, link: int, frame: bytes) -> Datagram | Segment | None:
        """What the frame carries or completes; None if nothing of interest, or nothing that can be read."""
        return self._network(time, _network_layer(link, frame), 0)

    @property
    def waiting(self) -> bool:
        """Whether a datagram lacks fragments."""
        return bool(self._fragments)

    def overdue(self, now: float | None) -> Iterator[Datagram]:
        """Datagrams whose other fragments did not come until ``now``, as far as they go; None: ever.

        A capture filter by port lets the first fragment through and drops the others, which have none.
        """
        for key, held in list(self._fragments.items()):
            if now is not None and now - held.first <= _FRAGMENTS_TOGETHER:
                break
            del self._fragments[key]
            beginning = held.parts.get(0, (True, b""))[1]
            if held.protocol == _UDP and b"SIP/2.0" in beginning:
                found = self._udp(held.first, held.source, held.target, beginning, _DEEPEST)
                if isinstance(found, Datagram):
                    yield found

    def _network(self, time: float, data: bytes, depth: int) -> Datagram | Segment | None:
        if not data or depth > _DEEPEST:
            return None
        version = data[0] >> 4
        if version == 4:
            # Most of a capture is RTP. What is one whole UDP datagram and speaks no SIP needs no closer look.
            if data[0] == 0x45 and data[9:10] == b"\x11" and not data[6] & 0x3F and not data[7]:
                if len(data) > 28 and _may_be_sip(data):
                    ends = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
                    return self._udp(time, *ends, data[20:], depth)
                return None
            return self._ipv4(time, data, depth)
        return self._ipv6(time, data, depth) if version == 6 else None

    def _ipv4(self, time: float, data: bytes, depth: int) -> Datagram | Segment | None:
        try:
            packet = self._dpkt.ip.IP(data)
            # Captures of an interface that computes lengths itself say 0 (TSO); dpkt then takes it all.
            more, offset, payload = bool(packet.mf), int(packet.offset), bytes(packet.data)
            source, target = socket.inet_ntoa(packet.src), socket.inet_ntoa(packet.dst)
        except self._malformed:
            return None
        if packet.p not in _CARRIED:
            return None
        if more or offset:
            known = _Fragments(time, int(packet.p), source, target)
            whole = self._joined(known, (packet.src, packet.dst, packet.id), offset * 8, (more, payload))
            if whole is None:
                return None
            payload = whole
        return self._transport(time, packet.p, source, target, payload, depth)

    def _ipv6(self, time: float, data: bytes, depth: int) -> Datagram | Segment | None:
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
        if protocol not in _CARRIED:
            return None
        if fragment is not None and (more or offset):
            whole = self._joined(_Fragments(time, protocol, source, target), key, offset, (more, payload))
            if whole is None:
                return None
            payload = whole
        return self._transport(time, protocol, source, target, payload, depth)

    def _transport(  # noqa: PLR0913, PLR0917 - what a packet's head says
        self, time: float, protocol: int, source: str, target: str, payload: bytes, depth: int
    ) -> Datagram | Segment | None:
        if protocol == _UDP:
            return self._udp(time, source, target, payload, depth)
        if protocol == _TCP:
            return self._tcp(time, source, target, payload)
        return self._network(time, tunnels.in_ip(protocol, payload), depth + 1)

    def _udp(
        self, time: float, source: str, target: str, data: bytes, depth: int
    ) -> Datagram | Segment | None:
        if len(data) < 8:
            return None
        from_port, to_port, length, _ = struct.unpack("!HHHH", data[:8])
        payload = data[8 : length if length >= 8 else len(data)]
        if to_port in tunnels.PORTS and (inner := tunnels.in_udp(to_port, payload)):
            return self._network(time, inner, depth + 1)
        cut = length > len(data)
        return Datagram(time, Endpoint(source, from_port), Endpoint(target, to_port), payload, cut)

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
        self, now: _Fragments, key: tuple[bytes, bytes, int], offset: int, part: tuple[bool, bytes]
    ) -> bytes | None:
        """The whole payload if this part completes it (RFC 791 section 3.2), else None."""
        held = self._fragments.pop(key, now)
        if now.first - held.first > _FRAGMENT_LIFETIME or len(held.parts) >= _MOST_PARTS:
            held = now
        held.parts[offset] = part
        whole = _whole(held.parts)
        if whole is None:
            self._fragments[key] = held
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
    return tunnels.below_ip(int.from_bytes(frame[at : at + 2]), frame[start:])


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
