"""Where a part of the companion says what happened: to the log, and, of a call, to its history and the hooks.

    log = CallLog(structlog.get_logger(__name__), "ast1", history, heard)
    log.warning("refresh_refused", call=tracked, code=488)

The history has the last events of each call, while it is up and for a while after its end; bounded in memory.

    history = History(events=24, ended=1000)
    tracked.history = history.add(tracked.history, now, "refresh_sent", {"method": "UPDATE"})
    history.decoded(tracked.history)

There may be 100,000 calls. So the events of one call are a few bytes each: the time, and the number of what
happened, which thousands of calls share. A refresh and its confirmation take turns for hours: both are kept
once and counted, and do not push out how the call began.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from session_timer_companion.timers.tracked_call import TrackedCall

_ENTRY = struct.Struct("<IHH")
"""Time in steps, number of the fact, and how often it happened in turn."""

STEP = 0.05
"""Seconds. Times are kept in such steps: four bytes are enough for six years."""

_LATEST = 0xFFFF_FFFF

_IN_TURN = 2
"""Among so many of the last events what happens again is looked for, and counted there."""

FACTS = 50_000
"""Different facts that are told apart; of those that come later only the event is kept."""

LONGEST = 200
"""Characters of one detail that are kept."""

_MOST_IN_TURN = 0xFFFF

_LEFT_OUT = frozenset({"channel", "was", "due_in", "edge", "exc_info", "peer", "calls", "refreshes", "text"})
"""Details that differ for each call, or that the call itself shows."""


class Fact(NamedTuple):
    """What happened: the identifier that the log has too, and its details."""

    event: str
    details: tuple[tuple[str, str], ...] = ()
    notable: bool = False
    """It was worth a warning."""


class Event(NamedTuple):
    """Something that happened to a call; `at` in seconds of the event loop's clock, to a `STEP`."""

    at: float
    fact: Fact
    times: int
    """How often it happened, in a row or in turn with one other event; `at` is the last time."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that is no longer tracked."""

    asterisk: str
    call_id: str
    channel: str
    peer: str
    numbers: str
    ended: float
    """When, in seconds of the event loop's clock."""
    why: str
    refreshes: int
    events: bytes


class History:
    """Keeps `events` events of each call, and the last `ended` calls that are over.

    Calls to which something notable happened are kept apart: those that simply ended do not push them out.
    """

    def __init__(self, events: int, ended: int) -> None:
        self.events = events
        self._facts: list[Fact] = []
        self._numbers: dict[Fact, int] = {}
        self._notable: deque[EndedCall] = deque(maxlen=ended)
        self._usual: deque[EndedCall] = deque(maxlen=ended)

    def add(
        self,
        before: bytes,
        at: float,
        event: str,
        details: Mapping[str, object],
        *,
        notable: bool = False,
    ) -> bytes:
        """The events of a call with one more, less the oldest where there are too many."""
        if not self.events:
            return b""
        number, size = self._number(event, details, notable=notable), _ENTRY.size
        count = 1
        for start in range(len(before) - size, max(-1, len(before) - _IN_TURN * size - 1), -size):
            _, known, times = _ENTRY.unpack_from(before, start)
            if known == number:
                before = before[:start] + before[start + size :]
                count = min(times + 1, _MOST_IN_TURN)
                break
        step = min(max(0, int(at / STEP)), _LATEST)
        return (before + _ENTRY.pack(step, number, count))[-self.events * size :]

    def decoded(self, events: bytes) -> list[Event]:
        """What `add` returned, the oldest first."""
        return [
            Event(step * STEP, self._facts[number], times)
            for step, number, times in _ENTRY.iter_unpack(events)
        ]

    def close(self, call: EndedCall) -> None:
        """This call is over: keep it among the ended ones."""
        (self._notable if self.is_notable(call) else self._usual).append(call)

    def amend(self, asterisk: str, call_id: str, channel: str, events: bytes) -> None:
        """Something notable happened to a call that is over already, if it is still kept."""
        for ring in (self._usual, self._notable):
            for call in reversed(ring):
                if (call.asterisk, call.call_id, call.channel) == (asterisk, call_id, channel):
                    ring.remove(call)
                    self.close(replace(call, events=events))
                    return

    def is_notable(self, call: EndedCall) -> bool:
        """Whether something worth a warning happened to it."""
        return any(event.fact.notable for event in self.decoded(call.events))

    def ended(self) -> Iterator[EndedCall]:
        """The ended calls, the last one first."""
        yield from sorted((*self._notable, *self._usual), key=lambda call: call.ended, reverse=True)

    def ended_as(self, call_id: str) -> list[EndedCall]:
        """The ended calls with this Call-ID, the last one first."""
        return [call for call in self.ended() if call.call_id == call_id]

    def _number(self, event: str, details: Mapping[str, object], *, notable: bool) -> int:
        fact = Fact(event, tuple(_written(details.items())), notable)
        number = self._numbers.get(fact)
        if number is None:
            if len(self._facts) >= FACTS:
                fact = Fact(event, (), notable)
                if fact in self._numbers:
                    return self._numbers[fact]
            number = self._numbers[fact] = len(self._facts)
            self._facts.append(fact)
        return number


def _written(details: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    for name, value in details:
        if value is not None and value != "" and name not in _LEFT_OUT:
            yield name, str(value)[:LONGEST]


Listener = Callable[[str, str, "TrackedCall", Mapping[str, object]], None]
"""Gets the Asterisk's name and each event of a call with its details; returns at once."""


class CallLog:
    """The log of one Asterisk's calls. `call` is the tracked call that a line is about.

    An event goes into the history of its call whatever the level of the log.
    """

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        asterisk: str,
        history: History,
        listener: Listener,
    ) -> None:
        self._log = log.bind(asterisk=asterisk)
        self._asterisk = asterisk
        self._history = history
        self._listener = listener
        self._now = asyncio.get_running_loop().time

    def debug(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=False)
        self._log.debug(event, **_with_call_id(call, details))

    def info(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=False)
        self._log.info(event, **_with_call_id(call, details))

    def warning(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.warning(event, **_with_call_id(call, details))

    def error(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.error(event, **_with_call_id(call, details))

    def exception(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.exception(event, **_with_call_id(call, details))

    def close(self, call: TrackedCall, why: str) -> None:
        """This call is no longer tracked: its history goes among those of ended calls."""
        self._history.close(
            EndedCall(
                asterisk=self._asterisk,
                call_id=call.call_id,
                channel=call.channel,
                peer=call.peer,
                numbers=call.numbers,
                ended=self._now(),
                why=why,
                refreshes=max(call.refreshes, 0),
                events=call.history,
            )
        )

    def _note(
        self, event: str, call: TrackedCall | None, details: Mapping[str, object], *, notable: bool
    ) -> None:
        if call is None:
            return
        call.history = self._history.add(call.history, self._now(), event, details, notable=notable)
        if call.gone and notable:
            # Asterisk's Hangup may be read before the reply to what caused it.
            self._history.amend(self._asterisk, call.call_id, call.channel, call.history)
        self._listener(self._asterisk, event, call, details)


def _with_call_id(call: TrackedCall | None, details: dict[str, object]) -> dict[str, object]:
    return details if call is None else {"call_id": call.call_id, **details}
