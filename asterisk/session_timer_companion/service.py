"""The process: signals, reload, HTTP, systemd, stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import socket
from collections.abc import Callable
from typing import Any

import structlog
from session_timer import ConfigError

from session_timer_companion import systemd
from session_timer_companion.companion import Companion, StartError
from session_timer_companion.config import Configuration
from session_timer_companion.http.sockets import HttpError, listening

PATIENCE = 1.0
"""Seconds after which HTTP is served, and systemd told `ready`, although not every call is tracked."""

TELL_EVERY = 5.0
"""Seconds between two words to systemd, where its watchdog wants no more."""


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
        starting, stopping = asyncio.create_task(companion.connect()), asyncio.create_task(stop.wait())
        tasks: list[asyncio.Task[Any]] = [starting, stopping]
        stack.push_async_callback(_cancel, tasks)
        # Before the logins: one Asterisk may keep them waiting, and the calls of the others go on changing.
        tasks.append(asyncio.create_task(companion.changes.run()))
        if doors:
            tasks.append(asyncio.create_task(_serve(companion, doors)))
        # An Asterisk that cannot be reached holds a start up for seconds; a stop does not wait for it.
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await companion.wait_until_ready(PATIENCE)
            await _notify(f"READY=1\nSTATUS={companion.standing()}")
            tasks.append(asyncio.create_task(_tell_systemd(companion)))
            log.info("started", asterisks=len(companion.trackers))
            await stopping
        systemd.notify("STOPPING=1")
        log.info("stopping: calls go on, and are found again at the next start")


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(companion: Companion, doors: list[socket.socket]) -> None:
    """Serve HTTP, once every call is tracked or one of the Asterisks keeps us waiting."""
    await companion.wait_until_ready(PATIENCE)
    try:
        # In a thread: nobody's turn is late for it.
        http = await asyncio.to_thread(importlib.import_module, "session_timer_companion.http.server")
        async with http.serve(companion, doors):
            await asyncio.Event().wait()
    except Exception:  # noqa: BLE001  # calls are kept all the same
        structlog.get_logger(__name__).exception("HTTP is not served")


async def _notify(state: str) -> None:
    """In a thread: a systemd that is busy with itself may not read for seconds, and keeps no call waiting."""
    await asyncio.to_thread(systemd.notify, state)


async def _tell_systemd(companion: Companion) -> None:
    """Say how we stand, and feed systemd's watchdog while the event loop turns and Asterisk answers."""
    interval = systemd.watchdog_interval()
    pause = TELL_EVERY if interval is None else min(TELL_EVERY, interval / 3)
    while True:
        fed = "WATCHDOG=1\n" if companion.alive() else ""
        await _notify(f"{fed}STATUS={companion.standing()}")
        await asyncio.sleep(pause)
