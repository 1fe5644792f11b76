"""``session-timer explain``: reads a trace, judges each call when it is over, and tells what it found."""

from __future__ import annotations

import io
import json
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TimeRemainingColumn
from rich.text import Text

from session_timer_companion.explain.anonymous import Pseudonyms, written
from session_timer_companion.explain.drawing.ladder import merge
from session_timer_companion.explain.drawing.svg import svg
from session_timer_companion.explain.gathering.calls import Calls
from session_timer_companion.explain.gathering.legs import Legs
from session_timer_companion.explain.judging import relayed
from session_timer_companion.explain.judging.judge import Settings, judge
from session_timer_companion.explain.judging.verdict import Explained
from session_timer_companion.explain.reading.trace import Notes, Seen, TraceError, read
from session_timer_companion.explain.telling import data, page, report

BIG = 20_000_000
"""Bytes of a file from which on a bar shows how far the reading is."""
FEW = 10
"""Calls without a fault that are shown whole; further ones have one line each."""
_WIDE = 160
_MOST_HELD = 500


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was asked for."""

    call_id: str | None = None
    svg: Path | None = None
    html: Path | None = None
    as_json: bool = False
    every: bool = False
    settings: Settings = field(default_factory=Settings)


@dataclass(slots=True)
class Told:
    """What has been told so far."""

    calls: int = 0
    broken: list[int] = field(default_factory=list)
    """The numbers of the calls in which a rule was broken."""
    whole: int = 0


def explained(
    messages: Iterable[Seen], notes: Notes, settings: Settings, call_id: str | None = None
) -> Iterator[Explained]:
    """Each call of a trace, judged, in the order in which they end. Raises what reading it raises."""
    calls, legs = Calls(notes), Legs()
    waiting = _Waiting()
    for seen in messages:
        legs.add(seen)
        if call_id is not None and seen.message.call_id != call_id:
            continue
        for call in calls.add(seen):
            yield from waiting.add(judge(call, notes, settings), legs, alone=call_id is not None)
    for call in calls.rest():
        yield from waiting.add(judge(call, notes, settings), legs, alone=call_id is not None)
    yield from waiting.rest()


class _Waiting:
    """Keeps a leg until the others of its call are over too, so that they are told together."""

    def __init__(self) -> None:
        self._held: OrderedDict[frozenset[str], list[Explained]] = OrderedDict()

    def add(self, call: Explained, legs: Legs, *, alone: bool) -> Iterator[Explained]:
        """Takes a leg in; gives the calls that are complete."""
        partners = legs.partners(call.call_id)
        call = replace(call, partners=partners)
        if not partners or alone:
            yield call
            return
        group = frozenset((call.call_id, *partners))
        for key in [key for key in self._held if key & group]:
            # The group may have grown since.
            self._held.setdefault(group, [])
            if key != group:
                self._held[group] += self._held.pop(key)
        held = self._held.setdefault(group, [])
        held.append(call)
        if {one.call_id for one in held} >= group:
            yield from _together(self._held.pop(group))
        while len(self._held) > _MOST_HELD:
            yield from _together(self._held.popitem(last=False)[1])

    def rest(self) -> Iterator[Explained]:
        """What is left when the trace ends."""
        for held in self._held.values():
            yield from _together(held)
        self._held.clear()


def _together(legs: list[Explained]) -> list[Explained]:
    """Legs in the order in which they began; the last one draws them all."""
    legs = [relayed.without(one, legs) for one in sorted(legs, key=lambda one: one.begin)]
    *before, last = legs
    if not before:
        return legs
    title = f"All {len(legs)} legs"
    return [
        *before,
        replace(last, draw_legs=lambda: merge(title, [(one.begin, one.ladder()) for one in legs])),
    ]


def run(trace: Path, wishes: Wishes) -> int:
    """The whole command. Returns the exit status: 0 no rule was broken, 1 one was, 2 no call was judged."""
    notes, told = Notes(), Told()
    console = _console()
    try:
        with _page(wishes.html, trace.name, told) as html, _bar(trace, quiet=wishes.as_json) as progress:
            for call in explained(read(trace, notes, progress), notes, wishes.settings, wishes.call_id):
                _tell(call, wishes, told, console, html, notes)
        # Where one Call-ID is looked for, no other call is told: that none was says nothing of the file.
        any_call = bool(told.calls or (wishes.call_id is not None and notes.messages))
        about = tuple(report.about_file(notes, any_call=any_call))
        if wishes.as_json:
            _json_end(about, told)
        else:
            _end(about, told, wishes, console)
    except TraceError as error:
        click.echo(f"session-timer: {error}", err=True)
        return 2
    except BrokenPipeError:
        raise  # whoever reads has seen enough: click ends quietly
    except OSError as error:
        click.echo(f"session-timer: {error.filename}: cannot be written: {error.strerror}", err=True)
        return 2
    if not told.calls:
        if wishes.call_id is not None and notes.messages:
            click.echo(f"session-timer: {trace}: no call in it has the Call-ID {wishes.call_id}", err=True)
        return 2
    return int(bool(told.broken))


def anonymize(trace: Path, target: TextIO) -> int:
    """Writes the trace's SIP as text without numbers, names and addresses. Returns the exit status."""
    names, notes, count = Pseudonyms(), Notes(), 0
    try:
        for seen in read(trace, notes):
            target.write(written(seen, names))
            count += 1
    except TraceError as error:
        click.echo(f"session-timer: {error}", err=True)
        return 2
    for line in report.about_file(notes, any_call=count > 0):
        click.echo(line, err=True)
    return 0 if count else 2


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def _tell(  # noqa: PLR0913, PLR0917 - where to tell it
    call: Explained, wishes: Wishes, told: Told, console: Console, html: TextIO | None, notes: Notes
) -> None:
    told.calls += 1
    if call.broken:
        told.broken.append(told.calls)
    if wishes.svg is not None:
        wishes.svg.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9._@-]", "_", call.call_id)[:80].lstrip(".")
        (wishes.svg / f"{told.calls:04}-{name}.svg").write_text(svg(call.ladder()))
        if call.draw_legs is not None:
            (wishes.svg / f"{told.calls:04}-all-legs.svg").write_text(svg(call.draw_legs()))
    if html is not None:
        html.write(page.section(told.calls, call, timed=notes.timed))
    if wishes.as_json:
        start = "[" if told.calls == 1 else ","
        sys.stdout.write(f"{start}\n{json.dumps(data.call(call, timed=notes.timed), indent=2)}")
        return
    if call.verdicts or wishes.every or wishes.call_id is not None or told.whole < FEW:
        told.whole += 1
        for line in report.lines(told.calls, call, timed=notes.timed):
            _print(console, line)
    else:
        _print(console, report.line(told.calls, call, timed=notes.timed))


def _json_end(about: Iterable[str], told: Told) -> None:
    sys.stdout.write("\n]\n" if told.calls else "[]\n")
    for line in about:
        click.echo(line, err=True)


def _end(about: Iterable[str], told: Told, wishes: Wishes, console: Console) -> None:
    for line in about:
        _print(console, Text(line, "yellow"))
    if told.calls:
        colour = "bold red" if told.broken else "bold green"
        _print(console, Text(report.summary(told.calls, len(told.broken)), colour))
    if wishes.html is not None:
        _print(console, Text(f"All of it as a page: {wishes.html}"))


def _print(console: Console, line: Text) -> None:
    if not console.is_terminal:
        click.echo(line.plain)  # of many thousand lines rich would make a minute
        return
    console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


@contextmanager
def _page(path: Path | None, name: str, told: Told) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", errors="replace") as html:
        html.write(page.begin(name))
        yield html
        html.write(page.end(told.calls, told.broken))


@contextmanager
def _bar(trace: Path, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error while a big file is read, where somebody looks at it."""
    console = Console(stderr=True)
    size = trace.stat().st_size if trace.is_file() else 0
    if quiet or size < BIG or not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TaskProgressColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=size)
        yield lambda done: progress.update(task, completed=done)


def _addresses(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> frozenset[str]:
    """Each as a capture has it: two ways to write an IPv6 address are one."""
    try:
        return frozenset(str(ip_address(value.strip("[]"))) for value in values)
    except ValueError as error:
        raise click.BadParameter(f"{error}. Give an address as the capture has it, without a port.") from None


@click.command()
@click.argument("trace", type=click.Path(path_type=Path), metavar="TRACE")
@click.option("--call", "call_id", metavar="CALL-ID", help="Only the call with this Call-ID.")
@click.option("--svg", "svg_dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Write the ladder of each call into this folder.")  # fmt: skip
@click.option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write all calls as one page.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.option(
    "--all", "every", is_flag=True, help=f"Show calls without a fault whole too, not only the first {FEW}."
)
@click.option("--ours", "ours", multiple=True, metavar="ADDRESS", callback=_addresses,
              help="An address of your own edge or Asterisk; may be repeated.")  # fmt: skip
@click.option("--minimum", type=click.IntRange(1, 90), default=90, show_default=True,
              help="Seconds: the smallest lawful interval. Lower in a laboratory only.")  # fmt: skip
@click.option("--anonymize", "only_text", is_flag=True,
              help="Write its SIP as text without numbers, names and addresses; judge nothing.")  # fmt: skip
def command(  # noqa: PLR0913, PLR0917 - the options of a command
    trace: Path,
    call_id: str | None,
    svg_dir: Path | None,
    html_file: Path | None,
    ours: frozenset[str],
    minimum: int,
    *,
    as_json: bool,
    every: bool,
    only_text: bool,
) -> None:
    """Say who broke the session timer of each call in TRACE, why, and the line to change.

    TRACE is a capture (pcap, pcapng), a log of Asterisk's "pjsip set logger on", or text saved by sngrep;
    each may be packed by gzip. Neither Kamailio nor Asterisk nor a configuration is needed. Exit status 0:
    nobody broke a rule; 1: somebody did; 2: it cannot be read, or no call is in it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if only_text:
        others = {"--call": call_id, "--svg": svg_dir, "--html": html_file, "--json": as_json or None}
        if asked := [name for name, value in others.items() if value is not None]:
            told = "--anonymize writes the whole trace as text, and nothing else"
            raise click.UsageError(f"{told}: leave out {' and '.join(asked)}, or explain what it wrote.")
        sys.exit(anonymize(trace, sys.stdout))
    settings = Settings(minimum, ours)
    sys.exit(run(trace, Wishes(call_id, svg_dir, html_file, as_json, every, settings)))
