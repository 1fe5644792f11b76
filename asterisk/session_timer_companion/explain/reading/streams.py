"""TCP put together again: SIP messages out of its connections, also behind WebSocket (RFC 7118) and HEP.

A connection is read in both directions on its own. What was lost is skipped after a while; reading goes on
where the next message begins.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from session_timer_companion.explain.reading import hep, websocket
from session_timer_companion.explain.reading.packets import Segment
from session_timer_companion.explain.reading.sip import LARGEST, Endpoint, begins_message

_CONTENT_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MOST_CONNECTIONS = 4096
_MOST_AHEAD = 64
_MOST_HELD = 4 * LARGEST


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message that a connection carried."""

    time: float
    source: Endpoint
    destination: Endpoint
    payload: bytes
    transport: str


@dataclass(slots=True)
class _Direction:
    following: int | None = None
    """The sequence number that comes next; None before the first segment."""
    ahead: dict[int, bytes] = field(default_factory=dict)
    """Segments that came before those they follow."""
    held: bytes = b""
    kind: str = ""
    """What the stream carries: SIP, WS, HEP, TLS, or ``other``; empty while that is open."""
    parts: list[bytes] = field(default_factory=list)
    """WebSocket: a message that comes in several frames."""


_Key = tuple[Endpoint, Endpoint]


class Streams:
    """The TCP connections of a capture."""

    def __init__(self) -> None:
        self._directions: OrderedDict[_Key, _Direction] = OrderedDict()
        self.encrypted: set[frozenset[Endpoint]] = set()
        """The two ends of each connection that carries TLS, the first of them."""
        self.lost = 0
        """Gaps: what lies in them was not captured."""

    def read(self, segment: Segment) -> Iterator[Chunk]:
        """The messages that this segment completes."""
        key = (segment.source, segment.destination)
        direction = self._directions.get(key)
        if direction is None or segment.begins:
            direction = self._directions[key] = _Direction()
            while len(self._directions) > _MOST_CONNECTIONS:
                self._directions.popitem(last=False)
        self._directions.move_to_end(key)
        start = (segment.sequence + segment.begins) & 0xFFFFFFFF
        if direction.following is None:
            direction.following = start
        if segment.payload and direction.kind not in ("other", "TLS"):
            self._take(direction, start, segment.payload)
            for kind, payload in self._messages(direction, key):
                yield Chunk(segment.time, segment.source, segment.destination, payload, kind)
        if segment.ends:
            self._directions.pop(key, None)

    def _take(self, direction: _Direction, start: int, payload: bytes) -> None:
        """Appends what follows, drops what was there before, keeps what comes too early."""
        following = direction.following if direction.following is not None else start
        ahead = (start - following) & 0xFFFFFFFF
        if 0 < ahead < 1 << 31:
            direction.ahead[start] = payload
            if len(direction.ahead) <= _MOST_AHEAD and ahead <= _MOST_HELD:
                return
            # What lies between was never captured: the stream goes on behind it.
            self.lost += direction.kind in _TAKING
            base = following
            following = min(direction.ahead, key=lambda at: (at - base) & 0xFFFFFFFF)
            direction.held, direction.parts, payload = b"", [], direction.ahead.pop(following)
            ahead = 0
        known = (1 << 32) - ahead if ahead else 0
        fresh = payload[known:]
        direction.held += fresh
        direction.following = (following + len(fresh)) & 0xFFFFFFFF
        while direction.following in direction.ahead:
            more = direction.ahead.pop(direction.following)
            direction.held += more
            direction.following = (direction.following + len(more)) & 0xFFFFFFFF

    def _messages(self, direction: _Direction, key: _Key) -> Iterator[tuple[str, bytes]]:
        if not direction.kind:
            direction.kind = _kind(direction.held)
        if direction.kind == "TLS" and len(self.encrypted) < _MOST_CONNECTIONS:
            self.encrypted.add(frozenset(key))
        if direction.kind in ("TLS", "other"):
            direction.held = b""
        while direction.kind in _TAKING:
            whole = _take_one(direction)
            if whole is None:
                break
            if direction.kind != "WS" or begins_message(whole.lstrip(b"\r\n")):
                yield _TAKING[direction.kind], whole
        if len(direction.held) > _MOST_HELD:
            direction.held = b""


_TAKING = {"SIP": "TCP", "WS": "WS", "HEP": "HEP"}
"""Kinds of stream out of which messages come, and the transport these then have."""


def _take_one(direction: _Direction) -> bytes | None:
    """The first whole message of the stream, taken out of it."""
    if direction.kind == "SIP":
        whole, direction.held = _sip(direction.held)
    elif direction.kind == "WS":
        whole, direction.held = websocket.message(direction.held, direction.parts)
    else:
        whole, direction.held = hep.packet(direction.held)
    return whole


def _kind(held: bytes) -> str:
    """What a stream carries, by its beginning; empty while there is too little of it."""
    start = held.lstrip(b"\r\n")
    if len(start) < 16:
        return ""
    if start[:4] == b"HEP3":
        return "HEP"
    if start[0] in (0x14, 0x15, 0x16, 0x17) and start[1] == 3 and start[2] <= 4:
        return "TLS"
    if websocket.begins(start):
        return "WS"
    if begins_message(start):
        return "SIP"
    # A capture may begin in the middle of a message: the next one tells.
    if _next_start(start) is not None:
        return "SIP"
    if len(held) <= LARGEST and websocket.may_begin(start):
        return ""
    return "other" if len(held) > LARGEST or b"\0" in start[:16] else ""


def _next_start(held: bytes) -> int | None:
    """Where the first message behind the beginning begins."""
    at = held.find(b"SIP/2.0")
    while at >= 0:
        line = held.rfind(b"\n", 0, at) + 1
        if line and begins_message(held[line:]):
            return line
        at = held.find(b"SIP/2.0", at + 7)
    return None


def _sip(held: bytes) -> tuple[bytes | None, bytes]:
    """The first whole message of a stream, and the rest (RFC 3261 18.3: Content-Length tells)."""
    held = held.lstrip(b"\r\n")
    head = _HEAD_END.search(held, 0, LARGEST)
    if head is None:
        return None, held
    if not begins_message(held):
        start = _next_start(held)
        if start is None:
            return None, held[-LARGEST:]
        held = held[start:]
        head = _HEAD_END.search(held, 0, LARGEST)
        if head is None:
            return None, held
    length = _CONTENT_LENGTH.search(held, 0, head.end())
    end = head.end() + (min(int(length[1]), LARGEST) if length else 0)
    return (held[:end], held[end:]) if len(held) >= end else (None, held)
