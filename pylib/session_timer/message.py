"""What session timers see of a message (RFC 4028 sections 4 to 9): one INVITE or UPDATE, and its response."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .headers import (
    ABSOLUTE_MINIMUM,
    LONGEST_VALUE,
    REFRESH_METHODS,
    TIMER,
    HeaderError,
    SessionExpires,
    allows,
    has_tag,
    parse_retry_after,
    read_min_se,
    read_session_expires,
)

Rows = Callable[[str], Sequence[str]]
"""All values of the header with this long name, in order; empty if the message has none."""


_TAG = re.compile(r";[ \t]*+tag[ \t]*+=[ \t]*+([^\s;,]++)", re.IGNORECASE)


def dialog_oddities(to: str, contact: str) -> tuple[str, ...]:
    """Call with To and Contact of an INVITE or UPDATE within a dialog, or of its 2xx; empty where absent.

    Returns what the grammar forbids in them although its meaning is certain, for the log: the same tag
    twice (RFC 3261 7.3.1), or no Contact, with which the target stays what it was (12.2). Raises
    `HeaderError` where To has tags that differ: whose dialog that is each parser decides for itself.
    """
    found = []
    tags = _TAG.findall(to.rpartition(">")[2])
    if len(tags) > 1:
        if len(set(tags)) > 1:
            raise HeaderError("To", to[:LONGEST_VALUE], "has tags that differ")
        found.append(f"To: the tag {tags[0]!r} stands there {len(tags)} times, read once")
    if not contact:
        found.append("no Contact: the target stays what it was")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """An INVITE or UPDATE: a session refresh request (RFC 4028 section 2)."""

    method: str = "INVITE"
    session_expires: SessionExpires | None = None
    min_se: int | None = None
    """Seconds, as received but never below 90 (RFC 4028 section 5); None if absent."""
    supports_timer: bool = False
    requires_timer: bool = False
    allows_update: bool | None = None
    oddities: tuple[str, ...] = ()
    """What the grammar forbids although its meaning is certain, for the log; it has been read."""

    @classmethod
    def read(cls, method: str, rows: Rows, floor: int = ABSOLUTE_MINIMUM) -> RefreshRequest:
        """Read the facts of an INVITE or UPDATE request.

        Raises `HeaderError` for a malformed Session-Expires or Min-SE and `ValueError` for another
        method: there the headers do not apply and are ignored (RFC 4028 Table 1).
        """
        if method not in REFRESH_METHODS:
            raise ValueError(f"{method} is no session refresh request: only INVITE and UPDATE are")
        expires = read_session_expires(rows("Session-Expires"), floor)
        min_se = read_min_se(rows("Min-SE"), floor)
        return cls(
            method=method,
            session_expires=expires.value,
            min_se=min_se.value,
            oddities=tuple(oddity for oddity in (expires.oddity, min_se.oddity) if oddity),
            supports_timer=has_tag(rows("Supported"), TIMER),
            requires_timer=has_tag(rows("Require"), TIMER),
            allows_update=allows(rows("Allow"), "UPDATE"),
        )


@dataclass(frozen=True, slots=True)
class RefreshResponse:
    """The final response to an INVITE or UPDATE."""

    code: int = 200
    session_expires: SessionExpires | None = None
    """Read from a 2xx only; in other responses the header means nothing (RFC 4028 section 4)."""
    min_se: int | None = None
    """Seconds, as received but never below 90; read from a 422 only (RFC 4028 section 5)."""
    supports_timer: bool = False
    requires_timer: bool = False
    allows_update: bool | None = None
    retry_after: int | None = None
    """Seconds (RFC 3261 20.33)."""
    malformed: str | None = None
    """Why a header was ignored: a response cannot be refused, so it counts as absent."""
    oddities: tuple[str, ...] = ()
    """As in a request."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    @property
    def defects(self) -> tuple[str, ...]:
        """What the sender of this response did wrong, for the log; the call goes on."""
        found = [*([self.malformed] if self.malformed else []), *self.oddities]
        if self.is_success and self.requires_timer and self.session_expires is None:
            found.append("Require: timer, but no Session-Expires: taken as no timer")
        if self.session_expires is not None and self.session_expires.refresher is None:
            found.append("Session-Expires names no refresher: the request's counts, else uac")
        return tuple(found)

    @classmethod
    def read(cls, code: int, rows: Rows, floor: int = ABSOLUTE_MINIMUM) -> RefreshResponse:
        """Read the facts of a final response (RFC 4028 7.2).

        Never raises: a malformed header counts as absent, and `defects` has it for the log.
        """
        expires: SessionExpires | None = None
        min_se: int | None = None
        malformed: str | None = None
        oddities: list[str] = []
        try:
            if 200 <= code < 300:
                shown = read_session_expires(rows("Session-Expires"), floor)
                expires = shown.value
                oddities.append(shown.oddity)
                if expires is not None and expires.interval == 0:
                    expires, malformed = None, "Session-Expires: an interval of 0 seconds cannot be refreshed"
            if code == 422:
                least = read_min_se(rows("Min-SE"), floor)
                min_se = least.value
                oddities.append(least.oddity)
        except HeaderError as error:
            malformed = str(error)
        waits = [wait for row in rows("Retry-After") if (wait := parse_retry_after(row)) is not None]
        return cls(
            code=code,
            session_expires=expires,
            min_se=min_se,
            supports_timer=has_tag(rows("Supported"), TIMER),
            requires_timer=has_tag(rows("Require"), TIMER),
            allows_update=allows(rows("Allow"), "UPDATE"),
            retry_after=waits[0] if waits else None,
            malformed=malformed,
            oddities=tuple(filter(None, oddities)),
        )
