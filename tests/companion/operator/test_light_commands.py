"""A command that only asks the running companion loads next to nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import sys
import click
from click.testing import CliRunner
from session_timer_companion.cli import main
done = CliRunner().invoke(main, [{words}, "--config", {config!r}])
assert done.exit_code == 1 and "no companion" in done.output, done.output
from session_timer_companion.terminal import tables
print(*[name for name in sys.modules if name.partition(".")[0] in {packages}])
"""

SETTINGS = "companion: {ami: [{name: a, host: h, secret: s}], http: {port: 1}}"


def loaded(tmp_path: Path, words: str, *packages: str) -> list[str]:
    """The modules of `packages` that a command has loaded when it has asked in vain."""
    config = tmp_path / "session-timer.yaml"
    config.write_text(SETTINGS)
    program = LOADED.format(words=words, config=str(config), packages=packages)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "words", ['"sessions"', '"show", "call-1"', '"refresh", "call-1"', '"log", "call-1"', '"pause"']
)
def test_a_command_loads_at_most_a_dozen_of_our_modules(tmp_path: Path, words: str) -> None:
    found = loaded(tmp_path, words, "session_timer_companion")
    assert len(found) > 5
    assert len(found) <= 12, found


def test_a_command_loads_no_library_that_only_the_daemon_needs(tmp_path: Path) -> None:
    assert not loaded(tmp_path, '"sessions"', "panoramisk", "structlog", "prometheus_client", "aiohttp")
