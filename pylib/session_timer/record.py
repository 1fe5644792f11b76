"""The edge's record of one dialog: the truth about refreshes, as text that fits one htable value.

Readable by a person, versioned, and safe to write twice and to replicate: whoever reads it needs no
other record. Its time is the writer's monotonic clock and names that clock, so that hosts whose wall
clocks disagree can still tell a record's age (see `learn_clock`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from .dialog import Agreement, DialogTimer, Side
from .headers import LARGEST_INTERVAL

VERSION = 1

RECORDS = "session_timer"
"""Kamailio's hash table of the records, each under its `key`."""

CHANGES = "session_timer_changes"
"""The hash table of records that changed within the last minute, and of the hosts' clocks."""

CLOCK = "clock;"
"""Before a clock's name this is the key in `CHANGES` of how it stands, in seconds."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:~-]*+")
_WHOLE = re.compile(r"[0-9]{1,10}")
_TIME = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")

_KEPT = 3
"""How many transactions of a dialog can have a 2xx under way: retransmissions end within 32 seconds."""


class RecordError(ValueError):
    """A text that is no record of this version: what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last refresh that a non-2xx answered."""

    code: int
    sender: Side
    at: float
    """Seconds on `clock`."""
    retry_after: int | None = None
    """Seconds."""
    clock: str = ""
    """Names the clock that `at` was read from, where another host wrote the record; empty: the record's."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the edge knows of one dialog."""

    local_tag: str
    """The tag of our Asterisk's end; between two others, of the callee's."""
    dialog: DialogTimer
    clock: str
    """Names the host whose monotonic clock `at` was read from."""
    at: float
    """Seconds on `clock`: when the last 2xx to an INVITE or UPDATE passed."""
    last: str = ""
    """The transaction of that 2xx, ``<sender>:<CSeq number>``: its retransmissions move nothing."""
    refreshes: int = 0
    """How many 2xx have passed after the first."""
    failure: Failure | None = None
    peer: str = ""
    """The name of the peer's profile."""
    earlier: str = ""
    """The transactions before `last`, newest first: a 2xx of theirs may still be retransmitted."""

    def encode(self) -> str:
        """The record as ``key=value`` pairs between semicolons."""
        agreed = self.dialog.agreement
        pairs = [
            f"v={VERSION}",
            f"interval={agreed.interval if agreed else 0}",
            f"refresher={agreed.refresher if agreed else 'none'}",
            f"one_sided={int(agreed.one_sided) if agreed else 0}",
            f"min_se={self.dialog.min_se or 0}",
            f"supports={int(self.dialog.peer_supports)}",
            f"update={int(self.dialog.peer_allows_update)}",
            f"refreshes={self.refreshes}",
            f"clock={_quoted(self.clock)}",
            f"at={self.at:.3f}",
            f"last={_quoted(self.last)}",
            f"local={_quoted(self.local_tag)}",
            f"peer={_quoted(self.peer)}",
        ]
        if self.earlier:
            pairs.append(f"earlier={_quoted(self.earlier)}")
        if self.failure is not None:
            wait = "" if self.failure.retry_after is None else str(self.failure.retry_after)
            pairs += [
                f"failure={self.failure.code}",
                f"failed_by={self.failure.sender}",
                f"failed_at={self.failure.at:.3f}",
                f"retry_after={wait}",
            ]
            if self.failure.clock:
                pairs.append(f"failed_clock={_quoted(self.failure.clock)}")
        return ";".join(pairs)

    @classmethod
    def decode(cls, text: str) -> Record:
        """Read a record. Unknown keys are ignored; another version or a missing key raises `RecordError`."""
        fields = dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)
        version = fields.get("v")
        if version != str(VERSION):
            raise RecordError(
                f"record of version {version!r}, this code reads version {VERSION}: {text[:120]!r}"
            )
        try:
            interval = _whole(fields["interval"])
            agreement = None
            if interval:
                agreement = Agreement(interval, Side(fields["refresher"]), fields["one_sided"] == "1")
            failure = None
            if "failure" in fields:
                wait = fields["retry_after"]
                failure = Failure(
                    code=_whole(fields["failure"]),
                    sender=Side(fields["failed_by"]),
                    at=_time(fields["failed_at"]),
                    retry_after=_whole(wait) if wait else None,
                    clock=_unquoted(fields.get("failed_clock", "")),
                )
            return cls(
                local_tag=_unquoted(fields["local"]),
                dialog=DialogTimer(
                    agreement=agreement,
                    min_se=_whole(fields["min_se"]) or None,
                    peer_supports=fields["supports"] == "1",
                    peer_allows_update=fields["update"] == "1",
                ),
                clock=_unquoted(fields["clock"]),
                at=_time(fields["at"]),
                last=_unquoted(fields["last"]),
                earlier=_unquoted(fields.get("earlier", "")),
                refreshes=_whole(fields["refreshes"]),
                failure=failure,
                peer=_unquoted(fields["peer"]),
            )
        except (KeyError, ValueError) as error:
            raise RecordError(f"no record, {error}: {text[:120]!r}") from error

    def refreshed(self, dialog: DialogTimer, now: float, clock: str, transaction: str) -> Record:
        """The record after a 2xx; a retransmitted 2xx moves nothing (RFC 4028 section 2, first copy only)."""
        known = [self.last, *self.earlier.split(",")]
        if transaction in known:
            return self
        return Record(
            local_tag=self.local_tag,
            dialog=dialog,
            clock=clock,
            at=now,
            last=transaction,
            refreshes=self.refreshes + 1,
            peer=self.peer,
            earlier=",".join(name for name in known[:_KEPT] if name),
        )

    def failed(self, dialog: DialogTimer, failure: Failure) -> Record:
        """The record after a non-2xx: the deadline stays where it was (RFC 4028 section 10)."""
        return replace(self, dialog=dialog, failure=failure)

    def sender(self, from_tag: str) -> Side:
        """Whose request it is that carries this From tag."""
        return Side.LOCAL if from_tag == self.local_tag else Side.REMOTE


# Bytes that are no UTF-8 come from a SIP message as lone surrogates, and must not end in an exception.
def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe=":", errors="surrogateescape")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) is None or int(text) > LARGEST_INTERVAL:
        raise ValueError(f"{text!r} is no whole number up to {LARGEST_INTERVAL}")
    return int(text)


def _time(text: str) -> float:
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no time in seconds")
    return float(text)


def key(call_id: str, one_tag: str, other_tag: str) -> str:
    """The record's key in the htable: the same from both ends of the dialog."""
    first, second = sorted((one_tag, other_tag))
    return f"{call_id};{first};{second}"


def split_key(key: str) -> tuple[str, str, str]:
    """The Call-ID and both tags in a record's `key`. Raises `ValueError` for what is none."""
    call_id, one_tag, other_tag = key.rsplit(";", 2)
    return call_id, one_tag, other_tag


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One published reading of a writer's monotonic clock, as one reader saw it; all in seconds."""

    reading: float
    """On the writer's clock."""
    offset: float
    """The writer's clock less the reader's."""
    learned: float
    """On the reader's clock."""


_STALE = 60.0
"""Seconds after which a fresh reading replaces a nearer one: clocks of two hosts drift apart."""


def learn_clock(known: ClockReading | None, reading: float, now: float) -> ClockReading:
    """Take note of a published `reading`, read at `now` on the reader's own clock.

    A writer publishes about every second, so a reading is always a little old when it is read: the
    largest difference seen is the nearest to the truth. A clock that is no longer published, because
    its host is gone, keeps the offset it had.
    """
    fresh = ClockReading(reading, reading - now, now)
    if known is None or fresh.offset >= known.offset:
        return fresh
    if reading > known.reading and now - known.learned > _STALE:
        return fresh
    return known
