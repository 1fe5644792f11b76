"""htable's event for a record whose lifetime is over: as a proxy the edge may end the session by BYE."""

from __future__ import annotations

from session_timer import Record
from session_timer.record import split_key

from .. import ksr
from ..this_edge import ThisEdge


class ExpiredRecords:
    """What is done about records that go."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def expired(self) -> None:
        """In htable's event route."""
        dialog, record = self._edge.records.expired()
        call_id, one_tag, other_tag = split_key(dialog)
        ksr.count("session_timer_expired")
        over = record is not None and self._is_over(record)
        ended = over and ksr.end_dialog(call_id, one_tag, other_tag)
        ksr.info(
            f"session timer: {call_id}: expired, {'BYE sent to both sides' if ended else 'record dropped'}"
        )

    def _is_over(self, record: Record) -> bool:
        """Whether the session itself has expired, and is ours to end.

        Records of sessions without timer go too, and htable goes by whole seconds of the wall clock, which
        can be set: only who knows the record's own clock can tell.
        """
        timer = record.dialog.agreement
        now, clock = self._edge.now()
        if timer is None or record.clock != clock:
            return False
        profile = self._edge.directory.named(record.peer)
        return now - record.at > timer.interval - 1 and self._edge.ends_by_bye(profile.policy)
