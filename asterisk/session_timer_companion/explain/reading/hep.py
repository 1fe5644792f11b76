"""HEP version 3, in which Kamailio's siptrace and others send copies of SIP to a collector such as Homer.

A packet names the ends that the message had; its own addresses are those of the copy.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from session_timer_companion.explain.reading.sip import LARGEST, Endpoint

_MAGIC = b"HEP3"
_SOURCE_4, _TARGET_4, _SOURCE_6, _TARGET_6 = 3, 4, 5, 6
_SOURCE_PORT, _TARGET_PORT, _SECONDS, _MICROSECONDS, _PROTOCOL, _PAYLOAD = 7, 8, 9, 10, 11, 15
_SIP = 1


@dataclass(frozen=True, slots=True)
class Copy:
    """The SIP message of one packet, with the ends and the time that it had."""

    time: float
    source: Endpoint
    destination: Endpoint
    payload: bytes


def packet(held: bytes) -> tuple[bytes | None, bytes]:
    """The first whole packet of a stream, and the rest."""
    start = held.find(_MAGIC)
    if start < 0:
        return None, held[-3:]
    held = held[start:]
    length = int.from_bytes(held[4:6])
    if len(held) < 6 or len(held) < length:
        return None, held
    return held[: max(length, 6)], held[max(length, 6) :]


def read(data: bytes, time: float) -> Copy | None:
    """The copy in one packet; None if it is no HEP 3, or not about SIP. ``time`` is used if it names none."""
    if data[:4] != _MAGIC or len(data) > LARGEST + 1024:
        return None
    chunks: dict[int, bytes] = {}
    at = 6
    end = min(len(data), int.from_bytes(data[4:6]))
    while at + 6 <= end:
        vendor, kind, length = struct.unpack("!HHH", data[at : at + 6])
        if length < 6:
            break
        if vendor == 0:
            chunks[kind] = data[at + 6 : min(at + length, end)]
        at += length
    source = _end(chunks, (_SOURCE_4, _SOURCE_6), _SOURCE_PORT)
    target = _end(chunks, (_TARGET_4, _TARGET_6), _TARGET_PORT)
    if source is None or target is None or chunks.get(_PROTOCOL, b"\x01")[-1:] != b"\x01":
        return None
    seconds, micros = chunks.get(_SECONDS, b""), chunks.get(_MICROSECONDS, b"")
    if len(seconds) == 4 and len(micros) == 4:
        time = int.from_bytes(seconds) + int.from_bytes(micros) / 1e6
    return Copy(time, source, target, chunks.get(_PAYLOAD, b""))


def _end(chunks: dict[int, bytes], addresses: tuple[int, int], port: int) -> Endpoint | None:
    packed = chunks.get(addresses[0]) or chunks.get(addresses[1]) or b""
    if len(packed) not in (4, 16):
        return None
    return Endpoint(str(ipaddress.ip_address(packed)), int.from_bytes(chunks.get(port, b"")[:2]))
