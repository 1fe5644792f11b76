"""The onreply route: what a 2xx says when it goes on, and which record follows from a final response."""

from __future__ import annotations

import re
from contextlib import suppress

from session_timer import InternalHeader, Outcome, Record, RefreshResponse, Side, uac
from session_timer.dialog import DialogTimer
from session_timer.headers import parse_retry_after
from session_timer.record import key

from .. import ksr
from ..memory.branch_memory import Branch, Found, Part, Waiting
from ..memory.records import UNCONFIRMED_LIFETIME, lifetime, lifetime_until_expiry
from ..message_facts import REFRESHES, Form, Rows, cseq, read_2xx
from ..parts import as_proxy, as_uac, as_uas, defects
from ..this_edge import ThisEdge
from . import retry_422
from .transaction import Standing, Transaction

MOST_FORKS = 12
"""Dialogs that one request may begin on a branch: whoever is called chooses their tags, and so the number."""

_FINAL = re.compile(r"SIP/2\.0 [2-6].*?\nCSeq[ \t]*:[ \t]*[0-9]+[ \t]+(?:INVITE|UPDATE)", re.I | re.DOTALL)

_ENDS_A_DIALOG = (408, 481)
"""What a BYE may be answered, besides a 2xx, when the dialog is over (RFC 3261 15.1.1)."""


class Responses:
    """What is done to final responses."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def reply(self) -> None:
        """In the onreply route of an INVITE, an UPDATE or a BYE."""
        code = int(ksr.pv("$rs"))
        if code < 200:
            return
        number, to_tag = ksr.pvs("$T_branch_idx", "$tt")
        branch = Branch(number or "0")
        waiting = branch.waiting()
        if waiting is None:
            if code < 300 or code in _ENDS_A_DIALOG:
                self._ended_by_bye(code)
        elif code < 300:
            try:
                self._accepted(code, branch, waiting, to_tag)
            except Exception:
                self._forget(waiting, to_tag)
                raise
        elif branch.note_response(to_tag) is not None:
            if code == 422 and waiting.found is Found.BEGINS:
                retry_422.note(branch)
            self._refused(code, waiting, to_tag)

    def stray(self, text: str) -> None:
        """In the core's reply route, with the whole message: it may come when tm waits for it no longer.

        A refresh of ours is waited for less long than a slow peer may take. No onreply route runs for such
        a response, and yet it shows that the peer is there.
        """
        if _FINAL.match(text) is None or ksr.belongs_to_a_transaction():
            return
        code, method, call_id, from_tag, to_tag, number = ksr.pvs("$rs", "$rm", "$ci", "$ft", "$tt", "$cs")
        if method not in REFRESHES or not to_tag:
            return
        now, clock = self._edge.now()

        def heard(record: Record) -> Record:
            if record.sender(from_tag) is not Side.LOCAL:
                return record
            return record.late(Side.LOCAL, method, cseq(number), code=int(code), now=now, clock=clock)

        self._edge.records.change(key(call_id, from_tag, to_tag), heard)

    def _ended_by_bye(self, code: int) -> None:
        method, call_id, from_tag, to_tag = ksr.pvs("$rm", "$ci", "$ft", "$tt")
        if method != "BYE":
            return
        dialog = key(call_id, from_tag, to_tag)
        if code >= 300 and self._is_reversed(dialog, from_tag):
            ksr.info(
                f"session timer: {call_id}: BYE was answered {code}, for its tags are the wrong way round: "
                "the record stays"
            )
            return
        self._edge.records.remove(dialog)

    def _is_reversed(self, dialog: str, from_tag: str) -> bool:
        """Whether Asterisk responds to a request that has its own tag in From: it knows no such dialog."""
        record = self._edge.records.read_any(dialog, log=False)
        if record is None or record.placed is None or record.sender(from_tag) is not Side.LOCAL:
            return False
        return self._edge.directory.find("", ksr.pv("$si"), "").is_asterisk

    def _accepted(self, code: int, branch: Branch, waiting: Waiting, to_tag: str) -> None:
        """A 2xx passes: it is completed, and the record follows from it."""
        of_asterisk = waiting.pending.part is Part.UAS
        rows, form = read_2xx(of_asterisk=of_asterisk)
        if form.uncertain is not None:
            call = f"session timer: {waiting.call_id}: peer={waiting.pending.peer}"
            defects.tell(call, str(code), [str(form.uncertain)])
        if rows is None or form.uncertain is not None:
            # Nothing in it can be read, hidden or added, or its dialog is not certain.
            self._forget(waiting, to_tag)
            return
        dialog = key(waiting.call_id, waiting.from_tag, to_tag)
        records = self._edge.records
        records.lock(dialog)
        try:
            transaction = self._transaction(code, dialog, waiting, to_tag)
            timer = self._complete(code, rows, form, transaction)
            standing, earlier = self._standing(branch, transaction)
            if standing is Standing.OVER:
                ksr.info(f"session timer: {waiting.call_id}: answered {code} when its record had gone")
            elif standing is not Standing.ONE_FORK_TOO_MANY:
                self._write(transaction, self._agreed(transaction, timer, standing), standing, earlier)
        finally:
            records.unlock(dialog)

    def _forget(self, waiting: Waiting, to_tag: str) -> None:
        """A 2xx passes that is not written down: what the record says until then is no proof any more.

        Where nothing of it can be read, neither can its To tag; within a dialog the request had it.
        """
        with suppress(Exception):
            self._edge.records.remove(key(waiting.call_id, waiting.from_tag, to_tag or waiting.to_tag))

    def _refused(self, code: int, waiting: Waiting, to_tag: str) -> None:
        """A final response passes that is no 2xx."""
        if code == 482 and waiting.pending.retries:
            retry_422.explain_loop(waiting.pending, waiting.call_id)
        if not to_tag:
            return
        dialog = key(waiting.call_id, waiting.from_tag, to_tag)
        records = self._edge.records
        records.lock(dialog)
        try:
            transaction = self._transaction(code, dialog, waiting, to_tag)
            if transaction.record is None:
                return
            if waiting.found is Found.BEGINS:  # an UPDATE before the response had made the record
                records.remove(dialog)
                return
            new = self._ended(code, transaction, transaction.record)
            self._write(transaction, new, Standing.GOES_ON, 0)
        finally:
            records.unlock(dialog)

    def _transaction(self, code: int, dialog: str, waiting: Waiting, to_tag: str) -> Transaction:
        pending = waiting.pending
        record = self._edge.records.read_any(dialog, log=True) if to_tag else None
        if record is not None and record.is_without_2xx and code < 300:
            record = None
        sender = pending.sender
        if record is not None:
            recorded = record.sender(waiting.from_tag)
            if pending.part is Part.PROXY:
                sender = recorded
            elif recorded is not sender:
                # Made when the call passed here as one of two strangers: whose end is whose it cannot know.
                record = None
        return Transaction(
            waiting=waiting,
            dialog=dialog,
            to_tag=to_tag,
            sender=sender,
            peer=self._edge.directory.named(pending.peer),
            record=record,
        )

    def _write(self, transaction: Transaction, new: Record, standing: Standing, earlier: int) -> None:
        record, pending = transaction.record, transaction.waiting.pending
        if new is record:
            return
        if standing is Standing.BEGUN_EARLY:
            new = new._replace(peer=pending.peer)
        changed = (
            standing is Standing.LOST if record is None else record.dialog.agreement != new.dialog.agreement
        )
        kept: int | None = lifetime(new)
        if pending.part is Part.PROXY:
            # Only a refusal leaves another host's time in a record, and is not worth a guess at what is left.
            kept = lifetime_until_expiry(new, self._edge.now())
        elif standing is Standing.BEGINS and earlier:
            kept = UNCONFIRMED_LIFETIME
        if kept is not None:
            self._edge.records.write(transaction.dialog, new, lifetime=kept, changed=changed)

    def _standing(self, branch: Branch, transaction: Transaction) -> tuple[Standing, int]:
        """Where the dialog stands at a 2xx, and how many others its request has begun on this branch."""
        found = transaction.waiting.found
        if transaction.record is not None:
            return (Standing.BEGUN_EARLY if found is Found.BEGINS else Standing.GOES_ON), 0
        had_one = found in (Found.KNOWN, Found.ANEW)
        earlier = 0 if had_one else branch.note_response(transaction.to_tag)
        again = earlier is None
        earlier = earlier or 0
        if (had_one or again) and not self._edge.records.text(transaction.dialog):
            return Standing.OVER, earlier
        if found is not Found.BEGINS:
            return Standing.LOST, earlier
        return (Standing.BEGINS if earlier < MOST_FORKS else Standing.ONE_FORK_TOO_MANY), earlier

    def _complete(self, code: int, rows: Rows, form: Form, transaction: Transaction) -> DialogTimer:
        """Make of a 2xx what its receiver is to see; returns what it brings into force."""
        waiting, record = transaction.waiting, transaction.record
        known = None if record is None else record.dialog
        part = waiting.pending.part
        if part is Part.UAS:
            completed = as_uas.complete(rows, waiting.decided)
        elif part is Part.UAC:
            completed = as_uac.complete(rows, waiting.decided, transaction.peer, known)
        else:
            completed = as_proxy.complete(rows, waiting.decided, transaction.sender, known)
        completed.edits.make()
        dialog = completed.dialog
        if part is Part.UAC and waiting.method == "INVITE":  # the only 2xx in which Asterisk reads our header
            told = InternalHeader(
                agreement=dialog.agreement,
                peer_allows_update=dialog.peer_allows_update,
                edge=self._edge.config.edge.name,
                peer=transaction.peer.name,
                placed=_placed(waiting, record),
            )
            self._edge.tell(told, waiting.call_id, transaction.to_tag)
        if found := (*completed.defects, *form.oddities):
            defects.tell(transaction.call, str(code), found)
        if part is Part.UAS and known is not None:
            # Decided on when the request came: a 422 of the peer's may have been on the way since.
            return dialog.with_min_se(known.min_se)
        return dialog

    def _agreed(self, transaction: Transaction, dialog: DialogTimer, standing: Standing) -> Record:
        """The record after a 2xx, with its line in the log."""
        now, clock = self._edge.now()
        record, waiting = transaction.record, transaction.waiting
        if record is not None:
            moved = record.refreshed(dialog, now, clock, transaction.name, waiting.method)
            if moved is record:
                return record
            if standing is Standing.BEGUN_EARLY:
                return moved._replace(on_path=self._on_path(transaction, dialog))
            ksr.count(f"session_timer_refreshed_{transaction.sender}")
            if dialog.agreement != record.dialog.agreement:
                _log(transaction, dialog)
            return moved
        ksr.count("session_timer_negotiations" if dialog.agreement else "session_timer_without")
        _log(transaction, dialog)
        begins = standing is Standing.BEGINS
        return Record(
            local_tag=transaction.local_tag,
            dialog=dialog,
            clock=clock,
            at=now,
            last=transaction.name,
            peer=transaction.peer.name,
            on_path=self._on_path(transaction, dialog) if begins else transaction.sender is Side.LOCAL,
            placed=_placed(waiting, None),
            far=waiting.far,
        )

    def _on_path(self, transaction: Transaction, dialog: DialogTimer) -> bool:
        """Whether the requests of a dialog that this 2xx begins will pass here."""
        if transaction.waiting.pending.part is Part.PROXY or ksr.is_routed_through_us():
            return True
        if dialog.agreement is not None:
            ksr.warn(
                f"{transaction.call} no Record-Route of this edge in the 2xx: the call's requests go past "
                "it, so nothing that it misses counts against the peer. Does the script call record_route()?"
            )
        return False

    def _ended(self, code: int, transaction: Transaction, record: Record) -> Record:
        """The record after a request within the dialog was answered by an error."""
        waiting = transaction.waiting
        now, clock = self._edge.now()
        ksr.count(f"session_timer_refused_{transaction.sender}")
        ksr.info(f"{transaction.call} refresh from {transaction.sender} answered {code}")
        after = record.ended(
            transaction.sender,
            waiting.method,
            waiting.cseq,
            Outcome.REFUSED,
            code=code,
            now=now,
            clock=clock,
            retry_after=parse_retry_after(ksr.pv("$hdr(Retry-After)")),
        )
        if waiting.pending.part is not Part.UAC or code != 422:
            return after
        response = RefreshResponse.read(code, Rows.read().of, transaction.peer.policy.floor)
        return after._replace(dialog=uac.rejected(after.dialog, response))


def _placed(waiting: Waiting, record: Record | None) -> Side | None:
    if record is not None:
        return record.placed
    return waiting.pending.placed if waiting.found is Found.BEGINS else None


def _log(transaction: Transaction, dialog: DialogTimer) -> None:
    timer = dialog.agreement
    interval, refresher = (timer.interval, timer.refresher) if timer else (0, "none")
    ksr.info(
        f"{transaction.call} interval={interval} refresher={refresher} supported={int(dialog.peer_supports)}"
    )
