"""The companion's way to one Asterisk: log in, stay connected, ask, and hear of the events that matter.

    ami = Ami(account, events={"Hangup"}, on_event=note, on_up=resync, on_down=warn)
    await ami.connect()                       # or ami.start(): keep trying in the background
    answer = await ami.action("Setvar", Channel=name, Variable="…", Value="…")
    await ami.aclose()

Everything runs on one event loop. Callbacks are plain functions and must return at once: Asterisk drops a
client that does not read for a tenth of a second (`writetimeout`). What was missed while away is not made up
for, by Asterisk or here: `on_up` is the moment to read the state anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from session_timer_companion.ami.account import AmiAccount, Backoff, TlsSettings
from session_timer_companion.ami.connection import Wire
from session_timer_companion.ami.errors import (
    AmiAccountError,
    AmiError,
    AmiHeaderError,
    AmiLoginError,
    AmiRefused,
    AmiTimeout,
    AmiUnavailable,
)
from session_timer_companion.ami.login import log_in
from session_timer_companion.ami.requests import (
    AmiEntry,
    AmiMessage,
    Header,
    Listing,
    Question,
    Readings,
    Request,
)

__all__ = [
    "Ami",
    "AmiAccount",
    "AmiAccountError",
    "AmiEntry",
    "AmiError",
    "AmiHeaderError",
    "AmiLoginError",
    "AmiMessage",
    "AmiRefused",
    "AmiTimeout",
    "AmiUnavailable",
    "Backoff",
    "TlsSettings",
]

_log = logging.getLogger(__name__)


class Ami:
    """A connection to one Asterisk that comes back by itself until it is closed.

    events    names of the events that `on_event` gets; all others are passed over
    on_up     called after each login, before the first event of that connection
    on_down   called with the reason when an established connection is gone
    on_fault  called with what a callback raised; the connection does not notice
    classes   event classes asked for at login, comma separated (`manager.conf`: read=)
    backoff   how long to wait between attempts to connect
    draw      random numbers in [0, 1), for the jitter of the back-off
    sleep     waits that many seconds between attempts

    Raises TypeError for a coroutine function, which nobody would wait for and whose failure nobody would see.
    """

    def __init__(  # noqa: PLR0913  # all but the account by name and optional
        self,
        account: AmiAccount,
        *,
        events: Iterable[str] = (),
        on_event: Callable[[AmiMessage], None] | None = None,
        on_up: Callable[[], None] | None = None,
        on_down: Callable[[AmiError], None] | None = None,
        on_fault: Callable[[Exception], None] | None = None,
        event_classes: str = "call",
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        for callback in (on_event, on_up, on_down):
            if inspect.iscoroutinefunction(callback):
                raise TypeError(f"AMI {account.name}: {callback.__qualname__} must be a plain function")
        self.account = account
        self.backoff = backoff
        self.last_error: AmiError | None = None
        """Why there is no connection, or why the last one ended. None before anything went wrong."""
        self._events = frozenset(events) if on_event is not None else frozenset()
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._on_fault = on_fault
        self._event_classes = event_classes
        self._draw = draw
        self._sleep = sleep
        self._tls = account.tls.context() if account.tls is not None else None
        self._wire: Wire | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._closed = False
        self._failures_seen: set[type[Exception]] = set()

    @property
    def up(self) -> bool:
        """Connected and logged in."""
        return self._wire is not None and not self._wire.lost.done()

    @property
    def answered_at(self) -> float | None:
        """When Asterisk last answered anything, in seconds of the event loop's clock; None while not up."""
        return self._wire.answered_at if self._wire is not None else None

    async def connect(self) -> None:
        """Connect and log in, in one attempt; from then on stay connected. Nothing to do after `start`.

        Raises AmiUnavailable or AmiLoginError, and then nothing is left running.
        """
        self._refuse_if_closed()
        if self._supervision is None:
            await self._open()
            self.start()

    def start(self) -> None:
        """Connect in the background, for as long as it takes, and stay connected."""
        self._refuse_if_closed()
        if self._supervision is None:
            self._supervision = asyncio.create_task(self._stay_up(), name=f"ami {self.account.name}")

    def reconnect(self, reason: str) -> None:
        """Give this connection up and make another, after the usual back-off. Nothing to do while not up."""
        if self._wire is not None:
            self._wire.abort(reason)

    async def aclose(self) -> None:
        """Close for good. Actions under way fail with AmiUnavailable; no callback comes after this."""
        self._closed = True
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    async def action(self, name: str, /, *, timeout: float | None = None, **headers: Header) -> AmiMessage:
        """Send one action and return Asterisk's answer, which may be an error (`answer.ok`, `answer.reason`).

        Raises AmiHeaderError (nothing was sent), AmiUnavailable, AmiTimeout after `timeout` seconds. After
        the last two the action may have been carried out or not; it is never sent twice.
        """
        return await self._connected().ask(Request(name, headers, timeout=self._seconds(timeout)))

    async def pipelined(
        self, actions: Iterable[tuple[str, Mapping[str, Header]]], *, timeout: float | None = None
    ) -> list[AmiMessage]:
        """Send several actions in this order without waiting in between; the answers, in the same order.

        If one of them cannot be sent none is. Raises as `action` does, by the first that went without answer.
        """
        wire = self._connected()
        seconds = self._seconds(timeout)
        requests = [Request(name, headers, timeout=seconds) for name, headers in actions]
        try:
            wire.submit(requests)
            return [await request.future for request in requests]
        finally:
            for request in requests:
                wire.release(request)

    async def values(
        self, questions: Sequence[Question], *, timeout: float | None = None
    ) -> list[tuple[str, ...]]:
        """Read many channels' variables or functions; what cannot be read, as of a channel gone, is empty.

        The values of each question, in order. `timeout` is for the next answer, not for all of them. Raises
        as `action` does.
        """
        wire = self._connected()
        return await wire.ask(Readings(questions, timeout=self._seconds(timeout)))

    async def stream(
        self,
        name: str,
        on_entry: Callable[[AmiEntry], None],
        /,
        *,
        timeout: float | None = None,
        **headers: Header,
    ) -> AmiEntry:
        """Send a list action, hand over each entry as it comes, return the frame that ends the list.

        For lists of any length: no entry is kept. `timeout` is for the next entry, not for the whole list.
        Raises as `action` does, AmiRefused if Asterisk says no, and whatever `on_entry` raises.
        """
        return await self._connected().ask(Listing(name, headers, on_entry, timeout=self._seconds(timeout)))

    def _seconds(self, timeout: float | None) -> float:
        return self.account.action_timeout if timeout is None else timeout

    def _connected(self) -> Wire:
        if self._wire is None:
            self._refuse_if_closed()
            unknown = f"AMI {self.account.address}: not connected yet"
            raise AmiUnavailable(f"not connected: {self.last_error}" if self.last_error else unknown)
        return self._wire

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise AmiUnavailable(f"AMI {self.account.address}: closed")

    async def _stay_up(self) -> None:
        """Until cancelled: watch the connection there is, make the next when it is gone."""
        failures = 0
        while True:
            if self._wire is not None:
                if await self._watch(self._wire):
                    failures = 0
                self._went_down(self._wire.lost.result())
            if self.last_error is not None:
                refused = isinstance(self.last_error, AmiLoginError)
                await self._sleep(self.backoff.delay(failures, self._draw(), refused=refused))
            with contextlib.suppress(AmiError):
                await self._open()
            failures += 1

    async def _watch(self, wire: Wire) -> bool:
        """Return when the connection is gone: whether it had proved itself by answering a Ping."""
        proven = False
        while True:
            await asyncio.wait({wire.lost}, timeout=self.account.ping_interval)
            if wire.lost.done():
                return proven
            sent = asyncio.get_running_loop().time()
            try:
                await wire.ask(Request("Ping", {}, timeout=self.account.ping_timeout))
                proven = True
            except AmiTimeout as error:
                # behind a long list the pong waits its turn; entries of the list prove as much
                if wire.answered_at < sent:
                    wire.abort(str(error))
            except AmiUnavailable:
                pass

    async def _open(self) -> None:
        """Connect and log in, or raise with `last_error` set."""
        try:
            wire = await self._login()
        except AmiError as error:
            if str(error) != str(self.last_error):
                _log.error("%s", error)
            self.last_error = error
            raise
        self._wire = wire
        _log.info("AMI %s: logged in as %s", self.account.address, self.account.username)
        if self._on_up is not None:
            self._guard(self._on_up)

    async def _login(self) -> Wire:
        wire = await log_in(
            self.account, self._tls, self._event_classes if self._events else "off", self._events, self._heard
        )
        if self._closed:
            wire.abort("closed meanwhile")
            self._refuse_if_closed()
        return wire

    def _went_down(self, error: AmiError) -> None:
        self._wire = None
        self.last_error = error
        _log.warning("%s", error)
        if self._on_down is not None:
            self._guard(self._on_down, error)

    def _heard(self, event: AmiMessage) -> None:
        # before on_up an event tells nothing that the state read in on_up does not contain
        if self._on_event is not None and self._wire is not None:
            self._guard(self._on_event, event)

    def _guard(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001  # a fault in what we call must not cost the connection
            if self._on_fault is not None:
                self._on_fault(error)
            # with its traceback once, not a thousand times a second
            if type(error) not in self._failures_seen:
                self._failures_seen.add(type(error))
                _log.exception("AMI %s: a callback failed; the connection goes on", self.account.address)
