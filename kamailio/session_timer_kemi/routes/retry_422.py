"""A 422 of the far side to the INVITE that begins a call: another try with the Min-SE that it names.

Within a dialog nothing is sent twice: there RFC 4028 7.3 wants a CSeq of its own, which only Asterisk can
give.
"""

from __future__ import annotations

from dataclasses import replace

from session_timer import RefreshResponse, uac

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Branch, Pending, Refused
from ..this_edge import ThisEdge


def retry(edge: ThisEdge) -> bool:
    """In the failure route. True: the request is to be relayed once more, to one of those that refused it.

    Of several branches the one that wants the least is tried: its 422 may be the last.
    """
    tries = [each for refused in branch_memory.take_refused() if (each := _next_try(refused)) is not None]
    if not tries:
        return False
    again, branch = min(tries, key=lambda each: each[0].min_se)
    aim = branch.aim()
    if aim is None:
        return False
    ksr.count("session_timer_422_retried")
    ksr.info(f"session timer: {ksr.pv('$ci')}: peer={again.peer} 422 retried with Min-SE {again.min_se}")
    branch_memory.keep_retry(again)
    ksr.aim_again(aim.uri, aim.destination)
    policy = edge.directory.named(again.peer).policy
    edge.learned.put(aim.host, again.min_se, policy.max_expires)
    return True


def _next_try(refused: Refused) -> tuple[Pending, Branch] | None:
    """After this 422, what the next try must know; None: no next try."""
    branch = Branch(refused.number)
    waiting = branch.waiting()
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
    return replace(pending, min_se=min_se, retries=pending.retries + 1), branch


def explain_loop(pending: Pending, call_id: str) -> None:
    """Log why a peer answers 482 to the try after its 422.

    RFC 4028 7.3 wants CSeq + 1 there, which no proxy can give. Asterisk gets the 482 as it is, and its
    next call has the Min-SE that was learned.
    """
    ksr.warn(
        f"session timer: {call_id}: peer={pending.peer} took the retry after its 422 for a loop and answered "
        f"482; set default_expires: {pending.min_se} in its profile, so that no call meets a 422"
    )
