"""What systemd's watchdog and /healthz go by: whether to start the companion anew would help."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from pathlib import Path

import pytest
from session_timer_companion import service
from session_timer_companion.ami.client import AmiAccount

from tests.companion.fakes.virtual_time import in_virtual_time
from tests.companion.fakes.world import Agreement, Side, world


@in_virtual_time
async def test_an_asterisk_that_hangs_or_is_gone_is_no_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.companion is not None and it.companion.standing() == "1 call tracked")
        for away in (False, True):
            it.asterisk.silent = True
            if away:
                await it.asterisk.stop()
            since = it.now
            while it.now < since + 120:
                assert it.companion.alive()
                await asyncio.sleep(1)
            assert it.companion.standing() == "1 call tracked; waiting for Asterisk ast1"
            it.asterisk.silent = False
            if away:
                await it.asterisk.start()
            await it.until(lambda: it.tracker.ready)


@in_virtual_time
async def test_a_connection_that_is_up_and_that_nobody_minds_is_one(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        account = it.tracker.ami.account
        assert isinstance(account, AmiAccount)
        supervision = it.tracker.ami._supervision
        assert supervision is not None
        supervision.cancel()
        it.asterisk.silent = True
        since = it.now
        companion = it.companion
        await it.until(lambda: not companion.alive(), 60)
        assert it.now - since > 2 * (account.ping_interval + account.ping_timeout) - 1


async def test_a_systemd_that_does_not_read_keeps_no_call_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is busy with a reload of its own, and everybody's words fill its socket."""
    address = str(tmp_path / "notify")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as others,
    ):
        systemd.bind(address)
        others.connect(address)
        with contextlib.suppress(BlockingIOError):
            while True:
                others.send(b"STATUS=busy")
        reads_again, heard = threading.Event(), threading.Event()

        def read() -> None:
            reads_again.wait(5)
            while not systemd.recv(100).startswith(b"WATCHDOG=1"):
                pass
            heard.set()

        reader = threading.Thread(target=read)
        reader.start()
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        async with world(tmp_path) as it:
            assert it.companion is not None
            telling = asyncio.create_task(service._tell_systemd(it.companion))
            call = it.call("call-1", Agreement(12, Side.LOCAL))
            await it.until(lambda: it.is_tracked(call))
            assert not heard.is_set()
            reads_again.set()
            await it.until(heard.is_set)
            telling.cancel()
        reader.join()
