"""We are the UAS of RFC 4028 section 9, for an Asterisk that knows no session timers."""

from __future__ import annotations

from session_timer import (
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
from session_timer.uas import Reject

from . import edits, ksr, outcome
from .pending import Part, Pending
from .transaction import Transaction


def refuse(decision: Reject, peer: Peer) -> None:
    """Answer 422 with our Min-SE (RFC 4028 section 6)."""
    ksr.count("session_timer_422_sent")
    ksr.info(f"session timer: {ksr.pv('$ci')}: peer={peer.name} 422 sent, Min-SE {decision.min_se}")
    # Last: if anything of this fails, the request goes on, which an answered one must not.
    ksr.reply(422, "Session Interval Too Small", (f"Min-SE: {decision.min_se}",))


def refuse_malformed(malformed: HeaderError, policy: Policy) -> bool:
    """Answer 400 to a header that cannot be read. A proxy leaves it to the far end: False."""
    if policy.mode is not Mode.ANCHOR:
        return False
    ksr.count("session_timer_malformed")
    ksr.info(f"session timer: {ksr.pv('$ci')}: 400 sent, {malformed}")
    ksr.reply(400, f"Malformed {malformed.header}", ())
    return True


def request(transaction: Transaction, edge: Edge) -> Pending:
    """An INVITE or UPDATE goes to Asterisk: decide the timer, hide it, tell the companion."""
    known = transaction.record.dialog if transaction.record else None
    decision = _decide(transaction, known)
    if decision is None:
        return Pending(Part.UAS, transaction.peer.name, known or DialogTimer())
    edits.hide_timer()
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


def _decide(transaction: Transaction, known: DialogTimer | None) -> uas.Accept | None:
    """What to answer; None where 400 or 422 is due, but the script's request route did not send it."""
    policy = transaction.peer.policy
    try:
        received = RefreshRequest.read(transaction.method, ksr.rows, policy.floor)
    except HeaderError:
        return None
    decision = uas.answer(received, policy, known)
    return decision if isinstance(decision, uas.Accept) else None


def answer(transaction: Transaction, pending: Pending, code: int, at: outcome.At) -> Record | None:
    """Asterisk has answered: complete the 2xx; the record as it is from now on, None if there is none."""
    if code >= 300:
        return outcome.failed(transaction, code, at)
    edits.hide_values()
    edits.add_tag("Supported")
    if pending.session_expires:
        ksr.append((f"Session-Expires: {pending.session_expires}",))
    if pending.require_timer:
        edits.add_tag("Require")
    return outcome.agreed(transaction, pending.dialog, at)
