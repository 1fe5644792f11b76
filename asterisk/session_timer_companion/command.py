"""The command line: `session-timer run`, `session-timer check-config`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from session_timer import ConfigError

from session_timer_companion import __version__, daemon, logs
from session_timer_companion.configuration import Configuration, load

DEFAULT_CONFIG = Path("/etc/session-timer/session-timer.yaml")

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="SESSION_TIMER_CONFIG",
    help="The YAML file that edge and companion share.",
)


def read_or_exit(config: Path) -> Configuration:
    """The configuration, or every problem of it on standard error and exit status 1."""
    try:
        return load(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="session-timer")
def main() -> None:
    """Session timers (RFC 4028) for the calls that Asterisk anchors."""


@main.command()
@config_option
def run(config: Path) -> None:
    """Run the companion in the foreground, until SIGTERM; SIGHUP reads the configuration again."""
    configuration = read_or_exit(config)
    log = configuration.settings.log
    logs.configure(log.format, log.level)
    try:
        asyncio.run(daemon.run(configuration, lambda: load(config)))
    except daemon.StartError as error:
        click.echo(f"session-timer: {error}", err=True)
        sys.exit(1)


@main.command("check-config")
@config_option
def check_config(config: Path) -> None:
    """Say whether the configuration can be used, and everything that is wrong with it."""
    configuration = read_or_exit(config)
    peers = len(configuration.shared.peers)
    click.echo(
        f"{config}: valid: {peers} peer profile{'s' * (peers != 1)}, "
        + ", ".join(f"Asterisk {account.address}" for account in configuration.accounts)
    )
