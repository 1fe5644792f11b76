"""What became of a negotiation or a refresh: the record as it is from now on, and a line in the log."""

from __future__ import annotations

from session_timer import Failure, Record
from session_timer.dialog import DialogTimer
from session_timer.headers import parse_retry_after

from . import ksr
from .records import At
from .transaction import Transaction


def agreed(transaction: Transaction, dialog: DialogTimer, at: At) -> Record:
    """The record after a 2xx, with its line in the log."""
    now, clock = at
    record = transaction.record
    if record is not None:
        moved = record.refreshed(dialog, now, clock, transaction.name)
        if moved is not record:
            ksr.count(f"session_timer_refreshed_{transaction.sender}")
            if dialog.agreement != record.dialog.agreement:
                _tell(transaction, dialog)
        return moved
    ksr.count("session_timer_negotiations" if dialog.agreement else "session_timer_without")
    _tell(transaction, dialog)
    return Record(
        local_tag=transaction.local_tag,
        dialog=dialog,
        clock=clock,
        at=now,
        last=transaction.name,
        peer=transaction.peer.name,
    )


def failed(transaction: Transaction, code: int, at: At) -> Record | None:
    """The record after a refresh was answered by an error."""
    record = transaction.record
    if record is None:
        return None
    now, clock = at
    failure = Failure(
        code=code,
        sender=transaction.sender,
        at=now,
        retry_after=parse_retry_after(ksr.pv("$hdr(Retry-After)")),
        clock="" if clock == record.clock else clock,
    )
    ksr.count(f"session_timer_refused_{transaction.sender}")
    ksr.info(
        f"session timer: {transaction.call_id}: peer={transaction.peer.name} "
        f"refresh from {transaction.sender} answered {code}"
    )
    return record.failed(record.dialog, failure)


def _tell(transaction: Transaction, dialog: DialogTimer) -> None:
    agreed = dialog.agreement
    interval, refresher = (agreed.interval, agreed.refresher) if agreed else (0, "none")
    ksr.info(
        f"session timer: {transaction.call_id}: peer={transaction.peer.name} interval={interval} "
        f"refresher={refresher} supported={int(dialog.peer_supports)}"
    )
