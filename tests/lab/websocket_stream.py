"""What WebSockets carried (RFC 6455), out of the TCP segments of a capture.

A stream is read from its first segment on. What is no WebSocket, such as other HTTP, gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_HEAD_ENDS = b"\r\n\r\n"
_CONTINUES, _TEXT, _BINARY = 0, 1, 2
_MODULUS = 1 << 32


@dataclass(slots=True)
class _Stream:
    """One direction of a connection."""

    next: int
    """The sequence number of the octet that is to come."""
    early: dict[int, bytes] = field(default_factory=dict)
    """Segments that came before their turn."""
    read: bytes = b""
    opened: bool = False
    """Whether the handshake of this direction is over."""
    other: bool = False
    """Whether it is no WebSocket."""
    begun: bytes = b""
    """What the frames before have brought of a message in several."""

    def take(self, sequence: int, payload: bytes) -> None:
        """One segment, in any order and any number of times."""
        self.early[sequence] = max(self.early.get(sequence, b""), payload, key=len)
        while self.early:
            at = min(self.early, key=lambda each: (each - self.next + _MODULUS // 2) % _MODULUS)
            ahead = (at - self.next + _MODULUS // 2) % _MODULUS - _MODULUS // 2
            if ahead > 0:
                return
            fresh = self.early.pop(at)[-ahead:]
            self.read += fresh
            self.next = (self.next + len(fresh)) % _MODULUS

    def messages(self) -> Iterator[bytes]:
        """Those that are complete by now."""
        if self.other or (not self.opened and not self._handshake()):
            return
        while (frame := self._frame()) is not None:
            last, code, data = frame
            if code not in (_CONTINUES, _TEXT, _BINARY):
                continue
            self.begun += data
            if last:
                yield self.begun
                self.begun = b""

    def _handshake(self) -> bool:
        head, ended, rest = self.read.partition(_HEAD_ENDS)
        if not ended:
            return False
        self.opened = b"upgrade: websocket" in head.lower()
        self.other = not self.opened
        self.read = rest
        return self.opened

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next one: whether it ends a message, its code and what it carries."""
        read = self.read
        if len(read) < 2:
            return None
        last, code = bool(read[0] & 0x80), read[0] & 0x0F
        masked, length, start = bool(read[1] & 0x80), read[1] & 0x7F, 2
        if length > 125:
            start = 4 if length == 126 else 10
            length = int.from_bytes(read[2:start])
        mask = read[start : start + 4] if masked else b""
        start += len(mask)
        if len(read) < start + length or (masked and len(mask) < 4):
            return None
        data = read[start : start + length]
        self.read = read[start + length :]
        if masked:
            data = bytes(octet ^ mask[at % 4] for at, octet in enumerate(data))
        return last, code, data


@dataclass(slots=True)
class WebSocketStreams:
    """All connections of one capture."""

    _streams: dict[object, _Stream] = field(default_factory=dict)

    def add(self, ends: object, sequence: int, payload: bytes, *, begins: bool) -> list[bytes]:
        """The messages that a segment completes.

        ``ends`` tells one direction of a connection from all others; ``begins`` is true for a SYN.
        """
        if begins:
            self._streams[ends] = _Stream((sequence + 1) % _MODULUS)
        stream = self._streams.get(ends)
        if stream is None or not payload:
            return []
        stream.take(sequence, payload)
        return list(stream.messages())
