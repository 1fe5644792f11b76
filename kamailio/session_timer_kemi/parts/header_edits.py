"""What is taken off a message and put on it."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import TIMER, DialogTimer
from session_timer.headers import has_tag, without_tag

from .. import ksr
from ..memory.branch_memory import Pending
from ..message_facts import Rows


class Edits(NamedTuple):
    """Changes to one message, each header touched once at most."""

    remove: tuple[str, ...] = ()
    """Headers of which every row goes."""
    add: str = ""
    """New rows, each with its line end."""

    def then(self, *others: Edits) -> Edits:
        """These and others, of other headers."""
        every = (self, *others)
        return Edits(
            tuple(header for edits in every for header in edits.remove), "".join(edits.add for edits in every)
        )

    def make(self) -> None:
        """Change the message that is being routed."""
        for header in self.remove:
            ksr.remove(header)
        if self.add:
            ksr.append(self.add)


class Relayed(NamedTuple):
    """What is done to a request on its way."""

    edits: Edits
    pending: Pending
    """What the response needs."""
    decided: str
    """The same as text."""
    told: DialogTimer | None = None
    """What Asterisk and the companion are to know; None: nothing."""
    oddities: tuple[str, ...] = ()
    """What the grammar forbids in it, for the log."""


class Completed(NamedTuple):
    """What is done to a 2xx on its way."""

    edits: Edits
    dialog: DialogTimer
    """What this 2xx brings into force."""
    defects: tuple[str, ...] = ()
    """What is wrong with it, for the log."""


def with_row(header: str, value: object) -> Edits:
    """One more row."""
    return Edits(add=f"{header}: {value}\r\n")


def with_only_row(header: str, value: object) -> Edits:
    """One row in place of those that are there."""
    return Edits((header,), f"{header}: {value}\r\n")


def without_values(rows: Rows) -> Edits:
    """Take off Session-Expires and Min-SE: what stands there was not meant for who comes next."""
    return Edits(tuple(header for header in ("Session-Expires", "Min-SE") if rows.of(header)))


def without_timer(rows: Rows) -> Edits:
    """Take off what Asterisk is not to see: the timer's headers, and its tag in the lists of tags."""
    return without_values(rows).then(
        *(_without_tag(header, rows) for header in ("Supported", "Require", "Proxy-Require"))
    )


def _without_tag(header: str, rows: Rows) -> Edits:
    present = rows.of(header)
    if not has_tag(present, TIMER):
        return Edits()
    rest = without_tag(present[0], TIMER)
    return with_only_row(header, rest) if rest else Edits((header,))


def with_tag(header: str, rows: Rows) -> Edits:
    """Add ``timer`` to a list of option tags, in the row that is there: not every peer reads a second."""
    present = rows.of(header)
    if has_tag(present, TIMER):
        return Edits()
    tags = ", ".join(tags for tags in (*present, TIMER) if tags)
    return with_only_row(header, tags) if present else with_row(header, tags)
