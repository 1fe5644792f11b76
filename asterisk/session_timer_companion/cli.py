"""The command line: run the companion, check what it needs; `terminal.asking` has what asks a running one."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from session_timer import ConfigError

from session_timer_companion import __version__
from session_timer_companion.terminal.asking import COMMANDS, Between, config_option

# What one command alone needs, such as the HTTP server, is imported where it is used: a command that a person
# types should answer at once.
if TYPE_CHECKING:
    from session_timer_companion.config import Configuration
    from session_timer_companion.doctor.finding import Finding

BROKEN = 78
"""Exit status where a start would fail again and again (EX_CONFIG): systemd does not try it for ever."""


def read_or_exit(config: Path, status: int = 1) -> Configuration:
    """The configuration, or every problem of it on standard error and this exit status."""
    from session_timer_companion.config import load  # noqa: PLC0415

    try:
        return load(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="session-timer")
def main() -> None:
    """Session timers (RFC 4028) for the calls that Asterisk anchors."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal may have no bar, and no letter of a Call-ID: it shows a question mark.
        sys.stdout.reconfigure(errors="replace")


for command in COMMANDS:
    main.add_command(command)


@main.command()
@config_option
def run(config: Path) -> None:
    """Run the companion in the foreground, until SIGTERM.

    SIGHUP reads the configuration again.
    """
    # structlog would import it, for the console of a developer: a fifth of the time that a start takes.
    with _hidden("rich"):
        from session_timer_companion import companion, logs, service  # noqa: PLC0415
        from session_timer_companion.config import load  # noqa: PLC0415

    configuration = read_or_exit(config, BROKEN)
    log = configuration.settings.log
    logs.configure(log.format, log.level)
    for problem in configuration.shared.warnings:
        click.echo(f"{config}: {problem.path}: {problem.reason}", err=True)
    try:
        asyncio.run(service.run(configuration, lambda: load(config)))
    except companion.StartError as error:
        click.echo(f"session-timer: {error}", err=True)
        sys.exit(BROKEN if error.for_good else 1)


@main.command("check-config")
@config_option
def check_config(config: Path) -> None:
    """Say everything that is wrong with the configuration."""
    configuration = read_or_exit(config)
    peers = len(configuration.shared.peers)
    for problem in configuration.shared.warnings:
        click.echo(f"{config}: {problem.path}: {problem.reason}", err=True)
    click.echo(
        f"{config}: valid: {peers} peer profile{'s' * (peers != 1)}, "
        + ", ".join(f"Asterisk {account.address}" for account in configuration.settings.ami)
    )


@main.command()
@config_option
@click.option("--endpoint", "endpoints", multiple=True, help="PJSIP endpoint to look at; may be repeated.")
@click.option(
    "--listen",
    type=Between(0.5, 600),
    default=2.5,
    show_default=True,
    help="Seconds to watch events.",
)
@click.option("--quiet", "-q", is_flag=True, help="Only what would not work.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def doctor(config: Path, endpoints: Sequence[str], listen: float, *, quiet: bool, as_json: bool) -> None:
    """Say what would not work, why, and the line to change.

    Looks at Asterisk, edge and companion, and touches no call.

    Exit status 0: all well; 1: something would not work.
    """
    from session_timer_companion import logs  # noqa: PLC0415
    from session_timer_companion.doctor import examine as doctors  # noqa: PLC0415
    from session_timer_companion.doctor.finding import Level  # noqa: PLC0415
    from session_timer_companion.terminal import findings, tables  # noqa: PLC0415

    configuration = read_or_exit(config)
    # What the connections log is among the findings.
    logs.silence()
    found: list[Finding] = asyncio.run(
        doctors.examine(configuration, config, endpoints=endpoints, listen=listen)
    )
    problems = [finding for finding in found if finding.level is Level.PROBLEM]
    if quiet:
        found = problems
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    elif found:
        tables.terminal().print(findings.findings_text(found), soft_wrap=True)
    sys.exit(bool(problems))


@main.command("make-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def make_key(file: Path) -> None:
    """Make the key that edge and companion share.

    FILE gets the mode 0640. Overwrites nothing.
    """
    from session_timer_companion.secret_files import make_key as make  # noqa: PLC0415

    try:
        make(file)
    except FileExistsError:
        click.echo(f"session-timer: {file}: is there already; a new key would shut the edges out", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"session-timer: {file}: cannot be made: {error.strerror}", err=True)
        sys.exit(1)
    click.echo(
        f"{file}: a new key. Copy it to every edge and every companion, readable by their group only, and "
        "name it as edge.key_file in both configurations"
    )


@main.command(
    "explain",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="TRACE")
def explain(arguments: Sequence[str]) -> None:
    """Say who broke the session timer of a call in a capture."""
    from session_timer_companion.explain.command import command  # noqa: PLC0415

    command.main(list(arguments), prog_name="session-timer explain")


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """As if this package were not installed. One that is in use already stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # so Python has it (importlib, ModuleNotFoundError)
    try:
        yield
    finally:
        del sys.modules[package]
