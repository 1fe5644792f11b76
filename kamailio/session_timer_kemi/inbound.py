"""We are the UAS of RFC 4028 section 9, for an Asterisk that knows no session timers."""

from __future__ import annotations

from session_timer import (
    TIMER,
    Edge,
    HeaderError,
    InternalHeader,
    Mode,
    Peer,
    Policy,
    Record,
    RefreshRequest,
    uas,
)
from session_timer.dialog import DialogTimer
from session_timer.headers import option_tags, without_tag
from session_timer.record import Failure
from session_timer.uas import Reject

from . import ksr
from .pending import Part, Pending
from .transaction import Transaction

At = tuple[float, str]
"""Monotonic seconds, and the name of the clock they were read from."""


def refuse(decision: Reject, peer: Peer) -> None:
    """Answer 422 with our Min-SE (RFC 4028 section 6)."""
    ksr.reply(422, "Session Interval Too Small", (f"Min-SE: {decision.min_se}",))
    ksr.count("session_timer_422_sent")
    ksr.info(f"session timer: {ksr.pv('$ci')}: peer={peer.name} 422 sent, Min-SE {decision.min_se}")


def refuse_malformed(malformed: HeaderError, policy: Policy) -> bool:
    """Answer 400 to a header that cannot be read. A proxy leaves it to the far end: False."""
    if policy.mode is Mode.PROXY:
        return False
    ksr.reply(400, f"Malformed {malformed.header}", ())
    ksr.count("session_timer_malformed")
    ksr.info(f"session timer: {ksr.pv('$ci')}: 400 sent, {malformed}")
    return True


def request(transaction: Transaction, edge: Edge) -> Pending:
    """An INVITE or UPDATE goes to Asterisk: decide the timer, hide it, tell the companion."""
    policy = transaction.peer.policy
    known = transaction.record.dialog if transaction.record else None
    decision = uas.answer(RefreshRequest.read(transaction.method, ksr.rows, policy.floor), policy, known)
    if isinstance(decision, Reject):
        # Where the script has no `on_request` nobody answers 422: then there is no timer.
        return Pending(Part.UAS, transaction.peer.name, known or DialogTimer())
    hide_timer()
    dialog = decision.dialog
    told = InternalHeader(dialog.agreement, dialog.peer_allows_update, edge.rpc, transaction.peer.name)
    ksr.append((f"{edge.header}: {told.encode()}",))
    return Pending(
        part=Part.UAS,
        peer=transaction.peer.name,
        dialog=dialog,
        session_expires=str(decision.session_expires) if decision.session_expires else "",
        require_timer=decision.require_timer,
    )


def answer(transaction: Transaction, pending: Pending, code: int, at: At) -> Record | None:
    """Asterisk has answered: complete the 2xx; the record as it is from now on, None if there is none."""
    record = transaction.record
    if code >= 300:
        return failed(transaction, code, at)
    lines = [f"Supported: {TIMER}"]
    if pending.session_expires:
        lines.append(f"Session-Expires: {pending.session_expires}")
    if pending.require_timer:
        lines.append(f"Require: {TIMER}")
    ksr.append(lines)
    return agreed(transaction, pending.dialog, record, at)


def hide_timer() -> None:
    """Take off what Asterisk is not to see: the timer's headers, and its tag in the lists of tags."""
    for header in ("Session-Expires", "Min-SE"):
        if ksr.rows(header):
            ksr.remove(header)
    for header in ("Supported", "Require", "Proxy-Require"):
        rows = ksr.rows(header)
        if TIMER in option_tags(rows):
            ksr.remove(header)
            rest = without_tag(rows[0], TIMER)
            ksr.append((f"{header}: {rest}",) if rest else ())


def agreed(transaction: Transaction, dialog: DialogTimer, record: Record | None, at: At) -> Record:
    """The record after a 2xx, with its line in the log."""
    now, clock = at
    if record is not None:
        return record.refreshed(dialog, now, clock, transaction.name)
    agreement = dialog.agreement
    interval, refresher = (agreement.interval, agreement.refresher) if agreement else (0, "none")
    ksr.count("session_timer_negotiations" if agreement else "session_timer_without")
    ksr.info(
        f"session timer: {transaction.call_id}: peer={transaction.peer.name} interval={interval} "
        f"refresher={refresher} supported={int(dialog.peer_supports)}"
    )
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
    wait = ksr.pv("$hdr(Retry-After)").split(";")[0].split("(")[0].strip()
    failure = Failure(
        code, transaction.sender, at[0], int(wait) if wait.isdigit() and len(wait) < 7 else None
    )
    ksr.count("session_timer_refreshes_failed")
    ksr.info(
        f"session timer: {transaction.call_id}: peer={transaction.peer.name} "
        f"refresh from {transaction.sender} answered {code}"
    )
    return record.failed(record.dialog, failure)
