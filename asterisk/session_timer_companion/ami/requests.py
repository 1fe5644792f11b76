"""What is asked of Asterisk over AMI, and what it says: messages, list entries, many variables at once.

What is asked has a number that its answers carry, a deadline, and a future for what it is to bring.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from panoramisk.actions import Action
from panoramisk.message import Message

from session_timer_companion.ami.errors import AmiHeaderError, AmiRefused, AmiTimeout


class AmiMessage(Message):  # type: ignore[misc]  # panoramisk has no types; the typed reading is what this class adds
    """An answer, a list entry or an event. Header names are looked up without regard to case."""

    @property
    def event(self) -> str:
        """The event's name; empty for an answer."""
        return self.text("event")

    @property
    def ok(self) -> bool:
        """True unless Asterisk answered with an error."""
        return bool(self.success)

    @property
    def reason(self) -> str:
        """Asterisk's words for the outcome, such as `No such channel`."""
        return self.text("message")

    def text(self, name: str) -> str:
        """The header's value, its first if there are several, or an empty string."""
        value = self.get(name, "")
        return str(value[0] if isinstance(value, list) else value)

    @classmethod
    def parsed(cls, frame: bytes) -> AmiMessage | None:
        """What a frame says; None for bytes that are neither an answer nor an event."""
        message: AmiMessage | None = cls.from_line(frame.decode("utf-8", "replace"))
        return message


class AmiEntry:
    """An entry of a list, read where it is asked: of the thirty lines that tell of a channel few are needed.

    Header names are as Asterisk writes them.
    """

    __slots__ = ("_lines",)

    def __init__(self, frame: bytes) -> None:
        self._lines = f"\r\n{frame.decode('utf-8', 'replace')}\r\n"

    def text(self, name: str) -> str:
        """The header's value, its first if there are several, or an empty string."""
        _, _, rest = self._lines.partition(f"\r\n{name}: ")
        return rest.partition("\r\n")[0]

    @property
    def ends(self) -> bool:
        """It is the last frame of its list, and no entry."""
        return self.text("Event").endswith("Complete") or self.text("EventList") in ("Complete", "cancelled")


Header = str | int | Sequence[str]
"""A header's value; a sequence of strings is sent as one line each."""

Question = tuple[str, Sequence[str]]
"""A channel, and the variables or functions of it."""

LINE_LIMIT = 1022
"""Bytes of a line that Asterisk takes; it discards a longer one (main/manager.c, inbuf)."""

PART = b";"
"""Between the number of a request and that of one of its parts, where it has several."""

_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_UNSENDABLE = re.compile("[\r\n\0\ud800-\udfff]")
_EVENT = b"Event: "
_VALUE = b"\r\nValue: "

Outcome = TypeVar("Outcome")


class Queue(Protocol):
    """What was asked on one connection and is not answered yet, in the order in which it will be."""

    def moves_before(self, request: Asked[Any]) -> bool:
        """Whether answers come in to something that was asked before this."""

    def first_channel(self) -> str:
        """The channel that Asterisk is at; empty if none."""


class Asked(Action, Generic[Outcome]):  # type: ignore[misc]  # panoramisk has no types
    """Something under way. Belongs to the running event loop.

    A deadline is the time until the next answer to it, or to what was asked before it; `timeout` in seconds.
    Raises AmiHeaderError for what AMI cannot carry.
    """

    future: asyncio.Future[Outcome]
    encoded: bytes

    def __init__(self, name: str, *, timeout: float) -> None:
        super().__init__()
        self.name = name
        self.number: bytes = self["ActionID"].encode()
        """Under which its answers come."""
        self.timeout = timeout
        self.moved = False
        self.deadline: asyncio.TimerHandle | None = None

    @property
    @abstractmethod
    def channel(self) -> str:
        """That the next answer will be about; empty if about none."""

    @abstractmethod
    def take(self, frame: bytes, part: bytes) -> None:
        """An answer or entry has come, for this part where there are several."""

    def start_deadline(self, queue: Queue) -> None:
        """Wait for the next answer; `queue` is where it is asked."""
        self.deadline = asyncio.get_running_loop().call_later(self.timeout, self._expire, queue)

    def _expire(self, queue: Queue) -> None:
        """The deadline is due: over, unless answers are still coming in."""
        if self.moved or queue.moves_before(self):
            self.moved = False
            self.start_deadline(queue)
        else:
            told = f"no answer to {self.name} within {self.timeout:g} s"
            self.fail(AmiTimeout(told, queue.first_channel()))

    def bring(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def release(self) -> None:
        """Nobody waits any more. What came too late to be asked for is not an unhandled error."""
        if self.deadline is not None:
            self.deadline.cancel()
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()

    def _encode(self, headers: Mapping[str, Header]) -> bytes:
        lines = [line("Action", self.name), f"ActionID: {self['ActionID']}"]
        for header, value in headers.items():
            items = (value,) if isinstance(value, (str, int)) else value
            lines += [line(header, item) for item in items]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Request(Asked[AmiMessage]):
    """One action with one answer."""

    def __init__(self, name: str, headers: Mapping[str, Header], *, timeout: float) -> None:
        super().__init__(name, timeout=timeout)
        self._channel = str(headers.get("Channel", ""))
        self.encoded = self._encode(headers)

    @property
    def channel(self) -> str:
        return self._channel

    def take(self, frame: bytes, part: bytes) -> None:  # noqa: ARG002  # it has no parts
        message = AmiMessage.parsed(frame)
        if message is not None:
            self.bring(message)


class Listing(Asked[AmiEntry]):
    """An action that is answered by a list: each entry goes to `on_entry`, the frame that ends it is brought.

    Fails with AmiRefused if Asterisk says no, and with whatever `on_entry` raises.
    """

    def __init__(
        self,
        name: str,
        headers: Mapping[str, Header],
        on_entry: Callable[[AmiEntry], None],
        *,
        timeout: float,
    ) -> None:
        super().__init__(name, timeout=timeout)
        self._channel = str(headers.get("Channel", ""))
        self.encoded = self._encode(headers)
        self._on_entry = on_entry

    @property
    def channel(self) -> str:
        return self._channel

    def take(self, frame: bytes, part: bytes) -> None:  # noqa: ARG002  # it has no parts
        self.moved = True
        if self.future.done():
            return
        if not frame.startswith(_EVENT):
            message = AmiMessage.parsed(frame)
            # else it says that a list will follow
            if message is not None and not message.ok:
                self.fail(AmiRefused(self.name, message.reason))
            return
        entry = AmiEntry(frame)
        if entry.ends:
            self.bring(entry)
            return
        try:
            self._on_entry(entry)
        except Exception as error:  # noqa: BLE001  # the fault is the asker's: it goes to him, the connection lives on
            self.fail(error)


class Readings(Asked[list[tuple[str, ...]]]):
    """Many `Getvar` at once: it brings the values of each question, empty for what Asterisk does not tell.

    A start among thousands of calls has to read four of each. Here they share one number, one deadline and
    one future, and of an answer nothing but its value is read: it costs a fifth of a `Request`.
    """

    def __init__(self, questions: Sequence[Question], *, timeout: float) -> None:
        super().__init__("Getvar", timeout=timeout)
        self._questions = questions
        self._sizes = [len(functions) for _, functions in questions]
        self._values = [""] * sum(self._sizes)
        self._open: dict[bytes, int] = {}
        """By the part of the number: the place among the values of each that has no answer yet."""
        asked = {function: line("Variable", function) for _, functions in questions for function in functions}
        number = f"ActionID: {self['ActionID']}{PART.decode()}"
        actions: list[str] = []
        for channel, functions in questions:
            of = line("Channel", channel)
            for function in functions:
                place = len(actions)
                self._open[b"%d" % place] = place
                actions.append(f"Action: Getvar\r\n{number}{place}\r\n{of}\r\n{asked[function]}\r\n\r\n")
        self.encoded = "".join(actions).encode()
        if not actions:
            self.bring([() for _ in questions])

    @property
    def channel(self) -> str:
        place = int(next(iter(self._open), b"0"))
        asked = itertools.chain.from_iterable([name] * len(functions) for name, functions in self._questions)
        return next(itertools.islice(asked, place, None), "")

    def take(self, frame: bytes, part: bytes) -> None:
        self.moved = True
        place = self._open.pop(part, None)
        if place is None:
            return
        self._values[place] = frame.partition(_VALUE)[2].decode("utf-8", "replace")
        if not self._open:
            values = iter(self._values)
            self.bring([tuple(next(values) for _ in range(size)) for size in self._sizes])


def line(name: str, value: str | int) -> str:
    """A header as it is sent, without its end. Raises AmiHeaderError for what AMI cannot carry."""
    if _HEADER_NAME.fullmatch(name) is None:
        raise AmiHeaderError(f"AMI header name {name!r}: only letters, digits, _ and - can be sent")
    text = f"{name}: {value}"
    if _UNSENDABLE.search(text) is not None:
        raise AmiHeaderError(f"AMI header {name}: line break or other unsendable character in {text[:80]!r}")
    size = len(text.encode())
    if size > LINE_LIMIT:
        raise AmiHeaderError(f"AMI header {name}: {size} bytes; Asterisk discards a line above {LINE_LIMIT}")
    return text
