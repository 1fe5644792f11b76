"""The process: start, signals, reload, stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import socket
from collections.abc import Callable

import structlog
from session_timer import ConfigError

from session_timer_companion import systemd
from session_timer_companion.ami import AmiLoginError, AmiUnavailable
from session_timer_companion.changes import ChangesReader
from session_timer_companion.clocks import Clocks
from session_timer_companion.configuration import Configuration
from session_timer_companion.edges import Edges
from session_timer_companion.http_doors import HttpError, listening
from session_timer_companion.keeper import Keeper
from session_timer_companion.measures import Measures

PATIENCE = 1.0
"""Seconds after which HTTP is served although not every call is under watch yet."""


class StartError(Exception):
    """The companion cannot start as it is configured: the reason, for a person."""


class Companion:
    """All the parts of one running companion."""

    def __init__(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self.configuration = configuration
        self.measures = Measures()
        self.clocks = Clocks()
        self.edges = Edges(configuration.shared.edge.rpc, settings.rpc_timeout)
        self.keepers = [
            Keeper(
                account,
                config=configuration.shared,
                alone=server.alone,
                edges=self.edges,
                clocks=self.clocks,
                measures=self.measures,
            )
            for account, server in zip(configuration.accounts, settings.ami, strict=True)
        ]
        self.changes = ChangesReader(
            self.edges, self.clocks, lambda: self.keepers, self.measures, settings.poll_interval
        )

    @property
    def ready(self) -> bool:
        return all(keeper.ready for keeper in self.keepers)

    async def connect(self) -> None:
        """Log in to every Asterisk; one that is away is tried again for ever, a refused login is an error.

        Raises `StartError`.
        """
        # Clocks first: without them a record that is found at the start tells no age.
        await asyncio.gather(*[self.changes.read(edge) for edge in self.edges.all()])
        for keeper in self.keepers:
            try:
                await keeper.ami.connect()
            except AmiLoginError as error:
                raise StartError(str(error)) from None
            except AmiUnavailable:
                keeper.ami.start()

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait until every call of every Asterisk is under watch, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for keeper in self.keepers:
                    await keeper.in_step.wait()

    def reload(self, configuration: Configuration) -> None:
        """Hold calls that come from now on to new profiles; running timers go on as they are."""
        self.configuration = configuration
        for keeper in self.keepers:
            keeper.config = configuration.shared

    def alive(self) -> bool:
        """Whether each connection that is up has heard from its Asterisk lately."""
        now = asyncio.get_running_loop().time()
        for keeper in self.keepers:
            account = keeper.ami.account
            answered = keeper.ami.answered_at
            if answered is not None and now - answered > 2 * (account.ping_interval + account.ping_timeout):
                return False
        return True

    async def aclose(self) -> None:
        await self.changes.aclose()
        for keeper in self.keepers:
            await keeper.aclose()
        self.edges.close()


async def run(configuration: Configuration, read_again: Callable[[], Configuration]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the configuration again. Raises `StartError`."""
    log = structlog.get_logger(__name__)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    companion = Companion(configuration)

    def reload() -> None:
        try:
            companion.reload(read_again())
        except ConfigError as error:
            for line in str(error).splitlines():
                log.error("configuration not reloaded", reason=line)  # noqa: TRY400  # for the operator
        else:
            log.info("configuration reloaded")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(companion.aclose)
        http = configuration.settings.http
        try:
            doors = stack.enter_context(listening(http.host, http.port)) if http.enabled else []
        except HttpError as error:
            raise StartError(str(error)) from None
        tasks = [asyncio.create_task(_serve(companion, doors))] if doors else []
        stack.push_async_callback(_cancel, tasks)
        await companion.connect()
        tasks += [asyncio.create_task(companion.changes.run()), asyncio.create_task(_tell_systemd(companion))]
        systemd.notify("READY=1")
        log.info("started", asterisks=len(companion.keepers))
        await stop.wait()
        systemd.notify("STOPPING=1")
        log.info("stopping: calls go on, and are found again at the next start")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(companion: Companion, doors: list[socket.socket]) -> None:
    """Serve HTTP, once every call is under watch or one of the Asterisks keeps us waiting."""
    await companion.wait_until_ready(PATIENCE)
    try:
        # In a thread: nobody's turn is late for it.
        http = await asyncio.to_thread(importlib.import_module, "session_timer_companion.http")
        async with http.serve(companion, doors):
            await asyncio.Event().wait()
    except Exception:  # noqa: BLE001  # calls are kept all the same
        structlog.get_logger(__name__).exception("HTTP is not served")


async def _tell_systemd(companion: Companion) -> None:
    """Feed systemd's watchdog while the event loop turns and Asterisk answers."""
    interval = systemd.watchdog_interval()
    if interval is None:
        return
    while True:
        if companion.alive():
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval / 3)
