"""WebSocket frames (RFC 6455 section 5), as SIP uses them (RFC 7118): one message a text or binary frame."""

from __future__ import annotations

import re

from session_timer_companion.explain.reading.sip import LARGEST, begins_message

_HANDSHAKE = re.compile(
    rb"(?:GET [^\r\n]{1,2000} HTTP/1\.1|HTTP/1\.1 101)[^\0]{0,8000}?\r\n\r\n", re.IGNORECASE
)
_CONTINUATION, _TEXT, _BINARY = 0, 1, 2
_CONTROL = frozenset({8, 9, 10})


def begins(data: bytes) -> bool:
    """Whether a stream that begins so is WebSocket: by its handshake, else by a frame that holds SIP."""
    if data[:4] == b"GET " or data[:12].upper() == b"HTTP/1.1 101":
        head = data[:8000].lower()
        return b"upgrade: websocket" in head or (b"\r\n\r\n" not in head)
    parsed = _frame(data)
    return parsed is not None and parsed[0] in (_TEXT, _BINARY) and begins_message(parsed[2])


def may_begin(data: bytes) -> bool:
    """Whether a stream that begins so may be WebSocket, of whose first frame a part is still to come."""
    return data[0] in (0x80 | _TEXT, 0x80 | _BINARY) and _frame(data) is None


def message(held: bytes, parts: list[bytes]) -> tuple[bytes | None, bytes]:
    """The first whole message of a stream, and the rest; ``parts`` keeps one that comes in several frames."""
    while True:
        handshake = _HANDSHAKE.match(held)
        if handshake is not None:
            held = held[handshake.end() :]
        parsed = _frame(held)
        if parsed is None:
            return None, held
        opcode, final, payload, end = parsed
        held = held[end:]
        if opcode in _CONTROL:
            continue
        if opcode in (_TEXT, _BINARY):
            parts.clear()
        parts.append(payload)
        if sum(map(len, parts)) > LARGEST:
            parts.clear()
        elif final:
            whole = b"".join(parts)
            parts.clear()
            return whole, held


def _frame(data: bytes) -> tuple[int, bool, bytes, int] | None:
    """Opcode, whether it ends a message, unmasked payload, its own end; None if the frame is not whole."""
    if len(data) < 2:
        return None
    opcode, final = data[0] & 0x0F, bool(data[0] & 0x80)
    masked, length, at = bool(data[1] & 0x80), data[1] & 0x7F, 2
    if length == 126:
        length, at = int.from_bytes(data[2:4]), 4
    elif length == 127:
        length, at = int.from_bytes(data[2:10]), 10
    if length > LARGEST:
        # No SIP message is as long as that: the stream is another's, or out of step.
        return opcode, True, b"", len(data)
    mask = data[at : at + 4] if masked else b""
    at += len(mask)
    payload = data[at : at + length]
    if len(payload) < length or (masked and len(mask) < 4):
        return None
    if masked:
        key = (mask * (length // 4 + 1))[:length]
        payload = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)
    return opcode, final, payload, at + length
