"""One AMI connection, from the first byte to the last: the only module that knows panoramisk.

panoramisk 1.4 parses frames and numbers actions. What it does with a connection beyond that is
replaced, because it sends unanswered actions again after a reconnect, waits for answers for ever, loses
characters that two reads share, lets a line break in a value start a second action, and drops the connection
when a callback fails. Connecting, logging in and staying connected is `ami.py`'s business.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from session_timer_companion.ami_errors import (
    AmiError,
    AmiHeaderError,
    AmiRefused,
    AmiTimeout,
    AmiUnavailable,
)

if TYPE_CHECKING:
    from session_timer_companion.ami_account import AmiAccount

Header = str | int | Sequence[str]
"""A header's value; a sequence of strings is sent as one line each."""

LINE_LIMIT = 1024
"""Bytes of a line, CR LF included, that Asterisk takes; it discards a longer one (main/manager.c, inbuf)."""

FRAME_LIMIT = 4 * 1024 * 1024
"""Bytes without an empty line after which the other end cannot be taken for AMI."""

TOGETHER = 64
"""Actions that one write carries at most: a write costs more than the rest of an action."""

_GREETING = b"Asterisk Call Manager/"
_END_OF_LINE = b"\r\n"
_END_OF_FRAME = b"\r\n\r\n"
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_UNSENDABLE = re.compile("[\r\n\0\ud800-\udfff]")


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

    def texts(self, name: str) -> list[str]:
        """Every value of a header that may come several times, in order."""
        value = self.get(name, [])
        return value if isinstance(value, list) else [value]

    def variables(self) -> dict[str, str]:
        """What `Variables` asked for, by the expression asked: {"CHANNEL(pjsip,call-id)": "…"}.

        A function without a value gives an empty string, a channel variable that is not set gives `(null)`.
        """
        named = (line.partition("=") for line in self.texts("variable"))
        return {name: value for name, _, value in named}


class Request(Action):  # type: ignore[misc]  # as above
    """One action under way: its answer, its deadline, and where the entries go if it is a list.

    Raises AmiHeaderError for what AMI cannot carry. Belongs to the running event loop.
    """

    def __init__(
        self,
        name: str,
        headers: Mapping[str, Header],
        *,
        timeout: float,
        on_entry: Callable[[AmiMessage], None] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.number: str = self["ActionID"]
        lines = [_line("Action", name), f"ActionID: {self.number}"]
        for header, value in headers.items():
            items = (value,) if isinstance(value, (str, int)) else value
            lines += [_line(header, item) for item in items]
        self.encoded = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.timeout = timeout
        self.on_entry = on_entry
        self.moved = False
        self.deadline: asyncio.TimerHandle | None = None

    def add_message(self, message: AmiMessage) -> None:
        """An answer or entry for this action has come."""
        self.moved = True
        if self.future.done():
            return
        if self.on_entry is None:
            self.future.set_result(message)
        elif not message.ok:
            self.fail(AmiRefused(self.name, message.reason))
        elif not message.event:
            pass  # "list will follow"
        elif message.event.endswith("Complete") or message.text("eventlist") in ("Complete", "cancelled"):
            self.future.set_result(message)
        else:
            try:
                self.on_entry(message)
            except Exception as error:  # noqa: BLE001  # the fault is the asker's: it goes to him, the connection lives on
                self.fail(error)

    def expire(self) -> None:
        """The deadline is due: over, unless a list's entries are still coming in."""
        if self.moved:
            self.moved = False
            self.start_deadline()
        else:
            self.fail(AmiTimeout(f"no answer to {self.name} within {self.timeout:g} s"))

    def start_deadline(self) -> None:
        self.deadline = asyncio.get_running_loop().call_later(self.timeout, self.expire)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def release(self) -> None:
        """Nobody waits any more. What came too late to be asked for is not an unhandled error."""
        if self.deadline is not None:
            self.deadline.cancel()
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()


class Wire(AMIProtocol):  # type: ignore[misc]  # as above
    """The connection. `greeted` is done when Asterisk has spoken, `lost` when the connection is gone.

    `on_event` gets the events named in `wanted` and must not raise; all others are passed over before they
    cost anything.
    """

    def __init__(
        self, account: AmiAccount, wanted: frozenset[str], on_event: Callable[[AmiMessage], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.encoding = "utf8"
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[AmiError] = loop.create_future()
        self.answered_at = loop.time()
        self._account = account
        self._now = loop.time
        self._wanted = frozenset(name.encode() for name in wanted)
        self._on_event = on_event
        self._unread = b""
        self._writable = True
        self._unsent: deque[Request] = deque()
        self._ending: AmiError | None = None

    def submit(self, requests: Iterable[Request]) -> None:
        """Send, in this order. Raises AmiUnavailable if the connection is ending."""
        if self._ending is not None or self.closed:
            raise AmiUnavailable(f"not connected: {self._ending or self.lost.result()}")
        for request in requests:
            self.responses[request.number] = request
            request.start_deadline()
            self._unsent.append(request)
        self._send_unsent()

    def release(self, request: Request) -> None:
        """Forget a request, answered or not."""
        self.responses.pop(request.number, None)
        request.release()

    async def ask(self, request: Request) -> AmiMessage:
        """Send one request and wait for its answer, or for a list's last frame."""
        self.submit([request])
        try:
            answer: AmiMessage = await request.future
        finally:
            self.release(request)
        return answer

    def abort(self, reason: str) -> None:
        """End the connection now, unsent bytes included."""
        self._end(reason)
        self.transport.abort()

    async def close(self, grace: float = 1.0) -> None:
        """End the connection once what was written has left, or after `grace` seconds."""
        self._end("closed by us")
        self.transport.close()
        await asyncio.wait({self.lost}, timeout=grace)
        self.transport.abort()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        """The other end reads again. What nobody waits for any more is not sent: it would come late."""
        self._writable = True
        self._send_unsent()

    def data_received(self, data: bytes) -> None:
        """Frames are cut from bytes, so that a character which two reads share stays whole."""
        data = self._unread + data
        if not self.greeted.done():
            if not _GREETING.startswith(data[: len(_GREETING)]):
                self.abort(f"what answers there is not AMI (it says {data[:60]!r}); check host and port")
                return
            greeting, end, rest = data.partition(_END_OF_LINE)
            if not end:
                self._unread = data
                return
            self.version = greeting[len(_GREETING) :].decode("ascii", "replace")
            self.greeted.set_result(None)
            data = rest
        frames = data.split(_END_OF_FRAME)
        self._unread = frames.pop()
        for frame in frames:
            self._take(frame)
        if len(self._unread) > FRAME_LIMIT:
            self.abort(f"{FRAME_LIMIT} bytes without the end of a message; check host and port")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is kept for the next connection: what was asked of this one fails here."""
        self.closed = True
        reason = self._ending or AmiUnavailable(
            f"AMI {self._account.address}: connection closed by Asterisk" + (f": {exc}" if exc else "")
        )
        for request in self.responses.values():
            request.fail(AmiUnavailable(f"{reason}; {request.name} had no answer yet and is not sent again"))
        self.responses.clear()
        self._unsent.clear()
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self.greeted.done():
            self.greeted.set_exception(reason)

    def _send_unsent(self) -> None:
        while self._unsent and self._writable:
            requests = [self._unsent.popleft() for _ in range(min(TOGETHER, len(self._unsent)))]
            actions = [request.encoded for request in requests if not request.future.done()]
            self.transport.write(b"".join(actions))

    def _end(self, reason: str) -> None:
        self._ending = self._ending or AmiUnavailable(f"AMI {self._account.address}: {reason}")

    def _take(self, frame: bytes) -> None:
        first, _, others = frame.partition(_END_OF_LINE)
        if first.startswith(b"Event: ") and first[7:] not in self._wanted and b"ActionID: " not in others:
            return
        message: AmiMessage | None = AmiMessage.from_line(frame.decode("utf-8", "replace"))
        if message is None:
            return
        if action_id := message.text("actionid"):
            # an answer that nobody waits for any more is no event either
            if (request := self.responses.get(action_id)) is not None:
                self.answered_at = self._now()
                request.add_message(message)
        elif message.event:
            self._on_event(message)


def _line(name: str, value: str | int) -> str:
    if _HEADER_NAME.fullmatch(name) is None:
        raise AmiHeaderError(f"AMI header name {name!r}: only letters, digits, _ and - can be sent")
    line = f"{name}: {value}"
    if _UNSENDABLE.search(line) is not None:
        raise AmiHeaderError(f"AMI header {name}: line break or other unsendable character in {line[:80]!r}")
    size = len(line.encode())
    if size + len(_END_OF_LINE) > LINE_LIMIT:
        raise AmiHeaderError(
            f"AMI header {name}: {size} bytes; Asterisk discards a line above "
            f"{LINE_LIMIT - len(_END_OF_LINE)}"
        )
    return line
