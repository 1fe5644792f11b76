"""docs/how-to/explain.md and its example are what the command prints and draws."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from session_timer_companion.cli import main
from session_timer_companion.explain.command import command

from tests.docs import explained

PAGE = explained.PAGE.read_text()


def test_the_example_is_its_own_capture() -> None:
    assert (explained.ROOT / explained.TRACE).read_bytes() == explained.capture()


def test_the_generated_parts_of_the_page_are_current() -> None:
    assert explained.page(PAGE, explained.printed(explained.ROOT / explained.TRACE)) == PAGE


def test_the_picture_is_current(tmp_path: Path) -> None:
    CliRunner().invoke(main, ["explain", str(explained.ROOT / explained.TRACE), "--svg", str(tmp_path)])
    (drawn,) = tmp_path.iterdir()
    assert explained.PICTURE.read_text() == drawn.read_text()


def test_the_example_says_what_the_page_says_of_it() -> None:
    shown = explained.printed(explained.ROOT / explained.TRACE)
    assert "198.51.100.10 did not answer a refresh of the call, though it is there." in shown
    assert "in the profile of that peer: use_update: false" in shown


def test_every_option_is_documented() -> None:
    options = {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    assert set(re.findall(r"^\| `(--[a-z]+)", PAGE, re.MULTILINE)) == options


@pytest.mark.parametrize(
    "line",
    re.findall(r"^    (?:explain/bin/)?(session-timer explain .*|python3 -m session.*)$", PAGE, re.MULTILINE),
)
def test_the_pages_commands_can_be_typed(line: str) -> None:
    words = line.split(" > ", maxsplit=1)[0].split()
    arguments = words[words.index("explain") + 1 :]
    with command.make_context("explain", arguments) as context:
        assert context.params["trace"].suffix in (".pcap", ".txt")
