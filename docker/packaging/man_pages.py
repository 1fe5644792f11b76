"""Writes the manual pages of ``session-timer`` from what the command itself says of its commands and options.

python3 docker/packaging/man_pages.py FOLDER
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path

import click
from session_timer_companion import __version__
from session_timer_companion.cli import main
from session_timer_companion.terminal.asking import DEFAULT_CONFIG

NAME = "session-timer"
SECTION = 1
FILES = {
    str(DEFAULT_CONFIG): "The settings, which edge and companion share.",
    "/usr/share/session-timer-companion/": "What Asterisk and Prometheus are given.",
}


def pages(command: click.Group, released: str) -> Mapping[str, str]:
    """The page of the whole and of each of its commands, by file name, as troff with the man macros.

    ``released`` is the date in each page's foot.
    """
    context = click.Context(command, info_name=NAME)
    found = {f"{NAME}.{SECTION}": _page(context, released)}
    for name in command.list_commands(context):
        part = command.get_command(context, name)
        if part is not None and not part.hidden:
            below = click.Context(part, info_name=name, parent=context)
            found[f"{NAME}-{name}.{SECTION}"] = _page(below, released)
    return found


def _page(context: click.Context, released: str) -> str:
    return "\n".join([*_lines(context, released), ""])


def _lines(context: click.Context, released: str) -> Iterator[str]:
    command = context.command
    title = context.command_path.replace(" ", "-")
    yield f'.TH "{_text(title.upper())}" {SECTION} "{released}" "{NAME} {__version__}" "Session timers"'
    yield ".SH NAME"
    yield f"{_text(title)} \\- {_text(_summary(command))}"
    yield ".SH SYNOPSIS"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".B {_text(context.command_path)}"
    yield _text(usage)
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    options = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    options = [
        record for record in options if record[1]
    ]  # an argument has a name alone, which the synopsis shows
    if options:
        yield ".SH OPTIONS"
        for names, meaning in options:
            yield from (".TP", f".B {_text(names)}", _text(meaning))
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for name, part in sorted(command.commands.items()):
            yield from (".TP", f".B {_text(name)}", _text(_summary(part)))
    heard = {each.envvar: each for each in command.params if isinstance(each.envvar, str)}
    if heard:
        yield ".SH ENVIRONMENT"
        for variable, parameter in sorted(heard.items()):
            option = parameter.opts[0]
            yield from (
                ".TP",
                f".B {_text(variable)}",
                _text(f"Stands for {option} where that is not given."),
            )
    yield ".SH FILES"
    for path, meaning in FILES.items():
        yield from (".TP", f".I {_text(path)}", _text(meaning))
    yield ".SH SEE ALSO"
    *most, last = _beside(context)
    yield from (f".BR {_text(each)} ({SECTION})," for each in most)
    yield f".BR {_text(last)} ({SECTION})"
    yield ".PP"
    yield "RFC 4028, Session Timers in the Session Initiation Protocol (SIP)"


def _beside(context: click.Context) -> list[str]:
    """The pages to read beside this one."""
    if not isinstance(context.command, click.Group):
        return [NAME]
    return [f"{NAME}-{name}" for name in context.command.list_commands(context)]


def _summary(command: click.Command) -> str:
    """The first sentence of its help, as far as the dot."""
    first = cleandoc(command.help or "").split("\n\n", maxsplit=1)[0]
    return " ".join(first.split()).rstrip(".")


def _paragraphs(text: str) -> Iterator[str]:
    for each in cleandoc(text).split("\n\n"):
        yield ".PP"
        yield _text(" ".join(each.split()))


def _text(text: str) -> str:
    """Plain text as troff takes it: no character of it is an order."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe[:1] in (".", "'") else safe


def write(folder: Path) -> None:
    """Write every page into ``folder``. SOURCE_DATE_EPOCH, in seconds, is the date that they bear."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages(main, f"{day:%Y-%m-%d}").items():
        (folder / name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(cleandoc(__doc__))
    write(Path(sys.argv[1]))
