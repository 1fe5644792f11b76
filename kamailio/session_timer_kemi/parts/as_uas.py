"""We are the UAS of RFC 4028 section 9, for an Asterisk that knows no session timers."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import Edge, HeaderError, InternalHeader, Mode, Peer, RefreshRequest, uas
from session_timer.dialog import DialogTimer
from session_timer.uas import Accept, Reject

from .. import ksr
from ..memory.branch_memory import Part, Pending
from ..message_facts import Rows, remembered
from .header_edits import (
    Completed,
    Edits,
    Relayed,
    with_only_row,
    with_row,
    with_tag,
    without_timer,
    without_values,
)


class Refusal(NamedTuple):
    """An answer of our own to a request, and what is told of it."""

    code: int
    reason: str
    row: str
    """A header row of the answer; empty for none."""
    told: str


@remembered
def screen(rows: Rows, method: str, peer: Peer) -> Refusal | None:
    """Whether a request from outside is refused before it goes anywhere; None: it may pass.

    A proxy leaves a header that cannot be read to the far end.
    """
    policy = peer.policy
    try:
        refusal = uas.too_small(RefreshRequest.read(method, rows.of, policy.floor), policy)
    except HeaderError as malformed:
        if policy.mode is not Mode.ANCHOR:
            return None
        reason = f"Malformed {malformed.header}"
        return Refusal(400, reason, "", f"400 sent, {malformed}")
    if refusal is None:
        return None
    return Refusal(
        code=422,
        reason="Session Interval Too Small",
        row=f"Min-SE: {refusal.min_se}\r\n",
        told=f"peer={peer.name} 422 sent, Min-SE {refusal.min_se}",
    )


def refuse(refusal: Refusal, call_id: str) -> None:
    """Answer 422 with our Min-SE (RFC 4028 section 6), or 400."""
    ksr.count("session_timer_malformed" if refusal.code == 400 else "session_timer_422_sent")
    ksr.info(f"session timer: {call_id}: {refusal.told}")
    # Last: if anything of this fails, the request goes on, which an answered one must not.
    ksr.reply(refusal.code, refusal.reason, refusal.row)


@remembered
def request(rows: Rows, method: str, peer: Peer, known: DialogTimer | None, edge: Edge) -> Relayed:
    """An INVITE or UPDATE goes to Asterisk: decide the timer, hide it, tell the companion."""
    decision = _decide(rows, method, peer, known)
    if not isinstance(decision, Accept):
        # 400 or 422 was due, but the script's request route did not send it.
        refused = Pending(Part.UAS, peer.name, known or DialogTimer())
        return Relayed(Edits((edge.header,)), refused.encode())
    dialog = decision.dialog
    told = InternalHeader(dialog.agreement, dialog.peer_allows_update, edge.rpc, peer.name)
    pending = Pending(
        part=Part.UAS,
        peer=peer.name,
        dialog=dialog,
        session_expires=str(decision.session_expires) if decision.session_expires else "",
        require_timer=decision.require_timer,
    )
    return Relayed(without_timer(rows).then(with_only_row(edge.header, told.encode())), pending.encode())


def _decide(rows: Rows, method: str, peer: Peer, known: DialogTimer | None) -> Accept | Reject | None:
    try:
        received = RefreshRequest.read(method, rows.of, peer.policy.floor)
    except HeaderError:
        return None
    return uas.answer(received, peer.policy, known)


@remembered
def complete(rows: Rows, kept: str) -> Completed:
    """The 2xx of Asterisk, of whose request this was `kept`: put the timer on it."""
    pending = Pending.decode(kept)
    edits = without_values(rows).then(with_tag("Supported", rows))
    if pending.session_expires:
        edits = edits.then(with_row("Session-Expires", pending.session_expires))
    if pending.require_timer:
        edits = edits.then(with_tag("Require", rows))
    return Completed(edits, pending.dialog)
