"""`session-timer watch`: the tracked calls, drawn anew every second."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from session_timer_companion.api import ShownSession
from session_timer_companion.http.client import Client, ClientError
from session_timer_companion.terminal.tables import WIDE, by_urgency, coloured, duration, verbatim

BAR = 24
"""Cells of a bar that stands for a whole interval."""

AROUND = 8
"""Lines of the screen that are no calls, in 80 columns."""

CALL_ID = 36
"""Cells of a Call-ID in this view; `sessions` shows it whole."""

_CELLS = {
    "Call-ID": 24,
    "Refresher": 9,
    "Next step": BAR,
    "in": 7,
    "Deadline in": 11,
    "Refreshes": 9,
    "State": 10,
    "Last": 22,
}
"""The columns, and the cells that each has at least."""

_GAP = 3
"""Cells between two columns."""

_GIVE_WAY = ("Last", "Refreshes", "Deadline in", "Refresher")
"""The columns that a narrow screen does without, the first first."""

_SHOWN_TOTALS = {
    "session_timer_refreshes": ("outcome", "refreshes"),
    "session_timer_expiries": ("action", "expired"),
    "session_timer_hangups_avoided": ("", "hang-ups avoided"),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the view shows at one moment."""

    url: str
    sessions: Sequence[ShownSession] = ()
    totals: dict[str, int] = field(default_factory=dict)
    """Since the companion started."""
    ready: bool = False
    trouble: str = ""
    """Why there is nothing to show."""


def look(client: Client) -> Snapshot:
    """Ask the companion; a companion that is away is part of the picture, not an error."""
    try:
        ready = _all_ready(client.readiness())
        return Snapshot(client.url, client.sessions(), totals(client.metrics()), ready)
    except ClientError as error:
        return Snapshot(client.url, trouble=str(error))


def totals(metrics: str) -> dict[str, int]:
    """The counters worth a look, by what they are called on the screen."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        if family.name in _SHOWN_TOTALS:
            label, title = _SHOWN_TOTALS[family.name]
            for sample in family.samples:
                found[" ".join(filter(None, (title, sample.labels.get(label, ""))))] += int(sample.value)
    return dict(found)


def bar(session: ShownSession) -> Text:
    """The part of the interval that is left until the next step; red where its time has gone by."""
    due, interval = session["due"], session["interval"]
    if due is None or not interval:
        return Text("no timer", style="dim")
    if due <= 0:
        return Text("due now", style="red")
    share = min(1.0, due / interval)
    colour = "green" if share > 0.25 else "yellow" if share > 0.08 else "red"
    cells = max(1, round(share * BAR))
    return Text("█" * cells, style=colour).append("·" * (BAR - cells), style="dim")


def picture(snapshot: Snapshot, height: int, hint: str = "", width: int = WIDE) -> RenderableType:
    """The whole screen, `height` lines of `width` cells; `hint` says how to leave."""
    if snapshot.trouble:
        return Text(snapshot.trouble, style="red")
    room = max(1, height - AROUND)
    ordered = by_urgency(snapshot.sessions)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    titles = _fitting(width)
    for title in titles:
        right = title in ("in", "Deadline in", "Refreshes")
        table.add_column(
            title,
            justify="right" if right else "left",
            width=_call_id_cells(titles, width) if title == "Call-ID" else _CELLS[title],
            no_wrap=True,
            overflow="ellipsis",
        )
    for each in ordered[:room]:
        row: dict[str, RenderableType] = {
            "Call-ID": verbatim(each["call_id"]),
            "Refresher": each["refresher"],
            "Next step": bar(each),
            "in": duration(each["due"]),
            "Deadline in": duration(each["deadline"]),
            "Refreshes": str(each["refreshes"]),
            "State": coloured(each["state"]),
            "Last": each["last"] or "-",
        }
        table.add_row(*[row[title] for title in titles])
    parts: list[RenderableType] = [_headline(snapshot, hint), table]
    if len(ordered) > room:
        parts.append(Text(f"and {len(ordered) - room} more, later", style="dim"))
    parts.append(Text(_since_start(snapshot), style="dim"))
    return Group(*parts)


def _fitting(width: int) -> list[str]:
    """The titles of the columns that such a screen has room for: too many at once would all be cut."""
    titles = list(_CELLS)
    for title in _GIVE_WAY:
        if _taken(titles) > width:
            titles.remove(title)
    return titles


def _call_id_cells(titles: Sequence[str], width: int) -> int:
    least = _CELLS["Call-ID"]
    return max(least, min(CALL_ID, least + width - _taken(titles)))


def _taken(titles: Sequence[str]) -> int:
    return sum(_CELLS[title] + _GAP for title in titles)


def run(client: Client, console: Console, every: float) -> None:
    """Draw until q or Ctrl-C. Where the output is no terminal each picture follows the one before."""
    with contextlib.suppress(KeyboardInterrupt):
        if not console.is_terminal:
            while True:
                console.print(picture(look(client), height=10**6, width=console.width))
                time.sleep(every)
        with (
            _keys_at_once(),
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
        ):
            while True:
                live.update(picture(look(client), console.height, "q leaves", console.width), refresh=True)
                if _quit_within(every):
                    return


def _headline(snapshot: Snapshot, hint: str) -> Text:
    by_refresher = Counter(each["refresher"] for each in snapshot.sessions)
    text = Text(f"{len(snapshot.sessions)} calls", style="bold")
    text.append(
        f"   refreshed by us {by_refresher['local']}, by the peer {by_refresher['remote']}, "
        f"no timer {by_refresher['none']}   ",
        style="not bold",
    )
    text.append(
        "ready" if snapshot.ready else "not ready: see session-timer doctor",
        style="green" if snapshot.ready else "red",
    )
    return text.append(f"   {snapshot.url}   {hint}".rstrip(), style="dim")


def _since_start(snapshot: Snapshot) -> str:
    told = [f"{title} {count}" for title, count in snapshot.totals.items() if count]
    return "since the start: " + (", ".join(told) if told else "nothing yet")


def _all_ready(report: dict[str, object]) -> bool:
    parts = [part for part in (report.get("asterisk"), report.get("edge")) if isinstance(part, dict)]
    return all(state == "ready" for part in parts for state in part.values())


def _quit_within(seconds: float) -> bool:
    """Whether q is pressed before the time is over."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not sys.stdin.isatty():
            time.sleep(left)
        elif select.select([sys.stdin], [], [], left)[0]:
            keys = os.read(sys.stdin.fileno(), 64)
            if not keys or b"q" in keys.lower():
                return True
    return False


@contextlib.contextmanager
def _keys_at_once() -> Iterator[None]:
    """Let the terminal hand over a key without waiting for a line."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415  # only where there is a terminal
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
