"""The command line: run the companion, check what it needs, look at what it does."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from session_timer import ConfigError

from session_timer_companion import __version__
from session_timer_companion.printable import printable

# What one command alone needs, such as the HTTP server, is imported where it is used: a command that a person
# types should answer at once.
if TYPE_CHECKING:
    from session_timer_companion.api import ActionReport
    from session_timer_companion.config import Configuration
    from session_timer_companion.doctor.finding import Finding
    from session_timer_companion.http.client import Client

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
url_option = click.option(
    "--url",
    envvar="SESSION_TIMER_URL",
    help="Where the companion answers, if not where the configuration says: http://127.0.0.1:8080",
)
token_option = click.option(
    "--token-file",
    "token_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SESSION_TIMER_TOKEN_FILE",
    help="A file whose first line is the companion's token, if not the one of the configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command that asks the running companion: where it is, and the token that it wants."""

    @functools.wraps(command)
    def with_client(
        *args: object, config: Path, url: str | None, token_file: Path | None, **words: object
    ) -> None:
        from session_timer_companion.http.client import ClientError  # noqa: PLC0415

        try:
            command(_client(config, url, token_file), *args, **words)
        except ClientError as error:
            click.echo(f"session-timer: {error}", err=True)
            sys.exit(1)

    return config_option(url_option(token_option(with_client)))


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


@main.command()
@config_option
def run(config: Path) -> None:
    """Run the companion in the foreground, until SIGTERM; SIGHUP reads the configuration again."""
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
    """Say whether the configuration can be used, and everything that is wrong with it."""
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
    type=click.FloatRange(0.5, 600),
    default=2.5,
    show_default=True,
    help="Seconds to watch events.",
)
@click.option("--quiet", "-q", is_flag=True, help="Only what would not work.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def doctor(config: Path, endpoints: Sequence[str], listen: float, *, quiet: bool, as_json: bool) -> None:
    """Look at Asterisk, edge and companion: what would not work, why, and the line to change.

    Touches no call. Exit status 0: all well; 1: something would not work.
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


@main.command()
@asks
@json_option
def sessions(client: Client, *, as_json: bool) -> None:
    """The tracked calls, most urgent first."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.sessions()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if found:
        tables.terminal(tables.WIDE).print(tables.sessions_table(found))
    click.echo(f"{len(found)} call{'s' * (len(found) != 1)} tracked")


@main.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
@json_option
def show(client: Client, call_id: str, *, as_json: bool) -> None:
    """All that is known of one call."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.session(call_id)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        tables.terminal().print(tables.session_table(each))


@main.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
@json_option
def log(client: Client, call_id: str, *, as_json: bool) -> None:
    """What happened to one call, also for a while after it ended."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.log(call_id)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        tables.terminal(tables.WIDE).print(tables.history_table(each))


@main.command()
@click.argument("call_id", metavar="[CALL-ID]", required=False)
@click.option("--peer", help="Refresh every call of this profile instead, one after the other.")
@click.option(
    "--rate",
    type=click.FloatRange(0.01, 50),
    default=1.0,
    show_default=True,
    help="With --peer: refreshes a second.",
)
@asks
@json_option
def refresh(client: Client, call_id: str | None, peer: str | None, rate: float, *, as_json: bool) -> None:
    """Refresh one call now, or those of a peer, and wait for what the edge's record says of it.

    Exit status 0: the peer confirmed every one; 1: not. Ctrl-C stops those that have not been sent yet.
    """
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    if (call_id is None) == (peer is None):
        raise click.UsageError("Name a CALL-ID, or a profile with --peer.")
    failed = False
    for report in client.refresh(call_id) if call_id is not None else client.refresh_peer(peer or "", rate):
        failed = failed or report["outcome"] != "confirmed"
        lines = [json.dumps(report)] if as_json else tables.refresh_lines([report], with_call_id=bool(peer))
        click.echo("\n".join(lines))
    sys.exit(failed)


@main.command("make-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def make_key(file: Path) -> None:
    """Make the key that edge and companion share, in FILE (mode 0640). Overwrites nothing."""
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


@main.command()
@asks
def pause(client: Client) -> None:
    """Send nothing and hang nobody up until `resume`. Peers may end calls that nobody refreshes."""
    changed = client.hold("pause")
    click.echo("paused: nothing is sent, nobody is hung up" if changed else "it was paused already")
    _warn_of_the_leader(client)


@main.command()
@click.argument("call_id", metavar="[CALL-ID]", required=False)
@asks
def resume(client: Client, call_id: str | None) -> None:
    """Go on after `pause`, and release the brake; with a Call-ID: take the exclusion of that call back."""
    if call_id is not None:
        _done(client.act(call_id, "resume"), "goes on")
    click.echo("it goes on" if client.hold("resume") else "nothing was held back")


@main.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
def exclude(client: Client, call_id: str) -> None:
    """Do nothing for one call: no refresh, no hang-up, until `resume CALL-ID` or a restart."""
    reports = client.act(call_id, "exclude")
    _warn_of_the_leader(client)
    _done(reports, "excluded")


@main.command()
@click.argument("call_id", metavar="CALL-ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks
def hangup(client: Client, call_id: str, *, yes: bool) -> None:
    """Hang one call up, because you say so. Its CDR says that an operator did."""
    for each in client.session(call_id):
        click.echo(f"{printable(each['channel'])}  {printable(each['numbers'])}".rstrip())
    if not yes:
        click.confirm("Hang up?", abort=True)
    _done(client.act(call_id, "hangup"), "hung up")


@main.command()
@asks
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds between pictures.",
)
@click.option("--once", is_flag=True, help="One picture, then leave.")
def watch(client: Client, interval: float, *, once: bool) -> None:
    """Follow the calls on the whole screen, with a bar for the time left to each one's next step."""
    from session_timer_companion.terminal import live_view, tables  # noqa: PLC0415

    console = tables.terminal()
    if once:
        snapshot = live_view.look(client)
        console.print(live_view.picture(snapshot, height=10**6, width=console.width))
        sys.exit(bool(snapshot.trouble))
    live_view.run(client, console, interval)


@main.command(
    "explain",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="TRACE")
def explain(arguments: Sequence[str]) -> None:
    """Who broke the session timer of a call in a capture, why, and the line to change."""
    from session_timer_companion.explain.command import command  # noqa: PLC0415

    command.main(list(arguments), prog_name="session-timer explain")


def _warn_of_the_leader(client: Client) -> None:
    """What is held back here is not held back at the companion that leads."""
    for name, role in client.readiness()["role"].items():
        if role != "leading":
            told = f"another companion leads for Asterisk {printable(name)} and goes on: tell that one too"
            click.echo(f"session-timer: {told}", err=True)


def _done(reports: Sequence[ActionReport], what: str) -> NoReturn:
    """Say what came of it for each call; exit status 0 if it was done for all."""
    for report in reports:
        click.echo(
            f"{printable(report['channel'])}: {what if report['done'] else printable(report['reason'])}"
        )
    sys.exit(not all(report["done"] for report in reports))


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


def _client(config: Path, url: str | None, token_file: Path | None) -> Client:
    from session_timer_companion.http.client import Client, address  # noqa: PLC0415
    from session_timer_companion.http.settings import http_settings, token_of  # noqa: PLC0415

    given = None
    try:
        if token_file is not None:
            given = token_of(token_file)
        if url is not None:
            return Client(url, token=given)
        settings, token = http_settings(config)
        return Client(address(settings), token=given or token)
    except ConfigError as error:
        click.echo(str(error), err=True)
        click.echo("or name the companion with --url http://127.0.0.1:8080", err=True)
    except ValueError as error:
        click.echo(f"session-timer: {error}", err=True)
    sys.exit(1)
