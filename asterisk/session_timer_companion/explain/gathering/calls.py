"""Messages gathered by Call-ID, and handed on when their call is over. Memory is bounded."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from session_timer_companion.explain.reading.sip import Endpoint, Message
from session_timer_companion.explain.reading.trace import Notes, Seen

_CALL_METHODS = frozenset(
    {
        "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK",
        "INFO", "REFER", "MESSAGE", "OPTIONS", "NOTIFY", "SUBSCRIBE", "PUBLISH",
    }
)  # fmt: skip
_OUTSIDE_TOO = frozenset({"OPTIONS", "MESSAGE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH"})
_LINGER = 40.0
"""Seconds after its end in which a call may still be repeated: Timers F and H are 32 (RFC 3261 17)."""
MOST_MESSAGES = 4000
"""Of one call; further ones are counted only."""
MOST_CALLS = 20_000
"""Open at a time; the one that was silent longest is then judged as it stands."""
_SWEEP = 20.0


@dataclass(slots=True)
class Sighted:
    """One message on one hop, and when it was seen there: more than once if it was retransmitted."""

    source: Endpoint
    destination: Endpoint
    message: Message
    times: list[float]
    transport: str

    @property
    def time(self) -> float:
        return self.times[0]

    @property
    def sent(self) -> int:
        """How often it was sent. A capture of all interfaces sees one packet twice within moments."""
        return 1 + sum(
            after - before > 0.05 for before, after in zip(self.times, self.times[1:], strict=False)
        )


@dataclass(slots=True)
class Call:
    """All messages of one Call-ID, in the order in which they were first seen."""

    call_id: str
    messages: list[Sighted] = field(default_factory=list)
    last: float = 0.0
    over: float | None = None
    """When it ended, as far as was seen."""
    left_out: int = 0
    cut: bool = False
    """Of some of its messages the capture has only the beginning."""
    jumps: int = 0
    """How many jumps of the clock, and gaps, the file had before the call."""
    jumped: bool = False
    places: dict[tuple[Endpoint, Endpoint, int], int] = field(default_factory=dict)
    asked: set[tuple[object, ...]] = field(default_factory=set)
    """Its initial INVITEs that have no final answer yet, by their transactions."""
    stands: set[frozenset[str | None]] = field(default_factory=set)
    """Its dialogs that were answered and have not ended, by their tags."""


class Calls:
    """Gathers calls out of a trace."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._open: OrderedDict[str, Call] = OrderedDict()
        self._swept = float("-inf")

    def add(self, seen: Seen) -> Iterator[Call]:
        """Takes one message in; gives the calls that are over by now."""
        message = seen.message
        if message.method in _CALL_METHODS:
            call = self._open.get(message.call_id)
            if call is not None and _begins_another(call, seen):
                yield self._closed(self._open.pop(message.call_id))
                call = None
            if call is None:
                if message.method in _OUTSIDE_TOO:
                    return  # outside of a call, or of one that shows nothing of itself
                call = Call(message.call_id, jumps=self._gaps)
                self._open[message.call_id] = call
            self._open.move_to_end(message.call_id)
            _take(call, seen)
        if abs(seen.time - self._swept) > _SWEEP or len(self._open) > MOST_CALLS:
            self._swept = seen.time
            yield from self._finished(seen.time)

    def rest(self) -> Iterator[Call]:
        """The calls that are still open when the trace ends."""
        for call in self._open.values():
            yield self._closed(call)
        self._open.clear()

    def _finished(self, now: float) -> Iterator[Call]:
        over = [
            call_id
            for call_id, call in self._open.items()
            if call.over is not None and abs(now - call.last) > _LINGER
        ]
        for call_id in over:
            yield self._closed(self._open.pop(call_id))
        while len(self._open) > MOST_CALLS:
            yield self._closed(self._open.popitem(last=False)[1])

    @property
    def _gaps(self) -> int:
        return len(self._notes.jumps) + self._notes.lost

    def _closed(self, call: Call) -> Call:
        call.jumped = self._gaps != call.jumps
        call.places.clear()
        call.asked.clear()
        call.stands.clear()
        if not call.jumped:
            call.messages.sort(key=lambda one: one.time)
        return call


def _take(call: Call, seen: Seen) -> None:
    message = seen.message
    call.last = seen.time
    if seen.cut:
        call.cut = True
        return
    place = (seen.source, seen.destination, hash(message))
    at = call.places.get(place)
    if at is not None:
        call.messages[at].times.append(seen.time)
        del call.messages[at].times[64:]
        return
    if len(call.messages) >= MOST_MESSAGES:
        call.left_out += 1
        return
    call.places[place] = len(call.messages)
    call.messages.append(Sighted(seen.source, seen.destination, _slim(message), [seen.time], seen.transport))
    if _is_over(call, seen):
        call.over = seen.time
    elif message.is_request and message.method == "INVITE":
        call.over = None  # tried again, after a challenge or a 422


def _begins_another(call: Call, seen: Seen) -> bool:
    """Whether a Call-ID is used again: its INVITE does not count on, as another try of the same call does."""
    message = seen.message
    initial = message.is_request and message.method == "INVITE" and message.to_tag is None
    if call.over is None or seen.time - call.last <= _LINGER or not initial:
        return False
    tried = [one.message.cseq for one in call.messages if one.message.method == "INVITE"]
    return message.cseq <= max(tried, default=message.cseq)


def _is_over(call: Call, seen: Seen) -> bool:
    """Whether this message ends the call: its last dialog, or the last branch of an INVITE that failed."""
    message, code = seen.message, seen.message.status or 0
    tags = frozenset((message.from_tag, message.to_tag))
    if message.method == "BYE" and code >= 200:
        call.stands.discard(tags)
        return not call.stands and not call.asked
    if message.method != "INVITE":
        return False
    ends = {(seen.source.address, seen.source.port), (seen.destination.address, seen.destination.port)}
    transaction = (frozenset(ends), message.branch, message.cseq)
    if message.is_request and message.to_tag is None:
        call.asked.add(transaction)
    if code < 200:
        return False
    call.asked.discard(transaction)
    if code < 300:
        call.stands.add(tags)
    return code >= 300 and not call.asked and not _established(call)


def _established(call: Call) -> bool:
    return any(
        one.message.method in ("INVITE", "UPDATE", "BYE")
        and (
            200 <= (one.message.status or 0) < 300
            or (one.message.is_request and one.message.to_tag is not None)
        )
        for one in call.messages
    )


_HAS_CONTACT = ("contact", "…")
_KEPT = frozenset({
    "via", "from", "to", "session-expires", "min-se", "supported", "require", "allow",
    "retry-after", "reason", "user-agent", "server", "x-session-timer",
})  # fmt: skip


def _slim(message: Message) -> Message:
    """The message with what is judged of it: a capture holds many calls at a time.

    Of a description its origin is kept, and a digest that tells whether the rest changed.
    """
    rows = tuple((name, sys.intern(value)) for name, value in message.headers if name in _KEPT)
    if message.rows("Contact"):  # nobody asks what it says
        rows = (*rows, _HAS_CONTACT)
    body = b""
    if message.body.startswith(b"v="):
        lines = [line.strip() for line in message.body.splitlines() if line.strip()]
        origin = next((line for line in lines if line.startswith(b"o=")), b"o=")
        body = (
            b"v=0\n"
            + origin
            + b"\nx="
            + hashlib.blake2b(b"\n".join(lines), digest_size=8).digest().hex().encode()
        )
    return replace(message, headers=rows, body=body)
