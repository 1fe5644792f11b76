"""What IP packets come wrapped in: tags and sessions below IP, and other packets that carry them.

Mirror ports send them by ERSPAN, VXLAN or TZSP, mobile networks by GTP, lines of a carrier by PPPoE. Nothing
here fails: what cannot be read carries nothing.
"""

from __future__ import annotations

IPV4, IPV6 = 0x0800, 0x86DD
_VLANS = frozenset({0x8100, 0x88A8, 0x9100})
_PPPOE, _MPLS = 0x8864, frozenset({0x8847, 0x8848})
_PPP = {b"\x00\x21": IPV4, b"\x00\x57": IPV6}
_IP_IN_IP, _IPV6_IN_IP, _GRE = 4, 41, 47
TUNNELS = frozenset({_IP_IN_IP, _IPV6_IN_IP, _GRE})
"""Numbers of the IP protocols that carry packets."""
_BRIDGED, _ERSPAN_2, _ERSPAN_3 = 0x6558, 0x88BE, 0x22EB
_GTP, _VXLAN, _VXLAN_OLD, _GENEVE, _TZSP = 2152, 4789, 8472, 6081, 37008
PORTS = frozenset({_GTP, _VXLAN, _VXLAN_OLD, _GENEVE, _TZSP})
"""UDP ports at which packets are carried."""


def below_ip(protocol: int, data: bytes) -> bytes:
    """The IP packet behind the protocol number of a link layer; empty if there is none."""
    while protocol in _VLANS:
        protocol, data = _number(data, 2), data[4:]
    if protocol == _PPPOE:
        protocol, data = _PPP.get(data[6:8], 0), data[8:]
    if protocol in _MPLS:
        while len(data) >= 4 and not data[2] & 1:
            data = data[4:]
        protocol, data = _version(data[4:]), data[4:]
    return data if protocol in (IPV4, IPV6) else b""


def ethernet(frame: bytes) -> bytes:
    """The IP packet in an Ethernet frame; empty if there is none."""
    return below_ip(_number(frame, 12), frame[14:])


def in_ip(protocol: int, payload: bytes) -> bytes:
    """The IP packet that another one of this protocol number carries; empty if there is none."""
    if protocol != _GRE:
        return payload if _version(payload) else b""
    flags, kind = _number(payload, 0), _number(payload, 2)
    inner = payload[4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000)) :]
    if kind == _ERSPAN_2:
        return ethernet(inner[8:] if flags & 0x1000 else inner)
    if kind == _ERSPAN_3:
        return ethernet(inner[20 if len(inner) > 11 and inner[11] & 1 else 12 :])
    return ethernet(inner) if kind == _BRIDGED else below_ip(kind, inner)


def in_udp(port: int, payload: bytes) -> bytes:
    """The IP packet that a datagram to one of `PORTS` carries; empty if there is none."""
    if port in (_VXLAN, _VXLAN_OLD):
        return ethernet(payload[8:]) if payload[:1] == b"\x08" else b""
    if port == _GENEVE:
        inner = payload[8 + 4 * (_number(payload, 0) >> 8 & 0x3F) :]
        kind = _number(payload, 2)
        return ethernet(inner) if kind == _BRIDGED else below_ip(kind, inner)
    return _gtp(payload) if port == _GTP else _tzsp(payload)


def _gtp(payload: bytes) -> bytes:
    """GTP-U carries user packets as type 255 (3GPP TS 29.281)."""
    if len(payload) < 8 or payload[0] >> 4 != 3 or payload[1] != 0xFF:
        return b""
    if not payload[0] & 7:
        inner = payload[8:]
    else:
        following, inner = payload[11:12], payload[12:]
        while following not in (b"", b"\0") and payload[0] & 4 and inner:
            size = 4 * (inner[0] or 1)
            following, inner = inner[size - 1 : size], inner[size:]
    return inner if _version(inner) else b""


def _tzsp(payload: bytes) -> bytes:
    """TaZmen Sniffer Protocol: a head, tags until the one that ends them, then a frame."""
    if payload[:1] != b"\x01" or _number(payload, 2) != 1:
        return b""
    at = 4
    while at < len(payload) and payload[at] != 1:
        at += 1 if payload[at] == 0 else 2 + (payload[at + 1] if at + 1 < len(payload) else 0)
    return ethernet(payload[at + 1 :])


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2])


def _version(data: bytes) -> int:
    """The protocol number that fits the packet's own version; 0 if it is none."""
    return {4: IPV4, 6: IPV6}.get(data[0] >> 4, 0) if data else 0
