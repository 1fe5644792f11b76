"""One AMI connection, from the first byte to the last.

panoramisk 1.4 parses messages and numbers actions, both in `requests.py`; no other module
knows it. What it does with a connection beyond that is replaced here, because it sends unanswered actions
again after a reconnect, waits for answers for ever, loses characters that two reads share, lets a line break
in a value start a second action, and drops the connection when a callback fails. Connecting, logging in and
staying connected is `client.py`'s business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from panoramisk.ami_protocol import AMIProtocol

from session_timer_companion.ami.errors import AmiError, AmiUnavailable
from session_timer_companion.ami.requests import PART, AmiMessage, Asked, Outcome

if TYPE_CHECKING:
    from session_timer_companion.ami.account import AmiAccount

FRAME_LIMIT = 4 * 1024 * 1024
"""Bytes without an empty line after which the other end cannot be taken for AMI."""

TOGETHER = 64
"""Actions that one write carries at most: a write costs more than the rest of an action."""

_GREETING = b"Asterisk Call Manager/"
_END_OF_LINE = b"\r\n"
_END_OF_FRAME = b"\r\n\r\n"
_EVENT = b"Event: "
_ACTION_ID = b"\r\nActionID: "


class Wire(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
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
        self._unsent: deque[Asked[Any]] = deque()
        self._ending: AmiError | None = None

    def submit(self, requests: Iterable[Asked[Any]]) -> None:
        """Send, in this order. Raises AmiUnavailable if the connection is ending."""
        if self._ending is not None or self.closed:
            raise AmiUnavailable(f"not connected: {self._ending or self.lost.result()}")
        for request in requests:
            self.responses[request.number] = request
            request.start_deadline(self)
            self._unsent.append(request)
        self._send_unsent()

    def moves_before(self, request: Asked[Any]) -> bool:
        """Whether answers come in to something that was asked before this."""
        first = next(iter(self.responses.values()), request)
        return first is not request and self._now() - self.answered_at < request.timeout

    def first_channel(self) -> str:
        """The channel that Asterisk is at; empty if none."""
        first: Asked[Any] | None = next(iter(self.responses.values()), None)
        return first.channel if first is not None else ""

    def release(self, request: Asked[Any]) -> None:
        """Forget a request, answered or not."""
        self.responses.pop(request.number, None)
        request.release()

    async def ask(self, request: Asked[Outcome]) -> Outcome:
        """Send one request and wait for what it is to bring: an answer, or a list's last frame."""
        self.submit([request])
        try:
            return await request.future
        finally:
            self.release(request)

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
        _, asked, rest = frame.partition(_ACTION_ID)
        if asked:
            # an answer that nobody waits for any more is no event either
            number, _, part = rest.partition(_END_OF_LINE)[0].partition(PART)
            if (request := self.responses.get(number)) is not None:
                self.answered_at = self._now()
                request.take(frame, part)
            return
        first, _, _ = frame.partition(_END_OF_LINE)
        if first.startswith(_EVENT) and first.removeprefix(_EVENT) not in self._wanted:
            return
        message = AmiMessage.parsed(frame)
        if message is not None and message.event:
            self._on_event(message)
