"""We are the UAS of RFC 4028 section 9, for an Asterisk that knows no session timers."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import HeaderError, Mode, Peer, RefreshRequest, uas
from session_timer.dialog import DialogTimer
from session_timer.minimum import Reject, too_small
from session_timer.uas import Accept

from .. import ksr
from ..memory.branch_memory import Part, Pending
from ..message_facts import Rows, remembered
from .header_edits import (
    Completed,
    Edits,
    Relayed,
    with_row,
    with_tag,
    without_timer,
    without_values,
)


class Refusal(NamedTuple):
    """A final response of our own to a request."""

    code: int
    reason: str
    row: str
    """A header row of the response; empty for none."""
    log: str
    """What the log says of it."""


@remembered
def screen(rows: Rows, method: str, peer: Peer, known: DialogTimer | None) -> Refusal | None:
    """Whether a request from outside is refused before it goes anywhere; None: it may pass.

    A proxy leaves a header that cannot be read to the far end.
    """
    policy = peer.policy
    try:
        refusal = too_small(RefreshRequest.read(method, rows.of, policy.floor), policy, known)
    except HeaderError as error:
        return None if policy.mode is not Mode.ANCHOR else malformed(error)
    if refusal is None:
        return None
    return Refusal(
        code=422,
        reason="Session Interval Too Small",
        row=f"Min-SE: {refusal.min_se}\r\n",
        log=f"peer={peer.name} 422 sent, Min-SE {refusal.min_se}",
    )


def malformed(error: HeaderError) -> Refusal:
    """A request is refused because of a header whose meaning is not certain."""
    return Refusal(400, f"Malformed {error.header}", "", f"400 sent, {error}")


def refuse(refusal: Refusal, call_id: str) -> None:
    """Answer 422 with our Min-SE (RFC 4028 section 6), or 400."""
    ksr.count("session_timer_malformed" if refusal.code == 400 else "session_timer_422_sent")
    ksr.info(f"session timer: {call_id}: {refusal.log}")
    # Last: if anything of this fails, the request goes on, which an answered one must not.
    ksr.reply(refusal.code, refusal.reason, refusal.row)


@remembered
def request(rows: Rows, method: str, peer: Peer, known: DialogTimer | None) -> Relayed:
    """An INVITE or UPDATE goes to Asterisk: decide the timer, and hide it."""
    decision, oddities = _decide(rows, method, peer, known)
    if not isinstance(decision, Accept):
        # 400 or 422 was due, but the script's request route did not send it.
        refused = Pending(Part.UAS, peer.name, known or DialogTimer(), to_asterisk=True)
        return Relayed(Edits(), refused, refused.encode())
    dialog = decision.dialog
    pending = Pending(
        part=Part.UAS,
        peer=peer.name,
        dialog=dialog,
        session_expires=str(decision.session_expires) if decision.session_expires else "",
        require_timer=decision.require_timer,
        to_asterisk=True,
    )
    return Relayed(without_timer(rows), pending, pending.encode(), dialog, oddities)


def _decide(
    rows: Rows, method: str, peer: Peer, known: DialogTimer | None
) -> tuple[Accept | Reject | None, tuple[str, ...]]:
    try:
        received = RefreshRequest.read(method, rows.of, peer.policy.floor)
    except HeaderError:
        return None, ()
    return uas.answer(received, peer.policy, known), received.oddities


@remembered
def complete(rows: Rows, decided: str) -> Completed:
    """The 2xx of Asterisk, of whose request this was `decided`: put the timer on it."""
    pending = Pending.decode(decided)
    edits = without_values(rows).then(with_tag("Supported", rows))
    if pending.session_expires:
        edits = edits.then(with_row("Session-Expires", pending.session_expires))
    if pending.require_timer:
        edits = edits.then(with_tag("Require", rows))
    return Completed(edits, pending.dialog)
