"""We are the UAC of RFC 4028 section 7, for an Asterisk that knows no session timers."""

from __future__ import annotations

from session_timer import Peer, RefreshResponse, uac
from session_timer.dialog import DialogTimer

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


@remembered
def announce(rows: Rows) -> Edits:
    """Every request of a UA that knows session timers says so, but ACK (RFC 4028 7.1)."""
    return with_tag("Supported", rows)


@remembered
def request(
    rows: Rows, peer: Peer, known: DialogTimer | None, told_min_se: int | None, earlier: Pending | None
) -> Relayed:
    """An INVITE or UPDATE leaves Asterisk: ask for a timer, or keep the one there is.

    `told_min_se` is what the destination was learned to want, in seconds; `earlier` is the try within
    this very transaction that a 422 ended.
    """
    retries = 0
    if earlier is not None:
        retries = earlier.retries
        told_min_se = max(told_min_se or 0, earlier.min_se)
        known = known.with_min_se(earlier.min_se) if known else None
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
        from_asterisk=True,
    )
    return Relayed(edits, pending, pending.encode())


@remembered
def complete(rows: Rows, decided: str, peer: Peer, known: DialogTimer | None) -> Completed:
    """The peer's 2xx, of whose request this was `decided`: hide the timer from Asterisk."""
    response = RefreshResponse.read(200, rows.of, peer.policy.floor)
    dialog = uac.accept(Pending.decode(decided).sent, response, peer.policy, known)
    return Completed(without_timer(rows), dialog, (*response.defects, *_bare(response, dialog, known)))


def _bare(response: RefreshResponse, dialog: DialogTimer, known: DialogTimer | None) -> tuple[str, ...]:
    """That a peer which knows timers leaves the one of this call out, and yet it goes on.

    Where we refresh one-sided already there is nothing that it could leave out.
    """
    running = None if known is None else known.agreement
    said = response.session_expires is not None or response.malformed is not None
    if said or running is None or running.one_sided or dialog.agreement is None:
        return ()
    return (f"no Session-Expires: the timer goes on one-sided, {dialog.agreement.interval} s",)
