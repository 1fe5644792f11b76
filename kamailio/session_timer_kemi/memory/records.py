"""The dialogs' records in Kamailio's hash tables, and what destinations have told us."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from session_timer import Record, RecordError
from session_timer.record import CHANGES, CLOCK, RECORDS, split_key

from .. import ksr

LEARNED = "session_timer_min_se"

GRACE = 3600
"""Seconds that a record outlives its session interval, so that whoever asks late still learns the truth."""

MOST_LIFETIME = 2 * 86400
"""Seconds. A session lasts a day at most where the settings do not say more, and nothing is kept for ever."""

UNCONFIRMED_LIFETIME = 96
"""Seconds: three times 32 (64*T1), in which the caller ends the legs of a fork that it does not want.

A record without 2xx is kept as long after the last request of our side, whose end is seen by then.
"""

CHANGE_LIFETIME = 60
"""Seconds a change stays listed; a companion reads the list every few seconds."""

MOST_LEARNED = 7200
"""Seconds. Whoever is called may answer 422: where the settings have no `max_expires`, no more is learned."""

LONGEST_RECORD = 4096
"""Characters, its key among them. A caller chooses Call-ID and tag, and so what a record takes."""

At = tuple[float, str]
"""Monotonic seconds, and the name of the clock they were read from."""

_MOST_KNOWN = 64

_known: dict[str, Record] = {}
"""Records by their text: the routes of one message read the same one, or what they wrote themselves."""


def _decode(text: str) -> Record:
    """Read a record. Raises `RecordError`."""
    record = _known.get(text)
    return record if record is not None else _remember(text, Record.decode(text))


def _remember(text: str, record: Record) -> Record:
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[text] = record
    return record


def _readable(dialog: str, text: str, *, log: bool) -> Record | None:
    try:
        return _decode(text)
    except RecordError as error:
        if log:
            ksr.count("session_timer_unreadable_records")
            ksr.warn(f"session timer: {split_key(dialog)[0]}: {error}")
        return None


def clock_id() -> str:
    """Names this host's monotonic clock: it is set anew at each boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:13]


class Size(NamedTuple):
    """How many records there are, and in how many slots."""

    records: int
    slots: int


class Records:
    """Reads and writes records; a table that is full or a text that is not ours never stops a call.

    A dialog goes by the key of its record.
    """

    def read(self, dialog: str, *, log: bool) -> Record | None:
        """The record of a dialog; None for none that this code can read, which `log` counts and logs.

        None too for one without any 2xx: it says nothing of what was agreed.
        """
        record = self.read_any(dialog, log=log)
        return None if record is not None and record.is_without_2xx else record

    def read_any(self, dialog: str, *, log: bool) -> Record | None:
        """As `read`, and the record of a dialog of which only our side's requests were seen as well."""
        try:
            text = ksr.table_get(RECORDS, dialog)
            return _decode(text) if text else None
        except ValueError:
            # htable may hand a text out where it stands, and another process was writing there.
            self.lock(dialog)
            try:
                text = ksr.table_get(RECORDS, dialog)
            finally:
                self.unlock(dialog)
        return _readable(dialog, text, log=log) if text else None

    def lock(self, dialog: str) -> None:
        """Until `unlock`: whoever changes a record by what stands in it must not be overtaken."""
        ksr.table_lock(RECORDS, dialog)

    def unlock(self, dialog: str) -> None:
        ksr.table_unlock(RECORDS, dialog)

    def text(self, dialog: str) -> str:
        """The record as it is written; empty if there is none."""
        return ksr.table_get(RECORDS, dialog)

    def expired(self) -> tuple[str, Record | None]:
        """In htable's event: the dialog whose record goes, and what can be read of it."""
        dialog = ksr.pv("$shtrecord(key)")
        return dialog, _readable(dialog, ksr.pv("$shtrecord(value)"), log=True)

    def change(
        self, dialog: str, change: Callable[[Record], Record], *, anew: Record | None = None
    ) -> Record | None:
        """Write what `change` makes of the record, or of `anew` where there is none.

        None where there is none to change. One that cannot be read is left as it is.
        """
        self.lock(dialog)
        try:
            record = self.read_any(dialog, log=False)
            if record is None:
                if anew is None or self.text(dialog):
                    return None
                record = anew
            new = change(record)
            if new is not record:
                self.write(dialog, new, lifetime=lifetime(new), changed=False)
            return new
        finally:
            self.unlock(dialog)

    def write(self, dialog: str, record: Record, *, lifetime: int, changed: bool) -> None:
        """Store `record` for `lifetime` seconds.

        A record that says what the companion may not know yet is `changed`, and listed for it.
        """
        text = record.encode()
        length = len(dialog) + len(text)
        if length > LONGEST_RECORD:
            self.remove(dialog)
            ksr.info(
                f"session timer: {split_key(dialog)[0]}: no record, for it would be {length} characters "
                f"long: up to {LONGEST_RECORD} are kept"
            )
            return
        _remember(text, record)
        if not ksr.table_set(RECORDS, dialog, text, lifetime):
            # What stands there shows no news, and would be taken for proof that there was none.
            self.remove(dialog)
            ksr.count("session_timer_lost_records")
            ksr.warn(
                f"session timer: {split_key(dialog)[0]}: the hash table {RECORDS} did not take the record: "
                "is it full?"
            )
        if changed:
            ksr.table_set(CHANGES, dialog, text, CHANGE_LIFETIME)

    def remove(self, dialog: str) -> None:
        ksr.table_remove(RECORDS, dialog)

    def changes(self) -> tuple[dict[str, str], dict[str, str]]:
        """The records that changed within the last minute, and how each host's clock stands."""
        changed: dict[str, str] = {}
        clocks: dict[str, str] = {}
        for name, text in ksr.table_entries(CHANGES):
            # A caller may choose the Call-ID "clock": its record has two tags behind that.
            if name.startswith(CLOCK) and ";" not in name.removeprefix(CLOCK):
                clocks[name.removeprefix(CLOCK)] = text
            else:
                changed[name] = text
        return changed, clocks

    @staticmethod
    def size() -> Size | None:
        """How large the table is; None where this Kamailio cannot tell. It is counted slot by slot."""
        try:
            tables = {each["name"]: each for each in json.loads(ksr.table_sizes())["result"]}
            return Size(int(tables[RECORDS]["all"]), int(tables[RECORDS]["slots"]))
        except (ValueError, KeyError, TypeError):
            return None

    def publish_clock(self, clock: str, now: float) -> None:
        """Let the readers of other hosts' copies learn how this host's monotonic clock stands."""
        ksr.table_set(CHANGES, CLOCK + clock, f"{now:.3f}", CHANGE_LIFETIME)


def lifetime(record: Record) -> int:
    """Seconds that a record is kept after it was written."""
    if record.is_without_2xx:
        return UNCONFIRMED_LIFETIME
    timer = record.dialog.agreement
    return min((timer.interval if timer else 0) + GRACE, MOST_LIFETIME)


def lifetime_until_expiry(record: Record, at: At) -> int | None:
    """Seconds until the session expires, when nobody will ask any more (a proxy's record, RFC 4028 8.3).

    None where another host's clock says when that is.
    """
    timer = record.dialog.agreement
    if timer is None:
        return lifetime(record)
    now, clock = at
    if record.clock != clock:
        return None
    return min(max(1, timer.interval - int(now - record.at)), MOST_LIFETIME)


class LearnedMinSE:
    """The Min-SE that next hops have told us in a 422, for as long as the configuration says."""

    def __init__(self, lifetime: int) -> None:
        self._lifetime = lifetime

    def get(self, host: str) -> int | None:
        """Seconds; None if this host has told nothing lately."""
        text = ksr.table_get(LEARNED, host)
        return int(text) if text.isdecimal() else None

    def put(self, host: str, min_se: int, most: int | None) -> None:
        """A 422 binds its own call; others are asked for no more than `most` seconds because of it."""
        ksr.table_set(LEARNED, host, str(min(min_se, most or MOST_LEARNED)), self._lifetime)
