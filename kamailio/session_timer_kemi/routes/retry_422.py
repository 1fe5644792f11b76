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
from ..parts import defects
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
    All are asked for the largest Min-SE that one of them wants, as it is one Call-ID (RFC 4028 7.4).
    """
    tries = []
    for refused in branch_memory.take_refused():
        again, aim = _next_try(refused), Branch(refused.number).aim()
        if again is not None and aim is not None:
            _learn(edge, again, aim)
            tries.append((refused, again, aim))
    if not code.startswith("4") or code in MENDED_BY_THE_CALLER:
        return False
    largest = max((again.min_se for _, again, _ in tries), default=0)
    retries: dict[str, Pending] = {}
    for refused, again, aim in tries:
        call = f"session timer: {ksr.pv('$ci')}: peer={again.peer} 422"
        number = Branch.in_hand().number
        if not ksr.add_branch(refused.uri, aim.destination, aim.path, aim.socket, refused.flags):
            ksr.warn(f"{call} not retried: Kamailio takes no more branches")
            continue
        retries[number] = replace(again, min_se=largest)
        ksr.count("session_timer_422_retried")
        ksr.info(f"{call} retried with Min-SE {largest}")
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
    call = f"session timer: {waiting.call_id}: peer={pending.peer}"
    if response.defects:
        defects.tell(call, "422", response.defects)
    if min_se is None:
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
