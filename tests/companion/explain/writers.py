"""Traces in every form that people have them, by hand or with dpkt: nothing of the product's code."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import dpkt

from tests.companion.explain.scenario import PBX, Sent
from tests.lab import wire


def udp(sent: Sent, sport: int = 5060, dport: int = 5060) -> bytes:
    """An IP packet, version 4 or 6 by its addresses."""
    payload = bytes(dpkt.udp.UDP(sport=sport, dport=dport, data=sent.text, ulen=8 + len(sent.text)))
    return packet(sent.source, sent.target, 17, payload)


def packet(source: str, target: str, protocol: int, payload: bytes, identity: int = 7) -> bytes:
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if a.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identity, 0, 64, protocol, 0)
    else:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return head + a.packed + b.packed + payload


def fragments(sent: Sent, size: int = 400) -> list[bytes]:
    """The same as IP fragments."""
    whole = udp(sent)
    if ipaddress.ip_address(sent.source).version == 4:
        return [
            whole[:4]
            + struct.pack("!HH", 7, (0x2000 if at + size < len(whole) - 20 else 0) | at // 8)
            + whole[8:20]
            + whole[20 + at : 20 + at + size]
            for at in range(0, len(whole) - 20, size)
        ]
    data, parts = whole[40:], []
    for at in range(0, len(data), size):
        more = int(at + size < len(data))
        extension = struct.pack("!BBHI", 17, 0, at | more, 7)
        payload = extension + data[at : at + size]
        parts.append(struct.pack("!IHBB", 6 << 28, len(payload), 44, 64) + whole[8:40] + payload)
    return parts


def kind_of(ip: bytes) -> bytes:
    return b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd"


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "ethernet": (1, lambda ip: b"\x02" * 12 + kind_of(ip) + ip),
    "vlan": (1, lambda ip: b"\x02" * 12 + b"\x81\x00\x00\x07" + kind_of(ip) + ip),
    "qinq": (1, lambda ip: b"\x02" * 12 + b"\x88\xa8\x00\x05\x81\x00\x00\x07" + kind_of(ip) + ip),
    "cooked": (113, lambda ip: struct.pack("!HHH8s", 0, 1, 6, b"\x02" * 8) + kind_of(ip) + ip),
    "cooked 2": (276, lambda ip: kind_of(ip) + struct.pack("!HIHBB8s", 0, 2, 1, 0, 6, b"\x02" * 8) + ip),
    "null": (0, lambda ip: struct.pack("<I", 2 if ip[0] >> 4 == 4 else 30) + ip),
    "loop": (108, lambda ip: struct.pack("!I", 2) + ip),
    "raw": (101, lambda ip: ip),
    "raw, old": (12, lambda ip: ip),
}


def pcap(
    frames: Iterable[tuple[float, bytes]], link: str = "ethernet", order: str = "<", *, nano: bool = False
) -> bytes:
    number, framed = LINKS[link]
    magic, unit = (0xA1B23C4D, 1e-9) if nano else (0xA1B2C3D4, 1e-6)
    records = (wire.record(at, framed(ip), order, unit) for at, ip in frames)
    return wire.header(number, order, magic) + b"".join(records)


def pcapng(
    frames: Iterable[tuple[float, bytes]], links: tuple[str, ...] = ("ethernet",), order: str = "<"
) -> bytes:
    """Frames go to the interfaces in turn, each of another link type; the last counts nanoseconds."""
    out = _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    resolutions = []
    for number, link in enumerate(links):
        nano = number == len(links) - 1
        resolutions.append(1e9 if nano else 1e6)
        options = struct.pack(order + "HHBxxx", 9, 1, 9) + struct.pack(order + "HH", 0, 0) if nano else b""
        out += _block(order, 1, struct.pack(order + "HHI", LINKS[link][0], 0, 0) + options)
    out += _block(order, 5, b"\0" * 12)
    for count, (at, ip) in enumerate(frames):
        index = count % len(links)
        frame = LINKS[links[index]][1](ip)
        ticks = round(at * resolutions[index])
        head = struct.pack(order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        out += _block(order, 6, head + frame)
    return out


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def datagrams(sent: Iterable[Sent]) -> list[tuple[float, bytes]]:
    return [(one.time, udp(one)) for one in sent]


def tcp(
    sent: Iterable[Sent], size: int = 10**6, port: int = 5060, wrap: Callable[[Sent], bytes] | None = None
) -> list[tuple[float, bytes]]:
    """One connection, opened by whoever sends first; each message cut into segments of this size."""
    every = list(sent)
    opener = every[0].source
    numbers = {every[0].source: 1000, every[0].target: 0xFFFFFF00}
    found = []
    for count, end in enumerate((every[0].source, every[0].target)):
        other = every[0].target if count == 0 else every[0].source
        found.append((every[0].time - 0.1, _segment(end, other, opener, numbers[end], b"", 0x02, port)))
        numbers[end] += 1
    for one in every:
        data = wrap(one) if wrap else one.text
        for at in range(0, len(data), size):
            part = data[at : at + size]
            found.append(
                (one.time, _segment(one.source, one.target, opener, numbers[one.source], part, 0x18, port))
            )
            numbers[one.source] += len(part)
    return found


def _segment(source: str, target: str, opener: str, number: int, data: bytes, flags: int, port: int) -> bytes:
    ports = (40000, port) if source == opener else (port, 40000)
    head = struct.pack("!HHIIBBHHH", *ports, number & 0xFFFFFFFF, 0, 5 << 4, flags, 65535, 0, 0)
    return packet(source, target, 6, head + data)


def websocket(opener: str) -> Callable[[Sent], bytes]:
    """Frames of a WebSocket connection: of who opened it masked; the first follows the handshake."""
    greeted: set[str] = set()

    def framed(one: Sent) -> bytes:
        masked = one.source == opener
        greeting = b""
        if one.source not in greeted:
            greeted.add(one.source)
            greeting = (
                b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
                if masked
                else b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
            )
        ping = b"\x89\x80\x01\x02\x03\x04" if masked else b"\x89\x00"
        length = len(one.text)
        head = b"\x81" + bytes([(0x80 if masked else 0) | 126]) + struct.pack("!H", length)
        if not masked:
            return greeting + ping + head + one.text
        mask = b"\x12\0\xff" + bytes([len(one.text) % 251])
        return greeting + ping + head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(one.text))

    return framed


def hep(one: Sent) -> bytes:
    """A HEP 3 packet with the copy of a message."""
    a, b = ipaddress.ip_address(one.source), ipaddress.ip_address(one.target)
    addresses = (3, 4) if a.version == 4 else (5, 6)
    seconds = int(one.time)
    chunks = [
        (1, b"\x02" if a.version == 4 else b"\x0a"),
        (2, b"\x11"),
        (addresses[0], a.packed),
        (addresses[1], b.packed),
        (7, struct.pack("!H", 5060)),
        (8, struct.pack("!H", 5060)),
        (9, struct.pack("!I", seconds)),
        (10, struct.pack("!I", round((one.time - seconds) * 1e6))),
        (11, b"\x01"),
        (12, b"\0\0\0\1"),
        (15, one.text),
    ]
    body = b"".join(struct.pack("!HHH", 0, kind, 6 + len(data)) + data for kind, data in chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def copied(sent: Iterable[Sent]) -> list[Sent]:
    """HEP packets from the proxy's agent to a collector, all at wrong times: the copy's own count."""
    return [Sent(1.0 + count, "198.18.81.10", "198.18.81.99", hep(one)) for count, one in enumerate(sent)]


def asterisk_log(sent: Iterable[Sent], stamp: str = "full") -> bytes:
    """What ``pjsip set logger on`` writes on the Asterisk at PBX, with times or without."""
    out = []
    for one in sent:
        if PBX not in (one.source, one.target):
            continue
        received = one.target == PBX
        other = one.source if received else one.target
        shown = f"[{other}]" if ":" in other else other
        kind = "response" if one.text.startswith(b"SIP/2.0") else "request"
        way, word = ("Received", "from") if received else ("Transmitting", "to")
        at = datetime.fromtimestamp(one.time, UTC)
        before = {
            "full": f"[{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}] VERBOSE[12] res_pjsip_logger.c: ",
            "old": f"[{at:%b %d %H:%M:%S}] VERBOSE[12][C-00000001] res_pjsip_logger.c: ",
            "none": "",
        }[stamp]
        heading = f"{before}<--- {way} SIP {kind} ({len(one.text)} bytes) {word} UDP:{shown}:5060 --->"
        out += [heading.encode(), one.text.replace(b"\r\n", b"\n"), b""]
        out.append(f"{before}    -- Executing [1000@calls:1] Answer".encode())
    return b"\n".join(out) + b"\n"


def sngrep_text(sent: Iterable[Sent]) -> bytes:
    """What sngrep saves as text."""
    out = b""
    for one in sent:
        at = datetime.fromtimestamp(one.time, UTC)
        out += (
            f"{at:%Y/%m/%d %H:%M:%S.%f} {one.source}:5060 -> {one.target}:5060\n".encode()
            + one.text
            + b"\n\n"
        )
    return out


def written(path: Path, sent: Iterable[Sent]) -> Path:
    """An ordinary capture."""
    path.write_bytes(pcap(datagrams(sent)))
    return path


def local(address: str) -> bytes:
    return socket.inet_aton(address)
