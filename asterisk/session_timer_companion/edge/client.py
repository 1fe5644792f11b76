"""What the companion asks an edge, and what the answers mean; they come and go by `rpc.py`.

edge = EdgeClient("udp:198.18.0.10:8090")
answers = await edge.records(keys)        # each Found, Missing or Unreachable: never an exception
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from session_timer import Record, RecordError
from session_timer.record import CHANGES, CLOCK, RECORDS

from session_timer_companion.edge.rpc import EdgeWire

_NO_SUCH_KEY = "Key name doesn't exist"


@dataclass(frozen=True, slots=True)
class Found:
    """The edge has a record of this dialog."""

    record: Record


@dataclass(frozen=True, slots=True)
class Missing:
    """The edge answered, and knows no such dialog."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or none that this code can read: nobody can say."""

    reason: str


RecordReply = Found | Missing | Unreachable


@dataclass(frozen=True, slots=True)
class Told:
    """What Kamailio answered to a question of another kind."""

    value: object


@dataclass(frozen=True, slots=True)
class Changes:
    """What the edge lists: readings of monotonic clocks, and the records that changed in the last minute."""

    clocks: Mapping[str, float]
    """Seconds, by the clock's name."""
    records: Mapping[str, Record]
    """By their key."""


class _NoAnswer(Exception):  # noqa: N818  # a fact, and named for it
    """Kamailio did not answer, or answered with an error."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """Kamailio itself said no: it is there."""


class EdgeClient:
    """One Kamailio. `address` is ``udp:<host>:<port>`` or ``unix:<path>``; times are in seconds."""

    def __init__(self, address: str, timeout: float = 1.0) -> None:
        self.address = address
        self._wire = EdgeWire(address, timeout)

    @property
    def up(self) -> bool | None:
        """Whether it answered last time; None before anything was asked."""
        return self._wire.up

    @property
    def losses(self) -> int:
        """How often nothing at all came back: each may hide that changes were missed."""
        return self._wire.losses

    async def record(self, key: str) -> RecordReply:
        """Ask for one dialog's record."""
        return (await self.records([key]))[0]

    async def records(self, keys: Sequence[str]) -> list[RecordReply]:
        """Ask for the records of any number of dialogs; the answers in the same order."""
        requests = [("htable.get", RECORDS, key) for key in keys]
        return [self._record(answer) for answer in await self._wire.call(requests)]

    async def changes(self) -> Changes | Unreachable:
        """Ask for the list of changes."""
        try:
            return _changes(_result((await self._wire.call([("htable.dump", CHANGES)]))[0]))
        except _NoAnswer as error:
            return Unreachable(f"edge {self.address}: {error}")

    async def ask(self, method: str, *params: str) -> Told | Unreachable:
        """Ask Kamailio anything else, for instance which modules it has loaded."""
        try:
            return Told(_result((await self._wire.call([(method, *params)]))[0]))
        except _NoAnswer as error:
            return Unreachable(str(error))

    async def clock(self, name: str) -> float | None:
        """Ask for one clock's reading in seconds, where the list of changes is too long to be read."""
        with contextlib.suppress(_NoAnswer, ValueError):
            (answer,) = await self._wire.call([("htable.get", CHANGES, CLOCK + name)])
            return float(_text(_result(answer), "item", "value"))
        return None

    def close(self) -> None:
        """Let go of the socket; what is under way counts as unanswered."""
        self._wire.failed(OSError("closed"))

    def _record(self, answer: bytes | str) -> RecordReply:
        try:
            return Found(Record.decode(_text(_result(answer), "item", "value")))
        except _NoAnswer as error:
            if error.refused and _NO_SUCH_KEY in str(error):
                return Missing()
            return Unreachable(f"edge {self.address}: {error}")
        except RecordError as error:
            return Unreachable(f"edge {self.address}: {error}")


def _result(data: bytes | str) -> object:
    if isinstance(data, str):
        raise _NoAnswer(data)
    try:
        answer = json.loads(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        raise _NoAnswer(f"an answer that is not JSON: {data[:60]!r}") from None
    if not isinstance(answer, dict):
        raise _NoAnswer(f"an answer that is not JSON-RPC: {data[:60]!r}")
    error = answer.get("error")
    if error is not None:
        message = error.get("message") if isinstance(error, dict) else error
        raise _NoAnswer(str(message), refused=True)
    return answer.get("result")


def _text(answer: object, *path: str) -> str:
    for step in path:
        answer = answer.get(step) if isinstance(answer, dict) else None
    if not isinstance(answer, str):
        raise _NoAnswer(f"an answer without {'.'.join(path)}")
    return answer


def _changes(answer: object) -> Changes:
    clocks: dict[str, float] = {}
    records: dict[str, Record] = {}
    slots = answer if isinstance(answer, list) else []
    held = [slot.get("slot") for slot in slots if isinstance(slot, dict)]
    for entry in [entry for some in held if isinstance(some, list) for entry in some]:
        name, value = (entry.get("name"), entry.get("value")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str):
            continue
        # What another version wrote is left to the reading of single records, which tells of it.
        with contextlib.suppress(ValueError):
            if name.startswith(CLOCK):
                clocks[name.removeprefix(CLOCK)] = float(value)
            else:
                records[name] = Record.decode(value)
    return Changes(clocks, records)
