"""A full disk or a reader that has gone: lines are lost and counted, and calls are kept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from session_timer_companion import logs
from session_timer_companion.metrics import Metrics

from tests.companion.fakes.world import Agreement, Side, key, world
from tests.companion.operator.test_process import config


class Full(io.StringIO):
    """A disk: full, until somebody makes room."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)


@pytest.fixture
def disk() -> Iterator[Full]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    full = Full()
    logs.configure("logfmt", "info", full)
    yield full
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def lost() -> float:
    counted = Metrics().registry.get_sample_value("session_timer_log_lines_lost_total")
    assert counted is not None
    return counted


def test_what_cannot_be_written_is_counted_and_raises_nothing(disk: Full) -> None:
    before = lost()
    structlog.get_logger().info("ours")
    logging.getLogger("another").error("theirs")
    assert lost() == before + 2
    disk.full = False
    structlog.get_logger().info("there is room again")
    assert "there is room again" in disk.getvalue()
    disk.close()
    structlog.get_logger().info("closed")
    assert lost() == before + 3


@pytest.mark.parametrize("reason", ["full disk", "reader gone"])
async def test_calls_are_kept_while_nothing_can_be_logged(tmp_path: Path, reason: str) -> None:
    if reason == "full disk":
        door = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, door = os.pipe()
        os.close(reading)
    async with world(tmp_path, start=False) as it:
        known = it.call("known", Agreement(4, Side.LOCAL))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "session_timer_companion", "run", "--config", str(config(it))),
            stderr=door,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        os.close(door)
        try:
            await it.until(lambda: it.edge.records[key(known)].refreshes > 0, 20)
            new = it.call("new", Agreement(4, Side.LOCAL))
            await it.until(lambda: it.edge.records[key(new)].refreshes > 0, 20)
            assert process.returncode is None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
