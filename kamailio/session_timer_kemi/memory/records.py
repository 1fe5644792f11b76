"""The dialogs' records in Kamailio's hash tables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from session_timer import Record, RecordError
from session_timer.record import CHANGES, CLOCK, RECORDS, split_key

from .. import ksr

LEARNED = "session_timer_min_se"

GRACE = 3600
"""Seconds that a record outlives its session interval, so that whoever asks late still learns the truth."""

MOST_LIFETIME = 30 * 86400
"""Seconds. RFC 4028 lets a peer name 136 years; htable counts with 31 bits, and memory is not for ever."""

CHANGE_LIFETIME = 60
"""Seconds a change stays listed; a companion reads the list every few seconds."""

At = tuple[float, str]
"""Monotonic seconds, and the name of the clock they were read from."""

_decode = lru_cache(64)(Record.decode)
"""The routes of one message read the same record, one after the other."""


def _readable(dialog: str, text: str, *, tell: bool) -> Record | None:
    try:
        return _decode(text)
    except RecordError as error:
        if tell:
            ksr.count("session_timer_unreadable_records")
            ksr.warn(f"session timer: {split_key(dialog)[0]}: {error}")
        return None


def clock_id() -> str:
    """Names this host's monotonic clock: it is set anew at each boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:13]


class Records:
    """Reads and writes records; a table that is full or a text that is not ours never stops a call.

    A dialog goes by the key of its record.
    """

    def read(self, dialog: str, *, tell: bool) -> Record | None:
        """The record of a dialog; None for none that this code can read, which `tell` counts and logs."""
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
        return _readable(dialog, text, tell=tell) if text else None

    def lock(self, dialog: str) -> None:
        """Until `unlock`: whoever changes a record by what stands in it must not be overtaken."""
        ksr.table_lock(RECORDS, dialog)

    def unlock(self, dialog: str) -> None:
        ksr.table_unlock(RECORDS, dialog)

    def has(self, dialog: str) -> bool:
        """Whether there is a record, be it one that this code cannot read."""
        return ksr.table_get(RECORDS, dialog) != ""

    def expired(self) -> tuple[str, Record | None]:
        """In htable's event: the dialog whose record goes, and what can be read of it."""
        dialog = ksr.pv("$shtrecord(key)")
        return dialog, _readable(dialog, ksr.pv("$shtrecord(value)"), tell=True)

    def write(self, dialog: str, record: Record, at: At, *, changed: bool, drop_at_expiry: bool) -> None:
        """Store `record`; one that says what the companion may not know yet is `changed`, and listed for it.

        `drop_at_expiry`: nobody will ask after the session has expired (a proxy's record, RFC 4028 8.3).
        """
        agreed = record.dialog.agreement
        interval = agreed.interval if agreed else 0
        lifetime = interval + GRACE
        if interval and drop_at_expiry:
            now, clock = at
            if record.clock != clock:
                # Only a refusal leaves another host's time in it, and is not worth a guess at what is left.
                return
            lifetime = max(1, interval - int(now - record.at))
        lifetime = min(lifetime, MOST_LIFETIME)
        text = record.encode()
        if not ksr.table_set(RECORDS, dialog, text, lifetime):
            ksr.count("session_timer_lost_records")
            ksr.warn(
                f"session timer: {split_key(dialog)[0]}: the hash table {RECORDS} did not take the record: "
                "is it full?"
            )
        if changed:
            ksr.table_set(CHANGES, dialog, text, CHANGE_LIFETIME)

    def remove(self, dialog: str) -> None:
        ksr.table_remove(RECORDS, dialog)

    def publish_clock(self, clock: str, now: float) -> None:
        """Let readers learn how this host's monotonic clock stands."""
        ksr.table_set(CHANGES, CLOCK + clock, f"{now:.3f}", CHANGE_LIFETIME)


class LearnedMinSE:
    """The Min-SE that destinations told us in a 422, for as long as the configuration says."""

    def __init__(self, lifetime: int) -> None:
        self._lifetime = lifetime

    def get(self, destination: str) -> int | None:
        """Seconds; None if this destination has told nothing lately."""
        text = ksr.table_get(LEARNED, destination)
        return int(text) if text.isdecimal() else None

    def put(self, destination: str, min_se: int) -> None:
        ksr.table_set(LEARNED, destination, str(min_se), self._lifetime)
