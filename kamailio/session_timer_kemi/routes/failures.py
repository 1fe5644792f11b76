"""The failure route: every branch of an INVITE or UPDATE has failed."""

from __future__ import annotations

from enum import StrEnum

from session_timer import Outcome, Side
from session_timer.record import key

from .. import ksr
from ..memory.branch_memory import Branch, Found, Part
from ..message_facts import REFRESHES
from ..this_edge import ThisEdge
from . import retry_422
from .requests import sender_of

_WEBSOCKET = ";transport=ws"
"""In a next hop: behind a WebSocket, with or without TLS."""


class Next(StrEnum):
    """What the script does after a failure."""

    GO_ON = "go on"
    AGAIN = "again"
    """Relay the request once more."""
    ANSWERED = "answered"
    """Nothing: the request has been answered."""


class Failures:
    """What is done where every branch has failed."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def failure(self) -> Next:
        """In the failure route."""
        code = ksr.pv("$T_reply_code")
        if code == "408" and ksr.timed_out_here():
            return self._timed_out()
        return Next.AGAIN if retry_422.retry(self._edge, code) else Next.GO_ON

    def unroutable(self) -> None:
        """In the request route: the request could not be relayed, whatever the script answers to it.

        No branch route may have run: there may have been no branch.
        """
        method = ksr.pv("$rm")
        if method == "BYE":
            # Whoever sent it ends the call, answered or not, and nothing else would take the record away:
            # where this edge has no memory for a transaction, no route of a response or a timeout runs.
            self._forget()
        if method not in REFRESHES:
            return
        request = self._edge.in_hand.again(method)
        if not request.to_tag:
            return
        source = self._edge.directory.find(request.peer_name, request.source, request.from_domain)
        if not source.is_asterisk and sender_of(request) is not Side.LOCAL:
            return
        ksr.count("session_timer_unroutable")
        # A browser alone can open its WebSocket (RFC 7118 section 5.2): nobody hears the request, and it is
        # not for this edge to mend. The companion asks again, as where a peer is away for a while.
        closed = _WEBSOCKET in ksr.pv("$du").lower()
        why = ": the WebSocket is closed" if closed else ""
        ksr.info(
            f"session timer: {request.call_id}: {method} {request.cseq} from local cannot be relayed{why}"
        )
        outcome = Outcome.TIMED_OUT if closed else Outcome.UNROUTABLE
        self._ended(request.dialog, method, request.cseq, outcome, 0)

    def _timed_out(self) -> Next:
        """This edge's own timer has ended the wait.

        Asterisk takes 408 for the end of the dialog, and 504 for a refresh that failed. Which of them it
        was the companion decides, after another form of the refresh.
        """
        if ksr.pv("$rm") == "BYE":
            # A caller who is gone answers no BYE: what he leaves behind is not to fill the table.
            self._forget()
            return Next.GO_ON
        waiting = Branch("0").waiting()
        if waiting is None or waiting.pending.part is not Part.UAC or waiting.found is Found.BEGINS:
            return Next.GO_ON
        # Of a dialog whose record was lost nobody knows whether there is a timer.
        if waiting.found is Found.KNOWN and waiting.pending.dialog.agreement is None:
            return Next.GO_ON
        self._ended(waiting.dialog, waiting.method, waiting.cseq, Outcome.TIMED_OUT, 408)
        ksr.count("session_timer_timed_out")
        ksr.info(
            f"session timer: {waiting.call_id}: peer={waiting.pending.peer} {waiting.method} "
            f"{waiting.cseq} from local got no response here"
        )
        ksr.end_transaction(504, "No Response to Session Refresh")
        return Next.ANSWERED

    def _forget(self) -> None:
        """Remove the record of the dialog that the BYE in hand ends."""
        self._edge.records.remove(key(*ksr.pvs("$ci", "$ft", "$tt")))

    def _ended(self, dialog: str, method: str, cseq: int, outcome: Outcome, code: int) -> None:
        now, clock = self._edge.now()
        self._edge.records.change(
            dialog,
            lambda record: record.ended(Side.LOCAL, method, cseq, outcome, code=code, now=now, clock=clock),
        )
