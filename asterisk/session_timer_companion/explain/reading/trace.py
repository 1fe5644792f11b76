"""A trace: any file that shows SIP messages, read once from its beginning to its end in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from session_timer_companion.explain.reading import hep, text
from session_timer_companion.explain.reading.frames import Damage, frames, is_capture
from session_timer_companion.explain.reading.packets import Datagram, Packets, Segment, is_link_known
from session_timer_companion.explain.reading.sip import Endpoint, Message, NotSipError, has_whole_head
from session_timer_companion.explain.reading.streams import Chunk, Streams

_HEAD = 65_536
_BUFFER = 1 << 20
_GZIP = 31
"""zlib's number for the format of gzip, with the largest window."""
_EVERY = 4096
_JUMP_BACK = 1.0
_HOLE = 30.0
"""Seconds without any packet, in a capture that else has them all the time, before a hole is noted."""


CAPTURE = "tcpdump -i any -s 0 -w calls.pcap 'port 5060 or (ip[6:2] & 0x1fff != 0)'"
"""The command that captures what this program reads: also fragments, which name no port but the first."""


class TraceError(Exception):
    """The file cannot be explained; the message says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One SIP message as it was seen. ``time`` is in seconds of the clock of whoever captured."""

    time: float
    source: Endpoint
    destination: Endpoint
    message: Message
    transport: str = "UDP"
    cut: bool = False
    """The capture has only the beginning of its head: what else it says is not known."""


@dataclass(slots=True)
class Notes:
    """What there is to say of the file itself. Complete once it has been read to its end."""

    damage: Damage = field(default_factory=Damage)
    frames: int = 0
    messages: int = 0
    first: float | None = None
    last: float | None = None
    """Seconds: the time of the first and of the last packet, SIP or not."""
    last_copy: float | None = None
    """The same of the last HEP copy, by the clock of whoever made it."""
    timed: bool = True
    """False: a text without times."""
    jumps: list[tuple[float, float]] = field(default_factory=list)
    """Where the clock went back, or nothing was captured: time before, time after."""
    encrypted: list[tuple[Endpoint, Endpoint]] = field(default_factory=list)
    """The two ends of connections that carry TLS."""
    cut: int = 0
    """Messages whose head was captured in part."""
    lost: int = 0
    """Gaps in TCP connections."""
    unread_links: set[int] = field(default_factory=set)


Progress = Callable[[int], None]
"""Told how many bytes of the file have been read so far."""


def read(path: Path, notes: Notes, progress: Progress | None = None) -> Iterator[Seen]:
    """The SIP messages of a file, in its order; ``notes`` is filled in on the way.

    Raises `TraceError` where the file is missing, is none that shows SIP, or needs a library that is not
    installed.
    """
    try:
        with path.open("rb", buffering=_BUFFER) as raw:
            yield from messages(str(path), raw, notes, progress)
    except FileNotFoundError:
        raise TraceError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise TraceError(f"{path}: this is a folder; name the capture in it") from None
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None


def messages(path: str, raw: BinaryIO, notes: Notes, progress: Progress | None = None) -> Iterator[Seen]:
    """The same of a file that is open; ``path`` is what to call it in an error."""
    tell = (lambda: progress(raw.tell())) if progress else (lambda: None)
    file = _File(raw)
    head = file.peek(_HEAD)
    if not head:
        raise TraceError(f"{path}: the file is empty, or was cut off at its beginning")
    if is_capture(head):
        yield from _capture(path, file, notes, tell)
    else:
        # A log may say much else before it shows its first message. Bytes that no text has end the search.
        shows_sip = text.is_text(head)
        if shows_sip or b"\0" not in head:
            yield from _text(file, notes, tell)
        if not shows_sip and not notes.messages:
            raise TraceError(
                f"{path}: this is no capture (pcap, pcapng), no log of Asterisk's 'pjsip set logger on' and "
                f"no text saved by sngrep. editcap (Wireshark) turns other captures into pcap. Capture with: "
                f"{CAPTURE}"
            )
    if file.broken:
        notes.damage.reason = "the gzip file was cut off or is damaged"


class _File:
    """A file read once, unpacked if it is packed by gzip. What breaks off in it ends it: no error."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._held = raw.read(2)
        self._unpack = zlib.decompressobj(_GZIP) if self._held == b"\x1f\x8b" else None
        self._packed = b""
        if self._unpack is not None:
            self._packed, self._held = self._held, b""
        self.broken = False

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay."""
        self._held = self.read(size) + self._held
        return self._held[:size]

    def read(self, size: int) -> bytes:
        """As many bytes as that, fewer at the end."""
        if self._unpack is None and not self._held:
            return self._raw.read(size)
        if len(self._held) >= size:
            data, self._held = self._held[:size], self._held[size:]
            return data
        parts, missing = [self._held], size - len(self._held)
        self._held = b""
        while missing > 0 and (more := self._more(missing)):
            parts.append(more)
            missing -= len(more)
        return b"".join(parts)

    def lines(self) -> Iterator[bytes]:
        """The lines of a text; one that never ends is cut."""
        held = b""
        while data := self.read(_BUFFER):
            *whole, held = (held + data).split(b"\n")
            yield from whole
            held = held[-_BUFFER:]
        if held:
            yield held

    def _more(self, size: int) -> bytes:
        if self._unpack is None:
            return self._raw.read(size)
        while True:
            packed = self._packed or self._raw.read(_HEAD)
            if not packed:
                self.broken = self.broken or not self._unpack.eof
                return b""
            try:
                data = self._unpack.decompress(packed, size)
            except zlib.error:
                self.broken = True
                return b""
            self._packed = self._unpack.unconsumed_tail or self._unpack.unused_data
            if self._unpack.eof and self._packed:
                # Several files packed one after the other are one (RFC 1952 2.2).
                self._unpack = zlib.decompressobj(_GZIP)
            if data:
                return data


def _capture(path: str, file: _File, notes: Notes, tell: Callable[[], None]) -> Iterator[Seen]:
    try:
        packets = Packets()
    except ModuleNotFoundError:
        raise TraceError(
            f"{path}: reading a capture needs the library dpkt. Install it: apt install python3-dpkt, "
            'or: pip install "session-timer-companion[explain]"'
        ) from None
    streams = Streams()
    clock = _Clock(notes)
    for frame in frames(file, notes.damage):
        notes.frames += 1
        if not notes.frames % _EVERY:
            tell()
        clock.at(frame.time)
        if not is_link_known(frame.link):
            notes.unread_links.add(frame.link)
            continue
        if packets.waiting:
            yield from _noted(packets.overdue(frame.time), notes)
        carried = packets.read(frame.time, frame.link, frame.data)
        if isinstance(carried, Segment):
            yield from _noted(streams.read(carried), notes)
            notes.lost = streams.lost
        elif carried is not None:
            yield from _noted((carried,), notes)
    yield from _noted(packets.overdue(None), notes)
    notes.encrypted = [(min(ends, key=str), max(ends, key=str)) for ends in streams.encrypted]
    tell()


def _noted(carried: Iterable[Datagram | Chunk], notes: Notes) -> Iterator[Seen]:
    """The SIP messages among what was carried, counted."""
    for one in carried:
        seen = _seen(one, notes)
        if seen is not None:
            notes.messages += 1
            if seen.transport == "HEP":
                notes.last_copy = max(seen.time, notes.last_copy or seen.time)
            yield seen


def _seen(carried: Datagram | Chunk, notes: Notes) -> Seen | None:
    transport = carried.transport if isinstance(carried, Chunk) else "UDP"
    time, source, target, payload = carried.time, carried.source, carried.destination, carried.payload
    cut = isinstance(carried, Datagram) and carried.cut
    copy = hep.read(payload, time) if payload[:4] == b"HEP3" else None
    if copy is not None:
        time, source, target = copy.time, copy.source, copy.destination
        payload, transport = copy.payload, "HEP"
    try:
        message = Message.parse(payload)
    except NotSipError:
        return None
    if cut:
        cut = not has_whole_head(payload)
        notes.cut += cut
        message = replace(message, body=b"")
    return Seen(time, source, target, message, transport, cut) if message.call_id else None


def _text(file: _File, notes: Notes, tell: Callable[[], None]) -> Iterator[Seen]:
    clock = _Clock(notes)
    for count, written in enumerate(text.messages(file.lines())):
        if not count % 64:
            tell()
        try:
            message = Message.parse(written.payload)
        except NotSipError:
            continue
        if not message.call_id:
            continue
        if written.time is None:
            notes.timed = False
        # Without times the order stands in for them: a millisecond a message.
        time = count / 1000 if written.time is None else written.time
        clock.at(time)
        notes.messages += 1
        yield Seen(time, written.source, written.destination, message, written.transport)
    tell()


class _Clock:
    """Watches the times of a file: they go up, and in a capture that is busy without holes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._count = 0
        self._began = 0.0

    def at(self, time: float) -> None:
        notes = self._notes
        last = notes.last
        if last is None:
            notes.first = notes.last = self._began = time
            return
        self._count += 1
        back = last - time > _JUMP_BACK
        usual = (last - self._began) / self._count
        hole = time - last > _HOLE and self._count >= 1000 and time - last > 1000 * usual
        if back or hole:
            if len(notes.jumps) < 1000:
                notes.jumps.append((last, time))
            self._count, self._began = 0, time
        if back or time > last:
            notes.last = time
