"""The failure route: a 422 of the far side is followed by another try with the Min-SE that it names."""

from __future__ import annotations

from dataclasses import replace

from session_timer import RefreshResponse, uac

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Pending
from ..this_edge import ThisEdge


class Failures:
    """What is done where every branch has failed."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def failure(self) -> bool:
        """In the failure route. True: the request is to be relayed once more."""
        if ksr.pv("$T_reply_code") != "422":
            return False
        refused = branch_memory.take_refused()
        if refused is None:
            return False
        aim, waiting = refused.branch.aim(), refused.branch.waiting()
        if aim is None or waiting is None:
            return False
        again = _next_try(waiting.pending, refused.min_se)
        if again is None:
            return False
        branch_memory.keep_retry(again)
        ksr.aim_again(aim.uri, aim.destination)
        self._edge.learned.put(again.peer or ksr.pv("$nh(d)"), again.min_se)
        return True


def _next_try(pending: Pending, min_se_row: str) -> Pending | None:
    """After a 422 with this Min-SE, empty for none: what the next try must know; None: no next try."""
    response = RefreshResponse.read(
        422, lambda header: (min_se_row,) if header == "Min-SE" and min_se_row else ()
    )
    min_se = uac.retry_with(response, pending.sent, pending.retries)
    ksr.count("session_timer_422_received")
    told = f"session timer: {ksr.pv('$ci')}: peer={pending.peer} 422"
    if min_se is None:
        ksr.info(f"{told} not retried, Min-SE {min_se_row!r}")
        return None
    ksr.count("session_timer_422_retried")
    ksr.info(f"{told} retried with Min-SE {min_se}")
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
