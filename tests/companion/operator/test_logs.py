"""Log lines: whatever a peer calls its call, one line stays one line and steers no terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from session_timer_companion import logs

HOSTILE = 'x\x1b[2J\x9b31m\r\u2028 ="y"'


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield io.StringIO()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_call_id_steers_no_terminal(written: io.StringIO, form: Literal["logfmt", "json"]) -> None:
    logs.configure(form, "info", written)
    structlog.get_logger().info("ours", call_id=HOSTILE)
    logging.getLogger("another").error("theirs: %s", HOSTILE)
    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    if form == "json":
        assert json.loads(lines[0])["call_id"] == HOSTILE
