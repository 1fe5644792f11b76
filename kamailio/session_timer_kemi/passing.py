"""We are the proxy of RFC 4028 section 8: both ends run their own timers."""

from __future__ import annotations

from session_timer import HeaderError, Record, RefreshRequest, RefreshResponse, SessionExpires, proxy
from session_timer.dialog import DialogTimer
from session_timer.uas import Reject

from . import edits, ksr, outcome
from .pending import Part, Pending
from .transaction import Transaction


def request(transaction: Transaction) -> Pending:
    """An INVITE or UPDATE passes: ask for a timer by the rules of section 8.1."""
    known = transaction.record.dialog if transaction.record else DialogTimer()
    policy = transaction.peer.policy
    untouched = Pending(Part.PROXY, transaction.peer.name, known)
    try:
        received = RefreshRequest.read(transaction.method, ksr.rows, policy.floor)
    except HeaderError:
        return untouched  # the far end answers what neither of us can read
    decision = proxy.forward(received, policy, insist=policy.require_timer)
    if isinstance(decision, Reject):
        return untouched
    forward, asked = decision
    if forward.session_expires is not None:
        ksr.remove("Session-Expires")
        ksr.append((f"Session-Expires: {forward.session_expires}",))
    if forward.min_se is not None:
        ksr.remove("Min-SE")
        ksr.append((f"Min-SE: {forward.min_se}",))
    if forward.require_timer:
        edits.add_tag("Require")
    return Pending(
        part=Part.PROXY,
        peer=transaction.peer.name,
        dialog=known,
        session_expires=str(SessionExpires.of(asked.interval, asked.refresher)) if asked.interval else "",
        uac_supports=asked.uac_supports,
    )


def answer(transaction: Transaction, pending: Pending, code: int, at: outcome.At) -> Record | None:
    """The far end has answered: complete its 2xx by the rules of section 8.2, keep the record."""
    if code >= 300:
        return outcome.failed(transaction, code, at)
    record = transaction.record
    response = RefreshResponse.read(code, ksr.rows)
    known = record.dialog if record else None
    decision = proxy.complete(pending.asked, response, transaction.sender, known)
    if decision.session_expires is not None:
        ksr.append((f"Session-Expires: {decision.session_expires}",))
        edits.add_tag("Require")
    return outcome.agreed(transaction, decision.dialog, at)
