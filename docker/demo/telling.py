"""Tells a call while it happens: a ladder in the terminal, and the seconds to the next deadline.

On a terminal the countdown stands in the last line and moves; elsewhere each deadline is one plain line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text
from session_timer_companion.explain.drawing.ladder import Cast, Row, arrow
from session_timer_companion.explain.drawing.terminal import TerminalLadder

from demo.checks import Check
from demo.deadline import Deadline, Due, after, note
from tests.lab.capture import Packet

_BAR = 24


class Telling:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, style: str = "") -> None:
        """One line; long ones are not broken where nobody reads them on a screen."""
        self._line(Text(text, style))

    @contextmanager
    def call(self, cast: Cast, ours: str, peer: str) -> Iterator[CallTelling]:
        """Tell one call between ``ours``, the edge, and ``peer``."""
        live: Live | None = None
        if self._console.is_terminal:
            live = Live(Text(), console=self._console, refresh_per_second=10, transient=True)
            live.start()
        try:
            for line in TerminalLadder(cast.columns).header():
                self._line(line)
            yield CallTelling(self, cast, ours=ours, peer=peer, live=live)
        finally:
            if live is not None:
                live.stop()

    def verdict(self, checks: Iterable[Check]) -> None:
        """The checks of a call: one line where all passed, expected and seen where one did not."""
        checks = list(checks)
        failed = [check for check in checks if not check.passed]
        if not failed:
            self._line(Text(f"  passed: {len(checks)} of {len(checks)} checks", "green"))
        for check in failed:
            self._line(Text(f"  failed: {check.what}", "bold red"))
            self._line(Text(f"          expected  {check.expected}"))
            self._line(Text(f"          seen      {check.seen}"))

    def row(self, ladder: TerminalLadder, row: Row) -> None:
        """One row of a ladder."""
        self._line(ladder.row(row))

    def _line(self, line: Text) -> None:
        if self._console.is_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)
        else:
            self._console.print(line, soft_wrap=True, highlight=False)


class CallTelling:
    """The telling of one call."""

    def __init__(self, telling: Telling, cast: Cast, *, ours: str, peer: str, live: Live | None) -> None:
        self._telling = telling
        self._ladder = TerminalLadder(cast.columns)
        self._cast = cast
        self._ours = ours
        self._peer = peer
        self._live = live
        self._start: float | None = None
        self._deadline: Deadline | None = None

    def hear(self, packets: Iterable[Packet]) -> None:
        """Draw what has come in, and note the deadline it sets."""
        for packet in packets:
            if packet.retransmission:
                continue
            self._start = packet.time if self._start is None else self._start
            drawn = arrow(packet, self._cast, self._start)
            if drawn is not None:
                self._telling.row(self._ladder, drawn)
            if {packet.source.address, packet.destination.address} == {self._ours, self._peer}:
                self._heed(after(self._deadline, packet, self._ours))

    def tick(self, now: float) -> None:
        """Move the countdown; ``now`` is the capture's clock, in seconds."""
        if self._live is not None:
            self._live.update(countdown(self._deadline, now))

    def _heed(self, deadline: Deadline | None) -> None:
        if (
            deadline is not None
            and deadline != self._deadline
            and self._live is None
            and self._start is not None
        ):
            self._telling.row(self._ladder, note(deadline, self._start))
        self._deadline = deadline


def countdown(deadline: Deadline | None, now: float) -> Text:
    """The line with the seconds to the next deadline; empty if no session timer runs."""
    if deadline is None:
        return Text()
    left = max(deadline.at - now, 0.0)
    whole = max(deadline.at - deadline.since, 0.001)
    filled = round(_BAR * left / whole)
    words = (
        "next refresh by Asterisk" if deadline.due is Due.OUR_REFRESH else "BYE unless the carrier refreshes"
    )
    line = Text(" " * 10)
    line.append("━" * filled, "cyan")
    line.append("┄" * (_BAR - filled), "dim")
    return line.append(f"  {left:4.1f} s  {words}")
