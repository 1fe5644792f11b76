"""SIP in text: what Asterisk's ``pjsip set logger on`` writes, and what sngrep saves as text.

Asterisk writes only the other end's address; its own is called after it. A log without times is read in
order, and nothing that hangs on time can be said of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from session_timer_companion.explain.reading.sip import LARGEST, Endpoint

ASTERISK = Endpoint("Asterisk")
"""Its end of what its logger shows: the address is not in the text."""

_ASTERISK = re.compile(
    rb"<--- (?P<way>Received|Transmitting) SIP (?:request|response) \((?P<length>\d{1,6}) bytes\) "
    rb"(?:from|to) (?P<transport>[A-Za-z0-9+-]{2,8}):(?P<end>\[?[0-9A-Fa-f:.]{2,45}\]?:\d{1,5}) --->"
)
# What a log or a console may put before: [Nov 30 14:10:39] VERBOSE[12]..., [2026-11-30 14:10:39.123]
_BEFORE = re.compile(rb"^(?:[^\[\n]{0,80})\[([^\]\n]{8,40})\]")
_END = rb"(\[?[0-9A-Fa-f:.]{2,45}\]?:\d{1,5})"
_SNGREP = re.compile(rb"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{1,6}) " + _END + rb" -> " + _END + rb"\s*$")
_CLOCK = re.compile(
    rb"^(?:(\d{4})[-/](\d\d)[-/](\d\d)|([A-Z][a-z]{2}) +(\d{1,2}))[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
)
_MONTHS = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"]
# A line of the log that is none of the message's: a new entry with its time and level.
_LOG_LINE = re.compile(rb"^\[[^\]\n]{8,40}\] (?:VERBOSE|NOTICE|WARNING|ERROR|DEBUG|DTMF|SECURITY)\[\d+\]")
# What journalctl, or docker compose logs, puts before each line of whatever they show.
_COLLECTED = re.compile(
    rb"^(?:[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \S{1,80} [^\s\[]{1,80}\[\d+\]: ?|[\w.-]{1,80} +\| ?)"
)
_SOME_YEAR = 2000
"""A log that names no year: only the time between its lines counts."""


@dataclass(frozen=True, slots=True)
class Written:
    """One message that a text shows; ``time`` is None where the text has no times."""

    time: float | None
    source: Endpoint
    destination: Endpoint
    payload: bytes
    transport: str


@dataclass(slots=True)
class _Open:
    time: float | None
    source: Endpoint
    destination: Endpoint
    transport: str
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes of the lines so far."""
    collected: bool = False
    """Something else wrote the log down, and put its mark before each line."""
    length: int = 0
    """Bytes the message has, as its heading says; 0: it does not say."""

    def whole(self) -> Written:
        payload = b"\r\n".join(self.lines)
        if self.length and len(payload) > self.length:
            payload = payload[: self.length]
        elif not self.length:
            payload = payload.rstrip(b"\r\n") + b"\r\n\r\n" if b"\r\n\r\n" not in payload else payload
        return Written(self.time, self.source, self.destination, payload, self.transport)


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are a text that shows SIP messages."""
    return bool(_ASTERISK.search(head)) or any(_SNGREP.match(line) for line in head.split(b"\n"))


def messages(lines: Iterable[bytes]) -> Iterator[Written]:
    """The messages of the text. Lines that belong to none are passed over."""
    open_one: _Open | None = None
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        begun = _begins(line)
        if begun is not None:
            if open_one is not None:
                yield open_one.whole()
            open_one = begun
            continue
        if open_one is None:
            continue
        if open_one.collected:
            line = _COLLECTED.sub(b"", line)
        done = open_one.length and open_one.size >= open_one.length
        if done or open_one.size > LARGEST or _LOG_LINE.match(line):
            yield open_one.whole()
            open_one = None
        else:
            open_one.lines.append(line)
            open_one.size += len(line) + 2
    if open_one is not None:
        yield open_one.whole()


def _begins(line: bytes) -> _Open | None:
    found = _ASTERISK.search(line)
    if found is not None:
        collected = _COLLECTED.match(line)
        before = line[collected.end() if collected else 0 : found.start()]
        stamp = _BEFORE.match(before)
        at = _time(stamp[1]) if stamp else None
        if at is None and collected:
            at = _time(line)
        other = _endpoint(found["end"])
        received = found["way"] == b"Received"
        return _Open(
            at,
            other if received else ASTERISK,
            ASTERISK if received else other,
            found["transport"].decode(),
            collected=collected is not None,
            length=int(found["length"]),
        )
    found = _SNGREP.match(line)
    if found is not None:
        return _Open(_time(found[1]), _endpoint(found[2]), _endpoint(found[3]), "UDP")
    return None


def _endpoint(text: bytes) -> Endpoint:
    address, _, port = text.decode().rpartition(":")
    return Endpoint(address.strip("[]"), int(port))


def _time(stamp: bytes) -> float | None:
    """Seconds; None if it is no time. It counts as UTC: only differences matter."""
    found = _CLOCK.match(stamp)
    if found is None:
        return None
    year, month, day, name, short_day, hour, minute, second, fraction = found.groups()
    try:
        moment = datetime(
            int(year) if year else _SOME_YEAR,
            int(month) if month else _MONTHS.index(name) + 1,
            int(day or short_day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return moment.timestamp() + (float(b"0." + fraction) if fraction else 0.0)
