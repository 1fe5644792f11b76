"""We are the UAC of RFC 4028 section 7, for an Asterisk that knows no session timers."""

from __future__ import annotations

from dataclasses import replace

from session_timer import Edge, InternalHeader, Record, RefreshResponse, uac
from session_timer.dialog import DialogTimer

from . import edits, ksr, outcome
from .pending import Part, Pending
from .records import LearnedMinSE
from .transaction import Transaction


def announce() -> None:
    """Every request of a UA that knows session timers says so, but ACK (RFC 4028 7.1)."""
    edits.add_tag("Supported")


def request(transaction: Transaction, learned: LearnedMinSE, earlier: Pending | None) -> Pending:
    """An INVITE or UPDATE leaves Asterisk: ask for a timer, or keep the one there is.

    `earlier` is what a 422 taught within this very transaction.
    """
    policy = transaction.peer.policy
    known = transaction.record.dialog if transaction.record else None
    target = ksr.pv("$nh(d)")
    told = learned.get(transaction.peer.name or target)
    if earlier is not None:
        told = max(told or 0, earlier.min_se)
        known = known.with_min_se(earlier.min_se) if known else None
    headers = uac.request(policy, known, told)
    edits.hide_values()
    announce()
    lines = []
    if headers.session_expires is not None:
        lines.append(f"Session-Expires: {headers.session_expires}")
    if headers.min_se is not None:
        lines.append(f"Min-SE: {headers.min_se}")
    ksr.append(lines)
    if headers.require_timer:
        edits.add_tag("Require")
    if headers.proxy_require_timer:
        edits.add_tag("Proxy-Require")
    return Pending(
        part=Part.UAC,
        peer=transaction.peer.name,
        dialog=known or DialogTimer(),
        session_expires=str(headers.session_expires) if headers.session_expires else "",
        min_se=headers.min_se or 0,
        retries=earlier.retries if earlier else 0,
        destination=ksr.pv("$du"),
    )


def answer(
    transaction: Transaction, pending: Pending, code: int, at: outcome.At, edge: Edge
) -> Record | None:
    """The peer has answered: hide the timer from Asterisk, tell the companion, keep the record."""
    response = RefreshResponse.read(code, ksr.rows)
    record = transaction.record
    if not response.is_success:
        if code == 482 and pending.retries:
            _explain_loop(transaction, pending)
        if record is None:
            return None
        if code == 422 and uac.retry_with(response, pending.sent, pending.retries) is not None:
            # The failure route tries again: nothing has failed yet, and the companion must not try too.
            return replace(record, dialog=uac.rejected(record.dialog, response))
        after = outcome.failed(transaction, code, at)
        return after and replace(after, dialog=uac.rejected(after.dialog, response))
    if response.malformed:
        ksr.warn(f"session timer: {transaction.call_id}: ignored in a {code}: {response.malformed}")
    dialog = uac.accept(pending.sent, response, transaction.peer.policy, record.dialog if record else None)
    edits.hide_timer()
    told = InternalHeader(dialog.agreement, dialog.peer_allows_update, edge.rpc, transaction.peer.name)
    ksr.remove(edge.header)
    ksr.append((f"{edge.header}: {told.encode()}",))
    return outcome.agreed(transaction, dialog, at)


def _explain_loop(transaction: Transaction, pending: Pending) -> None:
    """RFC 4028 7.3 wants CSeq + 1 after a 422, which no proxy can give: a strict UAS answers 482.

    Asterisk gets just that: no answer would make it try again, and its next call has the Min-SE learned.
    """
    ksr.warn(
        f"session timer: {transaction.call_id}: peer={transaction.peer.name} took the retry after its 422 "
        f"for a loop and answered 482; set default_expires: {pending.min_se} in its profile, "
        "so that no call meets a 422"
    )


def retry(pending: Pending, learned: LearnedMinSE) -> Pending | None:
    """After a 422: what the next try must know, and the destination's Min-SE learned; None: no next try."""
    value = ksr.pv("$T_rpl($hdr(Min-SE))")
    told = RefreshResponse.read(422, lambda header: (value,) if header == "Min-SE" and value else ())
    min_se = uac.retry_with(told, pending.sent, pending.retries)
    ksr.count("session_timer_422_received")
    if min_se is None:
        ksr.info(f"session timer: {ksr.pv('$ci')}: peer={pending.peer} 422 not retried, Min-SE {value!r}")
        return None
    learned.put(pending.peer or ksr.pv("$nh(d)"), min_se)
    ksr.count("session_timer_422_retried")
    ksr.info(f"session timer: {ksr.pv('$ci')}: peer={pending.peer} 422 retried with Min-SE {min_se}")
    return replace(pending, min_se=min_se, retries=pending.retries + 1)
