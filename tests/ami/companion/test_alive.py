"""What systemd's watchdog and /healthz go by: whether to start the companion anew would help."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ami.companion.virtual_time import in_virtual_time
from ami.companion.world import Agreement, Side, world
from session_timer_companion.ami import AmiAccount


@in_virtual_time
async def test_an_asterisk_that_hangs_or_is_gone_is_no_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        it.call("call-1", Agreement(1800, Side.REMOTE))
        await it.until(lambda: it.companion is not None and it.companion.standing() == "1 call under watch")
        for away in (False, True):
            it.asterisk.silent = True
            if away:
                await it.asterisk.stop()
            since = it.now
            while it.now < since + 120:
                assert it.companion.alive()
                await asyncio.sleep(1)
            assert it.companion.standing() == "1 call under watch; waiting for Asterisk ast1"
            it.asterisk.silent = False
            if away:
                await it.asterisk.start()
            await it.until(lambda: it.keeper.ready)


@in_virtual_time
async def test_a_connection_that_is_up_and_that_nobody_minds_is_one(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert it.companion is not None
        account = it.keeper.ami.account
        assert isinstance(account, AmiAccount)
        supervision = it.keeper.ami._supervision
        assert supervision is not None
        supervision.cancel()
        it.asterisk.silent = True
        since = it.now
        companion = it.companion
        await it.until(lambda: not companion.alive(), 60)
        assert it.now - since > 2 * (account.ping_interval + account.ping_timeout) - 1
