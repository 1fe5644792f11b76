"""The onreply route: what a 2xx says when it goes on, and which record follows from a final response."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import NamedTuple

from session_timer import Failure, Peer, Record, RefreshResponse, Side, uac
from session_timer.dialog import DialogTimer
from session_timer.headers import parse_retry_after

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Branch, Found, Part, Refused, Waiting
from ..memory.records import At
from ..message_facts import Message
from ..parts import as_proxy, as_uac, as_uas
from ..parts.header_edits import Completed
from ..this_edge import ThisEdge
from . import retry_422


class Standing(Enum):
    """Where a dialog stands when a final response to an INVITE or UPDATE comes."""

    BEGINS = auto()
    """There is no record: the 2xx makes the first."""
    BEGUN_EARLY = auto()
    """The request began the dialog and there is a record: an UPDATE before the response has made it."""
    GOES_ON = auto()
    """There is a record, and the request was sent within the dialog."""
    LOST = auto()
    """The request was sent within the dialog, and there is no record: the 2xx makes one anew."""
    OVER = auto()
    """There was a record, and it has gone: a BYE has passed."""


class Transaction(NamedTuple):
    """Who sends what within which dialog."""

    message: Message
    """The response."""
    sender: Side
    """Whose request it answers."""
    peer: Peer
    record: Record | None

    @property
    def local_tag(self) -> str:
        """The tag of our end."""
        return self.message.from_tag if self.sender is Side.LOCAL else self.message.to_tag

    @property
    def name(self) -> str:
        """Tells this transaction from the others of its dialog."""
        return f"{self.sender}:{self.message.cseq}"


class Responses:
    """What is done to final responses."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def reply(self) -> None:
        """In the onreply route of an INVITE or UPDATE."""
        code = int(ksr.pv("$rs"))
        if code < 200:
            return
        branch = Branch.in_hand()
        waiting = branch.waiting()
        if waiting is None:
            return
        message = Message()
        if code < 300 and not ksr.has("CSeq"):
            # Kamailio cannot parse this 2xx's headers: nothing in it can be read, hidden or added, so nothing
            # may go on record. Without news there the companion probes.
            return
        if code >= 300:
            if branch.has_responded(message.to_tag):
                return
            branch.note_response(message.to_tag)
        if code == 422:
            branch_memory.keep_refused(Refused(branch, ksr.row("Min-SE") or ""))
        dialog = message.dialog
        self._edge.records.lock(dialog)
        try:
            self._responded(code, branch, waiting, message)
        finally:
            self._edge.records.unlock(dialog)

    def _responded(self, code: int, branch: Branch, waiting: Waiting, message: Message) -> None:
        pending = waiting.pending
        dialog = message.dialog
        record = self._edge.records.read(dialog, tell=True) if message.to_tag else None
        ours = Side.LOCAL if pending.from_asterisk else Side.REMOTE
        if (
            record is not None
            and pending.part is not Part.PROXY
            and record.sender(message.from_tag) is not ours
        ):
            # Made when the same call passed here as one of two strangers: whose end is whose it cannot know.
            record = None
        sender = ours if record is None else record.sender(message.from_tag)
        peer = self._edge.directory.named(pending.peer)
        transaction = Transaction(message, sender, peer, record)
        standing = self._standing(code, branch, waiting.found, transaction)
        if code < 300:
            completed = self._complete(code, transaction, waiting)
            new = self._agreed(code, transaction, completed.dialog, standing)
        elif standing is Standing.BEGUN_EARLY:
            self._edge.records.remove(dialog)
            return
        else:
            new = self._refused(code, transaction, waiting)
        if new is None or new is record:
            return
        if standing is Standing.BEGUN_EARLY:
            new = replace(new, peer=pending.peer)
        changed = (
            standing is Standing.LOST if record is None else record.dialog.agreement != new.dialog.agreement
        )
        self._edge.records.write(
            dialog, new, self._edge.now(), changed=changed, drop_at_expiry=pending.part is Part.PROXY
        )

    def _standing(self, code: int, branch: Branch, found: Found, transaction: Transaction) -> Standing:
        message = transaction.message
        if transaction.record is not None:
            return Standing.BEGUN_EARLY if found is Found.BEGINS else Standing.GOES_ON
        again = False
        if code < 300 and found is not Found.KNOWN:
            again = branch.has_responded(message.to_tag)
            if not again:
                branch.note_response(message.to_tag)
        if (found is Found.KNOWN or again) and not self._edge.records.has(message.dialog):
            return Standing.OVER
        return Standing.BEGINS if found is Found.BEGINS else Standing.LOST

    def _complete(self, code: int, transaction: Transaction, waiting: Waiting) -> Completed:
        """Make of a 2xx what its receiver is to see."""
        completed = self._decided(transaction, waiting)
        completed.edits.make()
        for defect in completed.defects:
            ksr.warn(
                f"session timer: {transaction.message.call_id}: peer={transaction.peer.name} "
                f"defect in a {code}: {defect}"
            )
        return completed

    def _decided(self, transaction: Transaction, waiting: Waiting) -> Completed:
        rows = transaction.message.rows
        record = transaction.record
        known = None if record is None else record.dialog
        match waiting.pending.part:
            case Part.UAS:
                completed = as_uas.complete(rows, waiting.decided)
                # Decided on when the request came: a 422 of the peer's may have been on the way since.
                min_se = None if known is None else known.min_se
                return completed._replace(dialog=completed.dialog.with_min_se(min_se))
            case Part.UAC:
                return as_uac.complete(rows, waiting.decided, transaction.peer, known, self._edge.config.edge)
            case Part.PROXY:
                return as_proxy.complete(rows, waiting.decided, transaction.sender, known)

    def _agreed(
        self, code: int, transaction: Transaction, dialog: DialogTimer, standing: Standing
    ) -> Record | None:
        if standing is Standing.OVER:
            call_id = transaction.message.call_id
            ksr.info(f"session timer: {call_id}: answered {code} when its record had gone")
            return None
        return agreed(transaction, dialog, self._edge.now())

    def _refused(self, code: int, transaction: Transaction, waiting: Waiting) -> Record | None:
        pending = waiting.pending
        if pending.part is not Part.UAC:
            return refused(transaction, code, self._edge.now())
        if code == 482 and pending.retries:
            retry_422.explain_loop(pending, transaction.message.call_id)
        record = transaction.record
        if record is None:
            return None
        response = RefreshResponse.read(code, transaction.message.rows.of)
        if code == 422 and uac.retry_with(response, pending.sent, pending.retries) is not None:
            # The failure route tries again: nothing has failed yet, and the companion must not try too.
            return replace(record, dialog=uac.rejected(record.dialog, response))
        after = refused(transaction, code, self._edge.now())
        return after and replace(after, dialog=uac.rejected(after.dialog, response))


def agreed(transaction: Transaction, dialog: DialogTimer, at: At) -> Record:
    """The record after a 2xx, with its line in the log."""
    now, clock = at
    record = transaction.record
    if record is not None:
        moved = record.refreshed(dialog, now, clock, transaction.name)
        if moved is not record:
            ksr.count(f"session_timer_refreshed_{transaction.sender}")
            if dialog.agreement != record.dialog.agreement:
                _log(transaction, dialog)
        return moved
    ksr.count("session_timer_negotiations" if dialog.agreement else "session_timer_without")
    _log(transaction, dialog)
    return Record(
        local_tag=transaction.local_tag,
        dialog=dialog,
        clock=clock,
        at=now,
        last=transaction.name,
        peer=transaction.peer.name,
    )


def refused(transaction: Transaction, code: int, at: At) -> Record | None:
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
        f"session timer: {transaction.message.call_id}: peer={transaction.peer.name} "
        f"refresh from {transaction.sender} answered {code}"
    )
    return record.failed(record.dialog, failure)


def _log(transaction: Transaction, dialog: DialogTimer) -> None:
    timer = dialog.agreement
    interval, refresher = (timer.interval, timer.refresher) if timer else (0, "none")
    ksr.info(
        f"session timer: {transaction.message.call_id}: peer={transaction.peer.name} interval={interval} "
        f"refresher={refresher} supported={int(dialog.peer_supports)}"
    )
