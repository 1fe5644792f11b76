"""Frames and capture files for the tests, built with dpkt's writers and with bytes by hand."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import dpkt

CARRIER, EDGE, ASTERISK = "198.18.0.42", "198.18.0.10", "198.18.0.20"


def request(method: str, *rows: str, body: str = "") -> bytes:
    """A SIP request of the call `call-1`."""
    return _message(f"{method} sip:1000@{EDGE} SIP/2.0", method, rows, body)


def response(status: str, method: str, *rows: str, body: str = "") -> bytes:
    """A SIP response of the call `call-1`."""
    return _message(f"SIP/2.0 {status}", method, rows, body)


def _message(start: str, method: str, rows: tuple[str, ...], body: str) -> bytes:
    cseq = [] if any(row.startswith("CSeq:") for row in rows) else [f"CSeq: 1 {method}"]
    return "\r\n".join([start, "Call-ID: call-1", *cseq, *rows, "", body]).encode()


def ip(source: str, target: str, payload: bytes, identity: int = 1) -> dpkt.ip.IP:
    """An IPv4 packet with a UDP datagram from port 5060 to port 5060."""
    udp = dpkt.udp.UDP(sport=5060, dport=5060, data=payload, ulen=8 + len(payload))
    ends = {"src": socket.inet_aton(source), "dst": socket.inet_aton(target)}
    return dpkt.ip.IP(**ends, p=17, id=identity, data=udp, len=28 + len(payload))


def fragments(packet: dpkt.ip.IP, size: int) -> list[bytes]:
    """The same packet in fragments of ``size`` octets, a multiple of eight."""
    payload = bytes(packet.data)
    parts = []
    for offset in range(0, len(payload), size):
        part = payload[offset : offset + size]
        flags = (0x2000 if offset + size < len(payload) else 0) | offset // 8
        head = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), packet.id, flags, 64, 17, 0, packet.src, packet.dst
        )
        parts.append(head + part)
    return parts


def ethernet(packet: bytes) -> bytes:
    return b"\x02" * 12 + b"\x08\x00" + packet


def vlan(packet: bytes) -> bytes:
    return b"\x02" * 12 + b"\x81\x00\x00\x07\x08\x00" + packet


def cooked(packet: bytes) -> bytes:
    return struct.pack("!HHH8sH", 0, 1, 6, b"\x02" * 8, 0x0800) + packet


def cooked_2(packet: bytes) -> bytes:
    return struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, b"\x02" * 8) + packet


def header(link: int, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)


def record(moment: float, frame: bytes, order: str = "<", unit: float = 1e-6) -> bytes:
    seconds = int(moment)
    return (
        struct.pack(order + "IIII", seconds, round((moment - seconds) / unit), len(frame), len(frame)) + frame
    )


def capture(path: Path, *messages: tuple[float, str, str, bytes]) -> Path:
    """An Ethernet capture of these messages: time, source, destination, payload."""
    frames = [record(at, ethernet(bytes(ip(a, b, text)))) for at, a, b, text in messages]
    path.write_bytes(header(1) + b"".join(frames))
    return path
