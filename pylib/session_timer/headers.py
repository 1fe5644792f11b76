"""The header fields of session timers, read and written (RFC 4028 sections 4 and 5, RFC 3261 section 25.1).

Callers pass header *values* under their long names. A message may write ``x`` for Session-Expires and
``k`` for Supported (RFC 4028 section 12) is the business of the program that reads its rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Generic, TypeVar

ABSOLUTE_MINIMUM = 90
"""Seconds. No session interval and no Min-SE is below this (RFC 4028 sections 4 and 5)."""

LARGEST_INTERVAL = 2**32 - 1
"""Seconds. RFC 4028 gives delta-seconds no upper bound; we saturate where RFC 3261 bounds Expires (20.19)."""

TIMER = "timer"
"""The option tag of RFC 4028 (section 12)."""

LONGEST_VALUE = 256
"""Characters of a header's rows that are read: no lawful value comes near, and to read costs time."""

REFRESH_METHODS = frozenset({"INVITE", "UPDATE"})
"""The only methods whose requests and 2xx carry session timer headers (RFC 4028 section 4, Table 1)."""


_Value = TypeVar("_Value")


class Role(StrEnum):
    """The two ends of one transaction, as the refresher parameter names them (RFC 4028 section 4)."""

    UAC = "uac"
    UAS = "uas"


class HeaderError(ValueError):
    """A header value that the grammar does not allow.

    Attributes: `header` (long name), `value` (as received), `reason`.
    """

    def __init__(self, header: str, value: str, reason: str) -> None:
        super().__init__(f"{header}: {value!r}: {reason}")
        self.header = header
        self.value = value
        self.reason = reason


# RFC 3261 25.1. Possessive quantifiers keep hostile values linear. They stand at single characters only: at a
# group, CPython before 3.11.5 goes on from where the failed attempt ended (gh-106052); Debian 12 has 3.11.2.
_WORD = r"[A-Za-z0-9.!%*_+`'~-]++"
_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_HOST = r"\[[0-9A-Fa-f:.]++\]"
_PARAM = rf"({_WORD})(?:[ \t]*+=[ \t]*+({_WORD}|{_QUOTED}|{_HOST}))?"
_DELTA = re.compile(r"[ \t]*+([0-9]++)[ \t]*+")
_NEXT_PARAM = re.compile(rf";[ \t]*+({_PARAM})[ \t]*+", re.DOTALL)
_WAIT = re.compile(r"[ \t]*0*([0-9]{1,11})")
_FOLD = re.compile(r"\r?\n[ \t]+")


def delta_and_params(header: str, value: str) -> tuple[int, tuple[tuple[str, str, str], ...]]:
    """Read ``delta-seconds *(SEMI param)``: seconds, saturated, and each parameter as (written, name, value).

    Names come in lower case; a value is as written, empty where there is none. Raises `HeaderError`.
    """
    text = _FOLD.sub(" ", value)
    delta = _DELTA.match(text)
    if delta is None:
        raise HeaderError(header, value, "expected a number of seconds")
    digits = delta[1].lstrip("0") or "0"
    seconds = LARGEST_INTERVAL if len(digits) > 10 else min(int(digits), LARGEST_INTERVAL)
    params: list[tuple[str, str, str]] = []
    names: set[str] = set()
    at = delta.end()
    while at < len(text):
        param = _NEXT_PARAM.match(text, at)
        if param is None and text[at:].strip(" \t;") == "":
            break  # a semicolon that nothing follows: forbidden, often sent, and clear
        if param is None:
            raise HeaderError(header, value, f"expected ';' and a parameter at {text[at : at + 20]!r}")
        name = param[2].lower()
        if name in names:
            raise HeaderError(header, value, f"parameter {name!r} appears twice (RFC 3261 7.3.1)")
        names.add(name)
        params.append((param[1], name, param[3] or ""))
        at = param.end()
    return seconds, tuple(params)


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """A Session-Expires value (RFC 4028 section 4)."""

    interval: int
    """Seconds."""

    refresher: Role | None = None
    """None where the parameter is absent or names neither ``uac`` nor ``uas``."""

    params: tuple[str, ...] = ()
    """Every parameter as received, the refresher among them: what a proxy must hand on unchanged."""

    @classmethod
    def of(cls, interval: int, refresher: Role | None = None) -> SessionExpires:
        """A value of our own making: `interval` in seconds and, if given, the refresher parameter."""
        return cls(interval, refresher, (f"refresher={refresher}",) if refresher else ())

    @classmethod
    def parse(cls, value: str) -> SessionExpires:
        """Read one header value; any number of digits, saturated. Raises `HeaderError`."""
        seconds, params = delta_and_params("Session-Expires", value)
        named = next((value.lower() for _, name, value in params if name == "refresher"), "")
        refresher = Role(named) if named in ("uac", "uas") else None
        return cls(seconds, refresher, tuple(written for written, _, _ in params))

    def with_interval(self, interval: int) -> SessionExpires:
        """The same parameters with another interval: all that a proxy may change (RFC 4028 8.1)."""
        return SessionExpires(interval, self.refresher, self.params)

    def __str__(self) -> str:
        return ";".join((str(self.interval), *self.params))


def parse_min_se(value: str) -> int:
    """Read one Min-SE value, in seconds; parameters are allowed and dropped. Raises `HeaderError`."""
    return delta_and_params("Min-SE", value)[0]


@dataclass(frozen=True, slots=True)
class Read(Generic[_Value]):
    """The value of a header, and what the grammar forbids in its rows although their meaning is certain."""

    value: _Value | None = None
    """None: the message has no such header."""
    oddity: str = ""
    """For the log; empty where the rows are as they should be."""


def read_session_expires(rows: Sequence[str], floor: int = ABSOLUTE_MINIMUM) -> Read[SessionExpires]:
    """Read every row of Session-Expires. Raises `HeaderError` where the meaning is not certain.

    Two rows are not allowed (RFC 3261 7.3.1), yet some stacks send them. Equal ones count once; of others
    the smallest lawful interval is the safe one: it is refreshed in time for all of them.
    """
    values = _values("Session-Expires", rows)
    read = [SessionExpires.parse(value) for value in values]
    lawful = [expires for expires in read if expires.interval >= floor]
    chosen = min(lawful or read, key=lambda expires: expires.interval, default=None)
    return Read(chosen, _oddity("Session-Expires", values, chosen))


def read_min_se(rows: Sequence[str], floor: int = ABSOLUTE_MINIMUM) -> Read[int]:
    """Read every row of Min-SE: seconds, never below `floor` (RFC 4028 section 5). Raises `HeaderError`.

    Of several rows the largest value is the safe one: it is large enough for all of them.
    """
    values = _values("Min-SE", rows)
    chosen = max(map(parse_min_se, values), default=None)
    oddity = _oddity("Min-SE", values, chosen)
    return Read(None if chosen is None else max(chosen, floor), oddity)


def _values(header: str, rows: Sequence[str]) -> list[str]:
    """The values of all rows. Kamailio hands repeated rows on as one, between commas."""
    if sum(map(len, rows)) > LONGEST_VALUE:
        length = sum(map(len, rows))
        reason = f"is {length} characters long, more than {LONGEST_VALUE} are not read"
        raise HeaderError(header, f"{rows[0][:40]}…", reason)
    return [value for row in rows for value in (_between_commas(row) if "," in row else (row,))]


def _between_commas(row: str) -> list[str]:
    """The values of a row; a comma within quotes parts nothing."""
    values = [""]
    quoted = escaped = False
    for character in row:
        if character == "," and not quoted:
            values.append("")
            continue
        values[-1] += character
        quoted ^= character == '"' and not escaped
        escaped = quoted and character == "\\" and not escaped
    return values


def _oddity(header: str, values: Sequence[str], chosen: object) -> str:
    if len(values) > 1:
        equal = len({value.strip() for value in values}) == 1
        found = "equal rows, read once" if equal else f"rows that differ, taken as {chosen}"
        return f"{header}: {len(values)} {found}: {', '.join(values)!r}"
    if values and values[0].rstrip().endswith(";"):
        return f"{header}: {values[0]!r}: ends in a semicolon, which is ignored"
    return ""


def parse_retry_after(value: str) -> int | None:
    """Read one Retry-After value, in seconds, less its comment and parameters; None if it names no time."""
    digits = _WAIT.match(value)
    return None if digits is None else min(int(digits[1]), LARGEST_INTERVAL)


def has_tag(rows: Iterable[str], tag: str) -> bool:
    """Whether any row of a list of option tags, such as Supported, has `tag` in any case of letters."""
    between_commas = _between(tag, re.IGNORECASE | re.ASCII)
    return any(between_commas.search(row) for row in rows)


@lru_cache(8)
def _between(word: str, flags: int) -> re.Pattern[str]:
    """Finds a word in a list; to take the list apart would cost ten times as much where it is a giant."""
    return re.compile(rf"(?<![^,])\s*+{re.escape(word)}\s*+(?![^,])", flags)


def without_tag(row: str, tag: str) -> str | None:
    """`row` less one option tag, the others as written; None if nothing is left of it."""
    kept = [part.strip() for part in row.split(",") if part.strip() and part.strip().lower() != tag]
    return ", ".join(kept) if kept else None


def allows(rows: Sequence[str], method: str) -> bool | None:
    """Whether Allow lists `method`; None without an Allow header (RFC 3311 section 4: unknown)."""
    if not rows:
        return None
    between_commas = _between(method, re.ASCII)
    return any(between_commas.search(row) for row in rows)
