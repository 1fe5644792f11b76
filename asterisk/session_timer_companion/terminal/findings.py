"""What the doctor found, as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from session_timer_companion.doctor.finding import Finding, Level
from session_timer_companion.printable import printable

_LEVELS = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}


def findings_text(findings: Iterable[Finding]) -> Text:
    """What the doctor found: one line what, and below it why it matters and what to change where."""
    text = Text()
    for each in findings:
        text.append(f"{each.level:<8} ", style=_LEVELS[each.level])
        text.append(f"{each.about}: ", style="bold").append(f"{printable(each.what)}\n")
        if each.why:
            text.append(f"           why  {each.why}\n")
        if each.change:
            text.append("           do   ").append(f"{each.change}\n", style="cyan")
        if each.file:
            text.append(f"           in   {each.file}\n")
    text.rstrip()
    return text
