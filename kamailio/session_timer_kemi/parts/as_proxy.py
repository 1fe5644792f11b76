"""We are the proxy of RFC 4028 section 8: both ends run their own timers."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import HeaderError, Peer, RefreshRequest, RefreshResponse, SessionExpires, Side, proxy
from session_timer.dialog import DialogTimer
from session_timer.minimum import Reject

from ..memory.branch_memory import Part, Pending
from ..message_facts import Rows, remembered
from .header_edits import Completed, Edits, Relayed, with_only_row, with_row, with_tag


class Ends(NamedTuple):
    """Which end of a request is an Asterisk of ours."""

    from_asterisk: bool
    to_asterisk: bool


@remembered
def request(rows: Rows, method: str, peer: Peer, known: DialogTimer | None, ends: Ends) -> Relayed:
    """An INVITE or UPDATE passes: ask for a timer by the rules of section 8.1."""
    dialog = known or DialogTimer()
    refused = Pending(
        Part.PROXY, peer.name, dialog, from_asterisk=ends.from_asterisk, to_asterisk=ends.to_asterisk
    )
    untouched = Relayed(Edits(), refused, refused.encode())
    try:
        received = RefreshRequest.read(method, rows.of, peer.policy.floor)
    except HeaderError:
        return untouched  # the far end answers what neither of us can read
    decision = proxy.forward(received, peer.policy, known, insist=peer.policy.require_timer)
    if isinstance(decision, Reject):
        return untouched
    forward, asked = decision
    edits = Edits()
    if forward.session_expires is not None:
        edits = edits.then(with_only_row("Session-Expires", forward.session_expires))
    if forward.min_se is not None:
        edits = edits.then(with_only_row("Min-SE", forward.min_se))
    if forward.require_timer:
        edits = edits.then(with_tag("Require", rows))
    pending = Pending(
        part=Part.PROXY,
        peer=peer.name,
        dialog=dialog,
        session_expires=str(SessionExpires.of(asked.interval, asked.refresher)) if asked.interval else "",
        uac_supports=asked.uac_supports,
        from_asterisk=ends.from_asterisk,
        to_asterisk=ends.to_asterisk,
    )
    return Relayed(edits, pending, pending.encode())


@remembered
def complete(rows: Rows, decided: str, sender: Side, known: DialogTimer | None) -> Completed:
    """The far end's 2xx, of whose request this was `decided`: complete it by the rules of section 8.2."""
    response = RefreshResponse.read(200, rows.of)
    decision = proxy.complete(Pending.decode(decided).asked, response, sender, known)
    edits = Edits()
    if decision.session_expires is not None:
        edits = with_row("Session-Expires", decision.session_expires).then(with_tag("Require", rows))
    return Completed(edits, decision.dialog, response.defects)
