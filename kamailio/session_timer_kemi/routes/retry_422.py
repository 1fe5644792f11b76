"""A 422 of the far side to the INVITE that begins a call: another try with the Min-SE that it names.

Within a dialog nothing is sent twice: there RFC 4028 7.3 wants a CSeq of its own, which only Asterisk can
give.
"""

from __future__ import annotations

from dataclasses import replace

from session_timer import RefreshResponse, uac
from session_timer.headers import LONGEST_VALUE

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Aim, Branch, Pending, Refused
from ..this_edge import ThisEdge

MENDED_BY_THE_CALLER = ("401", "407", "415", "420", "484")
"""Whoever gets one of these sends the request anew, to every branch; tm prefers them (RFC 3261 16.7)."""


def note(branch: Branch) -> None:
    """In the onreply route, at a 422 to an INVITE that begins a call."""
    min_se = (ksr.row("Min-SE") or "")[: LONGEST_VALUE + 1]
    uri, flags = ksr.pvs("$T_branch(uri)", "$bf")
    branch_memory.add_refused(Refused(branch.number, min_se, uri, int(flags or 0)))


def retry(edge: ThisEdge, code: str) -> bool:
    """In the failure route. True: the request is to be relayed once more, to those that answered 422.

    `code` is the response that tm has chosen: another branch may have been answered 404. Whoever wants a
    longer interval may still take the call, so he is asked. Not where the caller can mend all at once, where
    there is another place to go to (3xx), and where nobody is to be asked any more (6xx).
    Each is asked for what he himself wants: what one callee says is not to bind what another agrees to.
    """
    sensible = code.startswith("4") and code not in MENDED_BY_THE_CALLER
    retries: dict[str, Pending] = {}
    for each in branch_memory.take_refused():
        again = _next_try(each)
        aim = Branch(each.number).aim()
        if again is None or aim is None:
            continue
        _learn(edge, again, aim)
        if not sensible:
            continue
        number = Branch.in_hand().number
        if not ksr.add_branch(each.uri, aim.destination, aim.path, aim.socket, each.flags):
            call = f"session timer: {ksr.pv('$ci')}: peer={again.peer}"
            ksr.warn(f"{call} 422 not retried: Kamailio takes no more branches")
            continue
        retries[number] = again
        ksr.count("session_timer_422_retried")
        ksr.info(f"session timer: {ksr.pv('$ci')}: peer={again.peer} 422 retried with Min-SE {again.min_se}")
    if retries:
        branch_memory.keep_retries(retries)
    return bool(retries)


def _learn(edge: ThisEdge, again: Pending, aim: Aim) -> None:
    """Let the next call to the same place ask for enough at once."""
    edge.learned.put(aim.host, again.min_se, edge.directory.named(again.peer).policy.max_expires)


def _next_try(refused: Refused) -> Pending | None:
    """After this 422, what the next try must know; None: no next try."""
    waiting = Branch(refused.number).waiting()
    if waiting is None:
        return None
    pending = waiting.pending
    response = RefreshResponse.read(
        422, lambda header: (refused.min_se,) if header == "Min-SE" and refused.min_se else ()
    )
    min_se = uac.retry_with(response, pending.sent, pending.retries)
    ksr.count("session_timer_422_received")
    if min_se is None:
        call = f"session timer: {waiting.call_id}: peer={pending.peer}"
        ksr.info(f"{call} 422 not retried, Min-SE {refused.min_se!r}")
        return None
    return replace(pending, min_se=min_se, retries=pending.retries + 1)


def explain_loop(pending: Pending, call_id: str) -> None:
    """Log why a peer answers 482 to the try after its 422.

    RFC 4028 7.3 wants CSeq + 1 there, which no proxy can give. Asterisk gets the 482 as it is, and its
    next call has the Min-SE that was learned.
    """
    ksr.warn(
        f"session timer: {call_id}: peer={pending.peer} took the retry after its 422 for a loop and answered "
        f"482; set default_expires: {pending.min_se} in its profile, so that no call meets a 422"
    )
