"""We are the UAC of RFC 4028 section 7, for an Asterisk that knows no session timers."""

from __future__ import annotations

from dataclasses import replace

from session_timer import Edge, InternalHeader, Peer, Record, RefreshResponse, uac
from session_timer.dialog import DialogTimer

from . import ksr, outcome
from .branch_memory import Completed, Part, Pending, Relayed
from .header_edits import Edits, with_only_row, with_row, with_tag, without_timer, without_values
from .message_facts import Rows, remembered
from .records import At
from .transaction import Transaction


@remembered
def announce(rows: Rows) -> Edits:
    """Every request of a UA that knows session timers says so, but ACK (RFC 4028 7.1)."""
    return with_tag("Supported", rows)


@remembered
def request(
    rows: Rows, peer: Peer, known: DialogTimer | None, told_min_se: int | None, earlier: str
) -> Relayed:
    """An INVITE or UPDATE leaves Asterisk: ask for a timer, or keep the one there is.

    `told_min_se` is what the destination was learned to want, in seconds; `earlier` was kept of a try
    within this very transaction that a 422 ended.
    """
    retries = 0
    if earlier:
        refused = Pending.decode(earlier)
        retries = refused.retries
        told_min_se = max(told_min_se or 0, refused.min_se)
        known = known.with_min_se(refused.min_se) if known else None
    headers = uac.request(peer.policy, known, told_min_se)
    edits = without_values(rows).then(announce(rows))
    if headers.session_expires is not None:
        edits = edits.then(with_row("Session-Expires", headers.session_expires))
    if headers.min_se is not None:
        edits = edits.then(with_row("Min-SE", headers.min_se))
    if headers.require_timer:
        edits = edits.then(with_tag("Require", rows))
    if headers.proxy_require_timer:
        edits = edits.then(with_tag("Proxy-Require", rows))
    pending = Pending(
        part=Part.UAC,
        peer=peer.name,
        dialog=known or DialogTimer(),
        session_expires=str(headers.session_expires) if headers.session_expires else "",
        min_se=headers.min_se or 0,
        retries=retries,
        recorded=known is not None,
        from_asterisk=True,
    )
    return Relayed(edits, pending.encode())


@remembered
def complete(rows: Rows, kept: str, peer: Peer, known: DialogTimer | None, edge: Edge) -> Completed:
    """The peer's 2xx, of whose request this was `kept`: hide the timer from Asterisk, tell the companion."""
    response = RefreshResponse.read(200, rows.of)
    dialog = uac.accept(Pending.decode(kept).sent, response, peer.policy, known)
    told = InternalHeader(dialog.agreement, dialog.peer_allows_update, edge.rpc, peer.name)
    mark = with_only_row(edge.header, told.encode())
    return Completed(without_timer(rows).then(mark), dialog, response.malformed)


def failed(transaction: Transaction, pending: Pending, code: int, at: At) -> Record | None:
    """The peer has refused a request of which this was `pending`: the record after it, if there is one."""
    if code == 482 and pending.retries:
        _explain_loop(pending, transaction.call_id)
    record = transaction.record
    if record is None:
        return None
    response = RefreshResponse.read(code, Rows.read().of)
    if code == 422 and uac.retry_with(response, pending.sent, pending.retries) is not None:
        # The failure route tries again: nothing has failed yet, and the companion must not try too.
        return replace(record, dialog=uac.rejected(record.dialog, response))
    after = outcome.failed(transaction, code, at)
    return after and replace(after, dialog=uac.rejected(after.dialog, response))


def _explain_loop(pending: Pending, call_id: str) -> None:
    """RFC 4028 7.3 wants CSeq + 1 after a 422, which no proxy can give: a strict UAS answers 482.

    Asterisk gets just that: no answer would make it try again, and its next call has the Min-SE learned.
    """
    ksr.warn(
        f"session timer: {call_id}: peer={pending.peer} took the retry after its 422 for a loop and answered "
        f"482; set default_expires: {pending.min_se} in its profile, so that no call meets a 422"
    )


def retry(pending: Pending, value: str) -> Pending | None:
    """After a 422 with this Min-SE, empty for none: what the next try must know; None: no next try."""
    told = RefreshResponse.read(422, lambda header: (value,) if header == "Min-SE" and value else ())
    min_se = uac.retry_with(told, pending.sent, pending.retries)
    ksr.count("session_timer_422_received")
    if min_se is None:
        ksr.info(f"session timer: {ksr.pv('$ci')}: peer={pending.peer} 422 not retried, Min-SE {value!r}")
        return None
    ksr.count("session_timer_422_retried")
    ksr.info(f"session timer: {ksr.pv('$ci')}: peer={pending.peer} 422 retried with Min-SE {min_se}")
    return replace(pending, min_se=min_se, retries=pending.retries + 1)
