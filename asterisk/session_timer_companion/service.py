"""The process: signals, reload, HTTP, systemd (sd_notify(3)), stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import structlog
from session_timer import ConfigError

from session_timer_companion.companion import Companion, StartError
from session_timer_companion.config import Configuration
from session_timer_companion.http.sockets import HttpError, listening

HTTP_WAITS = 1.0
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
                log.error("reload_refused", reason=line)  # noqa: TRY400  # for the operator
        else:
            log.info("reloaded")

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
            await companion.wait_until_ready(HTTP_WAITS)
            await _notify(f"READY=1\nSTATUS={companion.standing()}")
            tasks.append(asyncio.create_task(_tell_systemd(companion)))
            log.info("started", asterisks=len(companion.trackers))
            await stopping
        _sd_notify("STOPPING=1")
        log.info("stopping")


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(companion: Companion, doors: list[socket.socket]) -> None:
    """Serve HTTP, once every call is tracked or one of the Asterisks keeps us waiting."""
    await companion.wait_until_ready(HTTP_WAITS)
    try:
        # In a thread: nobody's turn is late for it.
        http = await asyncio.to_thread(importlib.import_module, "session_timer_companion.http.server")
        async with http.serve(companion, doors):
            await asyncio.Event().wait()
    except Exception:  # noqa: BLE001  # calls are kept all the same
        companion.metrics.faults.inc()
        structlog.get_logger(__name__).exception("http_not_served")


async def _notify(state: str) -> None:
    """In a thread: a systemd that is busy with itself may not read for seconds, and keeps no call waiting."""
    await asyncio.to_thread(_sd_notify, state)


async def _tell_systemd(companion: Companion) -> None:
    """Say how we stand, and feed systemd's watchdog while the event loop turns and Asterisk answers."""
    interval = _watchdog_interval()
    pause = TELL_EVERY if interval is None else min(TELL_EVERY, interval / 3)
    while True:
        fed = "WATCHDOG=1\n" if companion.alive() else ""
        await _notify(f"{fed}STATUS={companion.standing()}")
        await asyncio.sleep(pause)


def _sd_notify(state: str) -> bool:
    """Send `state`, such as ``READY=1``; False where nobody listens (no `Type=notify`)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
            door.connect(address)
            door.sendall(state.encode())
    except OSError:
        return False
    return True


def _watchdog_interval() -> float | None:
    """Seconds within which systemd wants to hear of us; None without `WatchdogSec=`."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return microseconds / 1_000_000
