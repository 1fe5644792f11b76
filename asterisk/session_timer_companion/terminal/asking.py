"""The commands that ask the running companion, and those that tell it to act.

Each finds it by the configuration, or at `--url`. What one of them alone needs is imported where it is used:
a command that a person types should answer at once.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource
from session_timer import ConfigError

from session_timer_companion.printable import printable

if TYPE_CHECKING:
    from session_timer_companion.api import ActionReport
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


class Between(click.FloatRange):
    """A number from `min` to `max`; of click's own `nan` is one, and no clock can wait for that."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises `click.BadParameter` for everything else."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self.min}<=x<={self.max}.", param, ctx)
        return number


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


@click.command()
@asks
@json_option
def sessions(client: Client, *, as_json: bool) -> None:
    """Show the tracked calls, the most urgent first."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.sessions()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if found:
        tables.terminal(tables.WIDE).print(tables.sessions_table(found))
    click.echo(f"{len(found)} call{'s' * (len(found) != 1)} tracked")


@click.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
@json_option
def show(client: Client, call_id: str, *, as_json: bool) -> None:
    """Show all that is known of one call."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.session(call_id)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        tables.terminal().print(tables.session_table(each))


@click.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
@json_option
def log(client: Client, call_id: str, *, as_json: bool) -> None:
    """Show what happened to one call, also after it ended."""
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    found = client.log(call_id)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        tables.terminal(tables.WIDE).print(tables.history_table(each))


@click.command()
@click.argument("call_id", metavar="[CALL-ID]", required=False)
@click.option("--peer", help="Refresh every call of this profile instead, one after the other.")
@click.option(
    "--rate",
    type=Between(0.01, 50),
    default=1.0,
    show_default=True,
    help="With --peer: refreshes a second.",
)
@asks
@json_option
def refresh(client: Client, call_id: str | None, peer: str | None, rate: float, *, as_json: bool) -> None:
    """Refresh one call now, or those of a peer, and wait.

    Says what the edge's record shows of each.

    Exit status 0: the peer confirmed every one; 1: not. Ctrl-C stops those that have not been sent yet.
    """
    from session_timer_companion.terminal import tables  # noqa: PLC0415

    if (call_id is None) == (peer is None):
        raise click.UsageError("Name either a CALL-ID or, with --peer, a profile.")
    if peer is None and _is_given("rate"):
        raise click.UsageError("--rate is for the calls of a --peer: a single call is refreshed at once.")
    failed = False
    for report in client.refresh(call_id) if call_id is not None else client.refresh_peer(peer or "", rate):
        failed = failed or report["outcome"] != "confirmed"
        lines = [json.dumps(report)] if as_json else tables.refresh_lines([report], with_call_id=bool(peer))
        click.echo("\n".join(lines))
    sys.exit(failed)


@click.command()
@asks
def pause(client: Client) -> None:
    """Send nothing and hang nobody up, until `resume`.

    Peers may end calls that nobody refreshes.
    """
    changed = client.hold("pause")
    click.echo("paused: nothing is sent, nobody is hung up" if changed else "it was paused already")
    _warn_of_the_leader(client)


@click.command()
@click.argument("call_id", metavar="[CALL-ID]", required=False)
@asks
def resume(client: Client, call_id: str | None) -> None:
    """Go on after `pause`, or after `exclude` of this call.

    Without a Call-ID it releases the brake too.
    """
    if call_id is not None:
        _done(client.act(call_id, "resume"), "goes on")
    click.echo("it goes on" if client.hold("resume") else "nothing was held back")


@click.command()
@click.argument("call_id", metavar="CALL-ID")
@asks
def exclude(client: Client, call_id: str) -> None:
    """Do nothing for one call: no refresh, no hang-up.

    Until `resume CALL-ID` or a restart of the companion.
    """
    reports = client.act(call_id, "exclude")
    _warn_of_the_leader(client)
    _done(reports, "excluded")


@click.command()
@click.argument("call_id", metavar="CALL-ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks
def hangup(client: Client, call_id: str, *, yes: bool) -> None:
    """Hang one call up, because you say so.

    Its CDR says that an operator did.
    """
    for each in client.session(call_id):
        click.echo(f"{printable(each['channel'])}  {printable(each['numbers'])}".rstrip())
    if not yes:
        click.confirm("Hang up?", abort=True)
    _done(client.act(call_id, "hangup"), "hung up")


@click.command()
@asks
@click.option(
    "--interval",
    type=Between(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds between pictures.",
)
@click.option("--once", is_flag=True, help="One picture, then leave.")
def watch(client: Client, interval: float, *, once: bool) -> None:
    """Follow the calls on the whole screen.

    A bar shows the time that is left to each call's next step.
    """
    from session_timer_companion.terminal import live_view, tables  # noqa: PLC0415

    console = tables.terminal()
    if once:
        snapshot = live_view.look(client)
        console.print(live_view.picture(snapshot, height=10**6, width=console.width))
        sys.exit(bool(snapshot.trouble))
    live_view.run(client, console, interval)


def _is_given(option: str) -> bool:
    """Whether a person asked for it, and it is not the default."""
    source = click.get_current_context().get_parameter_source(option)
    return source not in (None, ParameterSource.DEFAULT)


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


COMMANDS = (sessions, show, log, refresh, pause, resume, exclude, hangup, watch)
