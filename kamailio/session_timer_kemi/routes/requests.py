"""The request route and the branch route: what is refused, and what a request says when it leaves."""

from __future__ import annotations

from session_timer import Mode, Peer, Record, Side, uac

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Branch, Found, Waiting
from ..message_facts import Message
from ..parts import as_proxy, as_uac, as_uas
from ..parts.header_edits import Relayed
from ..peers import End
from ..this_edge import ThisEdge

REFRESHES = ("INVITE", "UPDATE")
_UNMARKED = (*uac.WITHOUT_SUPPORT, "CANCEL")
"""CANCEL is made anew by each hop: nothing said there gets far."""


class Requests:
    """What is done to requests."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def request(self) -> bool:
        """In the request route. True: the request has been answered."""
        message = self._edge.in_hand.read()
        source = self._source(message)
        if message.method not in REFRESHES:
            if source.is_asterisk and message.method not in _UNMARKED:
                self._announce(message)
            if message.method == "BYE":
                self._edge.records.remove(message.dialog)
            return False
        self._edge.in_hand.remember(message)
        if source.is_asterisk:
            return False
        peer = self._edge.profile(self._record(message), source.peer)
        if not peer.policy.enabled:
            return False
        refusal = as_uas.screen(message.rows, message.method, peer)
        if refusal is not None:
            as_uas.refuse(refusal, message.call_id)
            return True
        if not message.to_tag and self._edge.ends_by_bye(peer.policy):
            ksr.manage_dialog()
        return False

    def branch(self) -> None:
        """In the branch route."""
        message = self._edge.in_hand.again()
        if message.method not in REFRESHES:
            return
        source, destination = self._source(message), self._destination()
        if source.is_asterisk and destination.is_asterisk:
            return
        record = self._record(message)
        peer = self._edge.profile(record, destination.peer if source.is_asterisk else source.peer)
        if not peer.policy.enabled:
            return
        branch = Branch.in_hand()
        relayed = self._decided(message, source, destination, peer, record)
        if source.is_asterisk:
            branch.keep_aim()
        branch.wait(Waiting(_found(message, record), relayed.decided))
        relayed.edits.make()

    def _decided(
        self, message: Message, source: End, destination: End, peer: Peer, record: Record | None
    ) -> Relayed:
        known = None if record is None else record.dialog
        if not (source.is_asterisk or destination.is_asterisk) or peer.policy.mode is not Mode.ANCHOR:
            sender = Side.LOCAL if source.is_asterisk else Side.REMOTE
            return as_proxy.request(message.rows, message.method, peer, known, sender)
        if destination.is_asterisk:
            return as_uas.request(message.rows, message.method, peer, known, self._edge.config.edge)
        told = self._edge.learned.get(peer.name or ksr.pv("$nh(d)"))
        return as_uac.request(message.rows, peer, known, told, branch_memory.retry())

    def _source(self, message: Message) -> End:
        return self._edge.directory.find(branch_memory.peer_name(), message.source, message.from_domain)

    def _destination(self) -> End:
        host = ksr.pv("$nh(d)")
        return self._edge.directory.find(branch_memory.peer_name(), host, host)

    def _record(self, message: Message) -> Record | None:
        """The record of a request's dialog; of one that cannot be read its response tells."""
        return self._edge.records.read(message.dialog, tell=False) if message.to_tag else None

    def _announce(self, message: Message) -> None:
        destination = self._destination()
        if destination.is_asterisk:
            return
        policy = self._edge.profile(self._record(message), destination.peer).policy
        if policy.enabled and policy.mode is Mode.ANCHOR:
            as_uac.announce(message.rows).make()


def _found(message: Message, record: Record | None) -> Found:
    if record is not None:
        return Found.KNOWN
    return Found.LOST if message.to_tag else Found.BEGINS
