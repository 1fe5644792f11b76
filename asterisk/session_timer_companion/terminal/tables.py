"""Calls and refreshes as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from session_timer_companion.api import CallHistory, RefreshReport, ShownSession
from session_timer_companion.printable import printable

WIDE = 160
"""Columns where the output is no terminal, or a narrow one: a Call-ID that is cut is nothing to grep for."""

_COLOURS = {
    "ours": "green",
    "theirs": "green",
    "refreshing": "cyan",
    "waiting": "yellow",
    "asking": "yellow",
    "probing": "yellow",
    "refused": "red",
    "over": "red",
}


def terminal(least: int = 0) -> Console:
    """Standard output: as wide as the terminal, or `WIDE` where it is none or has fewer columns than `least`.

    A terminal folds what is wider, and nothing is lost.
    """
    console = Console(highlight=False)
    fits = console.is_terminal and console.width >= least
    return console if fits else Console(highlight=False, width=WIDE)


def duration(seconds: float | None) -> str:
    """``29m 51s``, ``4.2s``, ``-3.0s`` for what is overdue; a dash for never."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{round(seconds, 1) + 0.0:.1f}s"  # no -0.0
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"


def by_urgency(sessions: Iterable[ShownSession]) -> list[ShownSession]:
    """The call whose time comes first at the top, those without a time at the end."""
    never = float("inf")
    return sorted(sessions, key=lambda each: (never if each["due"] is None else each["due"], each["call_id"]))


def verbatim(text: str) -> Text:
    """What others have named: no markup (``x@[fe80::1]`` is a Call-ID), nothing that steers the terminal."""
    return Text(printable(text))


def coloured(state: str) -> Text:
    """The state's name, in the colour of how well things stand."""
    return Text(state, style=_COLOURS.get(state, ""))


def sessions_table(sessions: Iterable[ShownSession]) -> Table:
    """All calls, one a row."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Call-ID", overflow="fold", min_width=12)
    table.add_column("Channel", overflow="fold")
    for title in ("Interval", "Next", "Deadline", "Refreshes"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("Refresher", "State", "Last"):
        table.add_column(title, no_wrap=True)
    for each in by_urgency(sessions):
        table.add_row(
            verbatim(each["call_id"]),
            verbatim(each["channel"]),
            f"{each['interval']}s" if each["interval"] else "-",
            duration(each["due"]),
            duration(each["deadline"]),
            str(each["refreshes"]),
            each["refresher"],
            coloured(each["state"]),
            each["last"] or "-",
        )
    return table


def session_table(session: ShownSession) -> Table:
    """One call, with everything that is known of it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    next_step = "our refresh" if session["refresher"] == "local" else "a look at the record"
    rows = {
        "Call-ID": session["call_id"],
        "Asterisk": session["asterisk"],
        "Peer": session["peer"] or "none: the general settings",
        "Numbers": session["numbers"] or "not known",
        "Held back": session["held"] or "no",
        "Channel": session["channel"],
        "Edge": session["edge"] or "none: Asterisk faces the carrier itself",
        "State": session["state"],
        "Refresher": session["refresher"],
        "Interval": f"{session['interval']}s" if session["interval"] else "none",
        "Last 2xx": f"{duration(-session['since'])} ago",
        "Refreshes": str(session["refreshes"]),
        "Last outcome": session["last"] or "-",
        "Next": "nothing" if session["due"] is None else f"{next_step} in {duration(session['due'])}",
        "Deadline in": "never" if session["deadline"] is None else duration(session["deadline"]),
        "Method": session["method"],
        "Refused with": ", ".join(map(str, session["refused"])) or "-",
    }
    for name, value in rows.items():
        table.add_row(name, verbatim(value))
    return table


def history_table(history: CallHistory) -> Table:
    """What happened to one call, the oldest first."""
    ended = history["ended"]
    state = "is tracked" if ended is None else f"is over for {duration(ended)}: {history['why']}"
    title = f"{history['call_id']}  {history['channel']}  {state}"
    table = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        title=verbatim(title),
        title_justify="left",
        title_style="",
    )
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in history["events"]:
        details = " ".join(f"{name}={value}" for name, value in each["details"].items())
        times = f"({each['times']} times) " if each["times"] > 1 else ""
        table.add_row(
            each["at"][11:23],
            f"{duration(each['ago'])} ago",
            Text(each["event"], style="yellow" if each["notable"] else ""),
            verbatim(f"{times}{details}"),
        )
    return table


def refresh_lines(reports: Iterable[RefreshReport], *, with_call_id: bool = False) -> list[str]:
    """What came of refreshes by hand, one a line."""
    return [
        (f"{printable(report['call_id'])}: " if with_call_id else "")
        + f"{report['channel']}: {report['method']}: {report['outcome']}"
        + (f" after {report['seconds']:.1f}s" if report["outcome"] == "confirmed" else "")
        + (f": {report['reason']}" if report["reason"] else "")
        for report in reports
    ]
