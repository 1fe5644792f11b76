"""What session timers see of a message: the facts of one INVITE or UPDATE and of its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .headers import (
    ABSOLUTE_MINIMUM,
    REFRESH_METHODS,
    TIMER,
    HeaderError,
    SessionExpires,
    allows,
    has_tag,
    only_row,
    parse_min_se,
    parse_retry_after,
)

Rows = Callable[[str], Sequence[str]]
"""All values of the header with this long name, in order; empty if the message has none."""


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

    @classmethod
    def read(cls, method: str, rows: Rows, floor: int = ABSOLUTE_MINIMUM) -> RefreshRequest:
        """Read the facts of an INVITE or UPDATE request.

        Raises `HeaderError` for a malformed Session-Expires or Min-SE and `ValueError` for another
        method: there the headers do not apply and are ignored (RFC 4028 Table 1).
        """
        if method not in REFRESH_METHODS:
            raise ValueError(f"{method} is no session refresh request: only INVITE and UPDATE are")
        expires = only_row("Session-Expires", rows("Session-Expires"))
        min_se = only_row("Min-SE", rows("Min-SE"))
        return cls(
            method=method,
            session_expires=None if expires is None else SessionExpires.parse(expires),
            min_se=None if min_se is None else max(parse_min_se(min_se), floor),
            supports_timer=has_tag(rows("Supported"), TIMER),
            requires_timer=has_tag(rows("Require"), TIMER),
            allows_update=allows(rows("Allow"), "UPDATE"),
        )


@dataclass(frozen=True, slots=True)
class RefreshResponse:
    """The final answer to an INVITE or UPDATE."""

    code: int = 200
    session_expires: SessionExpires | None = None
    """Of a 2xx only; the header means nothing elsewhere (RFC 4028 section 4)."""
    min_se: int | None = None
    """Seconds, as received but never below 90; of a 422 only (RFC 4028 section 5)."""
    supports_timer: bool = False
    requires_timer: bool = False
    allows_update: bool | None = None
    retry_after: int | None = None
    """Seconds (RFC 3261 20.33)."""
    malformed: str | None = None
    """Why a header was ignored: an answer cannot be refused, so it counts as absent."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    @property
    def defects(self) -> tuple[str, ...]:
        """What the sender of this answer did wrong, for a log: we carry on regardless."""
        found = [self.malformed] if self.malformed else []
        if self.is_success and self.requires_timer and self.session_expires is None:
            found.append("Require: timer, but no Session-Expires: taken as no timer")
        if self.session_expires is not None and self.session_expires.refresher is None:
            found.append("Session-Expires names no refresher: the request's counts, else uac")
        return tuple(found)

    @classmethod
    def read(cls, code: int, rows: Rows, floor: int = ABSOLUTE_MINIMUM) -> RefreshResponse:
        """Read the facts of a final answer. Never raises: a malformed header is reported and ignored."""
        expires: SessionExpires | None = None
        min_se: int | None = None
        malformed: str | None = None
        try:
            if (
                200 <= code < 300
                and (row := only_row("Session-Expires", rows("Session-Expires"))) is not None
            ):
                expires = SessionExpires.parse(row)
                if expires.interval == 0:
                    expires, malformed = None, f"Session-Expires: {row!r}: nobody can refresh every 0 seconds"
            if code == 422 and (row := only_row("Min-SE", rows("Min-SE"))) is not None:
                min_se = max(parse_min_se(row), floor)
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
        )
