"""Log lines: whatever a peer calls its call, one line stays one line and steers no terminal."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
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


def test_every_event_has_its_sentence() -> None:
    root = Path(logs.__file__).parent
    text = "".join(file.read_text() for file in root.rglob("*.py") if "/ami/" not in str(file))
    named = set(re.findall(r'(?:_log|\blog)(?:\.(?:debug|info|warning|error|exception))?\(\s*"(\w+)"', text))
    named |= set(re.findall(r'\.exception\(\s*"(\w+)"', text))
    named |= set(re.findall(r'_say_once\("(\w+)"', text))
    named |= {"refresh_outlived", "refresh_unknown", "refresh_confirmed", "refresh_seen", "standing_by"}
    assert named == set(logs.SENTENCES)


def test_a_sentence_stands_beside_its_event_and_not_in_its_place(written: io.StringIO) -> None:
    logs.configure("json", "info", written)
    structlog.get_logger("x").info("hung_up", call_id="c")
    line = json.loads(written.getvalue())
    assert (line["event"], line["text"]) == ("hung_up", logs.SENTENCES["hung_up"])


class _StandsStill(io.StringIO):
    """A reader that does not read until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = threading.Event()

    def write(self, text: str) -> int:
        self.reads.wait(20)
        return super().write(text)


def test_a_reader_that_stands_still_stops_nobody_and_what_it_misses_is_counted() -> None:
    out = _StandsStill()
    writer = logs._Apart(out)
    lost = logs.LOST._value.get()
    began = time.monotonic()
    # Its thread has taken some of them, and as many again may wait.
    for number in range(2 * logs.MOST_WAITING + 500):
        writer.write(f"line {number}\n")
    assert time.monotonic() - began < 5
    assert 500 <= logs.LOST._value.get() - lost <= logs.MOST_WAITING + 500
    out.reads.set()
    assert writer._idle.wait(10)
    assert out.getvalue().startswith("line 0\nline 1\n")
    assert out.getvalue().count("\n") >= logs.MOST_WAITING
