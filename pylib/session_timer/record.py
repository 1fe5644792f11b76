"""The edge's record of one dialog: what it has seen of the refreshes (RFC 4028 section 10), as text.

A person can read it, and it names its version. It is safe to write twice and to replicate, because a reader
needs no other record. Its times are on the writer's monotonic clock, and it names that clock: so hosts whose
wall clocks disagree still know how old a record is (see `clock.learn_clock`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from .dialog import DialogTimer, Side, whole

VERSION = 2

RECORDS = "session_timer"
"""Kamailio's hash table of the records, each under its `key`."""

CHANGES = "session_timer_changes"
"""The hash table of records that changed within the last minute, and of the hosts' clocks."""

CLOCK = "clock;"
"""Before a clock's name this is the key in `CHANGES` of how it stands, in seconds."""

_is_plain = re.compile(r"[A-Za-z0-9_.:~-]*+").fullmatch
_TIME = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")

NEVER = -1e9
"""Seconds on any clock: when the last 2xx passed of a dialog of which this edge has seen none."""

_KEPT = 3
"""How many transactions of a dialog can have a 2xx under way: retransmissions end within 32 seconds."""


class RecordError(ValueError):
    """A text that is no record of a version this code reads: what is wrong with it."""


class Outcome(StrEnum):
    """What became of a request within the dialog, as the edge saw it."""

    OPEN = "open"
    """It has passed, and nothing final has come back."""
    ANSWERED = "answered"
    """A 2xx passed."""
    REFUSED = "refused"
    """A final response from the far side passed, with its code."""
    TIMED_OUT = "timed_out"
    """This edge's own timer ended the wait, or the WebSocket to the far side is closed."""
    UNROUTABLE = "unroutable"
    """This edge could not send it on."""


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
_PLACED = {"": None, "local": Side.LOCAL, "remote": Side.REMOTE}


# Both are tuples and no dataclasses: the edge makes one for each message, and a frozen dataclass takes longer
# to make than all the rest of what is done with it.
class Asked(NamedTuple):
    """The last INVITE or UPDATE of one side within the dialog, and what became of it."""

    method: str
    cseq: int
    at: float
    """Seconds on `clock`: when it passed this edge."""
    outcome: Outcome = Outcome.OPEN
    code: int = 0
    """Of the final response; 0 for none."""
    ended: float | None = None
    """Seconds on `clock`: when the outcome showed."""
    retry_after: int | None = None
    """Seconds (RFC 3261 20.33)."""
    clock: str = ""
    """Names the clock of these times where another host wrote them; empty: the record's clock."""


class Record(NamedTuple):
    """What the edge knows of one dialog."""

    local_tag: str
    """The tag of our Asterisk's end; between two others, of the callee's."""
    dialog: DialogTimer
    clock: str
    """Names the host whose monotonic clock `at` was read from."""
    at: float
    """Seconds on `clock`: when the last 2xx to an INVITE or UPDATE passed; `NEVER` if none has."""
    last: str = ""
    """The transaction of that 2xx, ``<sender>:<CSeq number>``: its retransmissions move nothing."""
    refreshes: int = 0
    """How many 2xx have passed after the first."""
    peer: str = ""
    """The name of the peer's profile."""
    on_path: bool = False
    """Requests within the dialog pass here: our Record-Route stood in the first 2xx, or one has passed."""
    placed: Side | None = None
    """The side that sent the initial INVITE; None if the edge does not know."""
    far: str = ""
    """Where the peer is, an address or a name as this edge sees it."""
    ours: Asked | None = None
    """The last request of our side within the dialog."""
    theirs: Asked | None = None
    """The last request of the peer within the dialog."""
    earlier: str = ""
    """The transactions before `last`, newest first: a 2xx of theirs may still be retransmitted."""

    @classmethod
    def without_2xx(cls, local_tag: str, clock: str, *, peer: str, far: str) -> Record:
        """Begin where a request of our side passes in a dialog of which the edge has lost its record.

        What was agreed nobody there knows any more; what becomes of this request shall be seen all the same.
        """
        return cls(local_tag, DialogTimer(), clock, NEVER, peer=peer, on_path=True, far=far)

    @property
    def is_without_2xx(self) -> bool:
        """True: this edge has seen no 2xx of the dialog, only what our side has asked since."""
        return self.at <= NEVER

    def encode(self) -> str:
        """The record as ``name=value`` pairs between semicolons."""
        text = (
            f"v={VERSION};{_agreed(self.dialog)};refreshes={self.refreshes};clock={_quoted(self.clock)};"
            f"at={self.at:.3f};last={_quoted(self.last)};local={_quoted(self.local_tag)};"
            f"peer={_quoted(self.peer)};on_path={int(self.on_path)}"
        )
        if self.placed is not None:
            text += f";placed={self.placed}"
        if self.far:
            text += f";far={_quoted(self.far)}"
        if self.ours is not None:
            text += f";ours={_slot(self.ours)}"
        if self.theirs is not None:
            text += f";theirs={_slot(self.theirs)}"
        return f"{text};earlier={_quoted(self.earlier)}" if self.earlier else text

    @classmethod
    def decode(cls, text: str) -> Record:
        """Read a record of this version, or of version 1 (release 0.1.0).

        Unknown names are ignored. Another version or a missing name raises `RecordError`.
        """
        agreed, _, rest = text.partition(";refreshes=")
        refreshes, *pairs = rest.split(";")
        fields = dict([pair.split("=", 1) for pair in pairs if "=" in pair])
        try:
            version, dialog = _read_agreed(agreed)
            slots = _first_version_slots(fields) if version == "1" else {}
            return cls(
                local_tag=_unquoted(fields["local"]),
                dialog=dialog,
                clock=_unquoted(fields["clock"]),
                at=_time(fields["at"]),
                last=_unquoted(fields["last"]),
                refreshes=whole(refreshes),
                peer=_unquoted(fields["peer"]),
                on_path=fields.get("on_path") == "1",
                placed=_PLACED[fields.get("placed", "")],
                far=_unquoted(fields.get("far", "")),
                ours=slots.get(Side.LOCAL) or _read_slot(fields.get("ours")),
                theirs=slots.get(Side.REMOTE) or _read_slot(fields.get("theirs")),
                earlier=_unquoted(fields.get("earlier", "")),
            )
        except (KeyError, ValueError) as error:
            raise RecordError(f"no record, {error}: {text[:120]!r}") from error

    def of(self, side: Side) -> Asked | None:
        """The last request of one side within the dialog."""
        return self.ours if side is Side.LOCAL else self.theirs

    def asked(self, side: Side, method: str, cseq: int, now: float, clock: str) -> Record:
        """The record after a request of `side` has passed. An older request than the last changes nothing."""
        last = self.of(side)
        if last is not None and cseq <= last.cseq:
            return self
        return self._with(side, Asked(method, cseq, now, clock="" if clock == self.clock else clock))

    def ended(  # noqa: PLR0913  # what a response says, each by name
        self,
        side: Side,
        method: str,
        cseq: int,
        outcome: Outcome,
        *,
        code: int,
        now: float,
        clock: str,
        retry_after: int | None = None,
    ) -> Record:
        """The record after that request ended, but not by a 2xx: no deadline moves (RFC 4028 section 10).

        An end that is known already, or of an older request than the last, changes nothing. A response after
        the wait for it has ended is an end all the same: it shows that the far side is there.
        """
        slot = self.of(side)
        named = "" if clock == self.clock else clock
        if slot is None or slot.cseq < cseq:
            slot = Asked(method, cseq, now, clock=named)
        elif slot.cseq > cseq or slot.outcome not in (Outcome.OPEN, Outcome.TIMED_OUT):
            return self
        elif slot.clock != named:
            # Another host saw it leave: of its time only the order is left.
            slot = slot._replace(at=now, clock=named)
        return self._with(side, slot._replace(outcome=outcome, code=code, ended=now, retry_after=retry_after))

    def late(  # noqa: PLR0913  # what a response says, each by name
        self, side: Side, method: str, cseq: int, *, code: int, now: float, clock: str
    ) -> Record:
        """The record after a final response came when this edge had ended the wait for it, and forgotten it.

        A refresh that was answered late was answered (RFC 4028 section 10). What is agreed stays, for who
        asked has not heard the response. One to a request that is not known changes nothing.
        """
        slot = self.of(side)
        if slot is None or cseq > slot.cseq or (cseq == slot.cseq and slot.outcome is not Outcome.TIMED_OUT):
            return self
        if code < 300:
            return self.refreshed(self.dialog, now, clock, f"{side}:{cseq}")
        return self.ended(side, method, cseq, Outcome.REFUSED, code=code, now=now, clock=clock)

    def refreshed(
        self, dialog: DialogTimer, now: float, clock: str, transaction: str, method: str = ""
    ) -> Record:
        """The record after a 2xx; a retransmitted 2xx moves nothing (RFC 4028 section 2, first copy only).

        `method` is that of a request which may not have been written down when it passed.
        """
        if transaction == self.last or transaction in self.earlier.split(","):
            return self
        known = [self.last, *self.earlier.split(",")]
        ours, theirs = self.ours, self.theirs
        if clock != self.clock:
            ours, theirs = _seen_by(ours, self.clock, clock), _seen_by(theirs, self.clock, clock)
        sender, _, cseq = transaction.partition(":")
        if sender == Side.LOCAL:
            ours = _answered(ours, method, cseq, now)
        elif sender == Side.REMOTE:
            theirs = _answered(theirs, method, cseq, now)
        return self._replace(
            dialog=dialog,
            clock=clock,
            at=now,
            last=transaction,
            refreshes=self.refreshes + 1,
            earlier=",".join(filter(None, known[:_KEPT])),
            ours=ours,
            theirs=theirs,
        )

    def _with(self, side: Side, slot: Asked) -> Record:
        return self._replace(ours=slot) if side is Side.LOCAL else self._replace(theirs=slot)

    def sender(self, from_tag: str) -> Side:
        """The side whose requests carry this From tag."""
        return Side.LOCAL if from_tag == self.local_tag else Side.REMOTE


def _seen_by(slot: Asked | None, was: str, becomes: str) -> Asked | None:
    """The same slot in a record that now goes by the clock `becomes`."""
    if slot is None:
        return None
    named = slot.clock or was
    return slot._replace(clock="" if named == becomes else named)


def _answered(slot: Asked | None, method: str, cseq: str, now: float) -> Asked | None:
    """The slot after a 2xx to the request with this CSeq number."""
    if slot is not None and str(slot.cseq) == cseq:
        return slot._replace(outcome=Outcome.ANSWERED, code=200, ended=now)
    if method and (slot is None or slot.cseq < int(cseq)):
        return Asked(method, int(cseq), now, Outcome.ANSWERED, 200, now)
    return slot


@lru_cache(256)
def _agreed(dialog: DialogTimer) -> str:
    """The dialog's timer as text: what the peers of one profile agree on is the same, call after call."""
    return ";".join(dialog.encode())


@lru_cache(256)
def _read_agreed(text: str) -> tuple[str, DialogTimer]:
    """The version of a record, and what `_agreed` made the text of."""
    fields = dict([pair.split("=", 1) for pair in text.split(";") if "=" in pair])
    version = fields.get("v")
    if version not in ("1", str(VERSION)):
        raise RecordError(f"of version {version!r}, this code reads versions 1 and {VERSION}")
    return version, DialogTimer.decode(fields)


def _slot(slot: Asked) -> str:
    ended = "" if slot.ended is None else f"{slot.ended:.3f}"
    wait = "" if slot.retry_after is None else str(slot.retry_after)
    return (
        f"{_name(slot.method)}:{slot.cseq}:{slot.at:.3f}:{slot.outcome}:{slot.code}:{ended}:{wait}:"
        f"{_name(slot.clock)}"
    )


def _read_slot(text: str | None) -> Asked | None:
    if text is None:
        return None
    method, cseq, at, outcome, code, ended, wait, clock = text.split(":")
    return Asked(
        method=_unquoted(method),
        cseq=whole(cseq),
        at=_time(at),
        outcome=_OUTCOMES[outcome],
        code=whole(code),
        ended=_time(ended) if ended else None,
        retry_after=whole(wait) if wait else None,
        clock=_unquoted(clock),
    )


def _first_version_slots(fields: Mapping[str, str]) -> dict[Side, Asked]:
    """Version 1 kept only the last failure, of either side, and no CSeq."""
    if "failure" not in fields:
        return {}
    at, wait = _time(fields["failed_at"]), fields["retry_after"]
    slot = Asked(
        method="",
        cseq=0,
        at=at,
        outcome=Outcome.REFUSED,
        code=whole(fields["failure"]),
        ended=at,
        retry_after=whole(wait) if wait else None,
        clock=_unquoted(fields.get("failed_clock", "")),
    )
    return {Side(fields["failed_by"]): slot}


# Bytes that are no UTF-8 come from a SIP message as lone surrogates, and must not end in an exception.
def _quoted(text: str) -> str:
    return text if _is_plain(text) else quote(text, safe=":", errors="surrogateescape")


def _name(text: str) -> str:
    """As `_quoted`, without a colon, which parts the places of a slot."""
    return text if text.isalnum() and text.isascii() else quote(text, safe="", errors="surrogateescape")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape") if "%" in text else text


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


def same_tags(key: str, other: str) -> bool:
    """Whether both keys have the same tags, whatever their Call-IDs.

    That tells a dialog where topology hiding has changed its Call-ID: each end draws its tag at random.
    """
    return split_key(key)[1:] == split_key(other)[1:]
