"""A SIP message on its way through Kamailio: what was received, and the changes that wait to be applied.

As in Kamailio, reading sees the message as it was received; removals and additions show in what is sent.
Texts hold one character for each byte (latin-1), because what arrives need not be UTF-8.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

_LONG_NAME = {"x": "session-expires", "k": "supported", "f": "from", "t": "to", "i": "call-id", "v": "via"}


def same_header(one: str, other: str) -> bool:
    """Whether two names mean one header: in any case, long or compact."""
    first, second = one.lower(), other.lower()
    return _LONG_NAME.get(first, first) == _LONG_NAME.get(second, second)


def split_row(row: str) -> tuple[str, str]:
    """Name and value, the value with whatever follows it: Kamailio cuts blanks and folds only before it."""
    name, _, value = row.partition(":")
    return name.rstrip(), value.lstrip(" \t\r\n")


def tag_of(value: str) -> str:
    """The tag of a From or To; empty if there is none."""
    return value.partition(";tag=")[2].partition(";")[0]


@dataclass
class Message:
    """One request or answer."""

    start: str
    """Its first line."""
    received: tuple[str, ...]
    """Its rows."""
    source: str
    """The address it came from."""
    request_uri: str = ""
    """Where a request goes, as set by the script."""
    destination_uri: str = ""
    """The next hop, where it is not the request URI's; as set by the script."""
    path: str = ""
    """The Route set that a registration gives a branch."""
    socket: str = ""
    """The address it is to be sent from, if the script says so."""
    flags: int = 0
    """The branch flags."""
    removed: set[int] = field(default_factory=set)
    """The numbers of the rows that will not be sent."""
    appended: list[str] = field(default_factory=list)
    number: int = field(default_factory=itertools.count(1).__next__)
    """Kamailio numbers what comes in; a copy for a branch or a failure route has the same number."""

    @property
    def text(self) -> str:
        """All of it as received."""
        return "\r\n".join((self.start, *self.received, "", ""))

    @property
    def is_request(self) -> bool:
        return not self.start.startswith("SIP/2.0 ")

    @property
    def code(self) -> int:
        return int(self.start.split()[1])

    @property
    def opaque(self) -> bool:
        """Whether Kamailio's parser gives up on the headers; of the many ways this is the one modelled."""
        return any(
            name.lower() == "retry-after" and re.match(r"[0-9]+[ \t]*(?:[;(]|$)", value) is None
            for name, value in map(split_row, self.received)
        )

    @property
    def method(self) -> str:
        """Of the request, or of the request that it answers."""
        return self.value("CSeq").split()[1]

    def numbers(self, name: str) -> Iterator[int]:
        """The numbers of a header's rows."""
        for number, row in enumerate(self.received):
            if same_header(split_row(row)[0], name):
                yield number

    def values(self, name: str) -> list[str]:
        """A header's values as received."""
        return [split_row(self.received[number])[1] for number in self.numbers(name)]

    def value(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    def remove(self, name: str) -> None:
        self.removed.update(self.numbers(name))

    def branch(self) -> Message:
        """A copy whose changes are its own, as each branch has one."""
        return replace(self, removed=set(self.removed), appended=list(self.appended))

    def sent(self) -> Sent:
        """The message as it leaves."""
        kept = [row for number, row in enumerate(self.received) if number not in self.removed]
        start = self.start
        if self.is_request:
            start = " ".join((start.split()[0], self.request_uri, "SIP/2.0"))
        route = (f"Route: {self.path}",) if self.path else ()
        return Sent(start, (*route, *kept, *self.appended))


@dataclass(frozen=True)
class Sent:
    """A message as it left."""

    start: str
    rows: tuple[str, ...]

    @property
    def code(self) -> int:
        return int(self.start.split()[1])

    def all(self, *names: str) -> list[str]:
        """The rows of these headers, as written."""
        return [row for row in self.rows if any(same_header(split_row(row)[0], name) for name in names)]

    def value(self, name: str) -> str | None:
        """The value of a header that may be there once."""
        rows = self.all(name)
        assert len(rows) < 2, f"more than one {name}: {rows}"
        return split_row(rows[0])[1] if rows else None

    def tags(self, name: str) -> list[str]:
        """The option tags of a header, in the order of its rows."""
        return [
            tag for row in self.all(name) for part in split_row(row)[1].split(",") if (tag := part.strip())
        ]

    def without(self, *names: str) -> tuple[str, ...]:
        left_out: Iterable[str] = self.all(*names)
        return tuple(row for row in self.rows if row not in left_out)
