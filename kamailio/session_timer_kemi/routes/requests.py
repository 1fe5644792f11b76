"""The request route and the branch route: what is refused, and what a request says when it leaves."""

from __future__ import annotations

from dataclasses import replace

from session_timer import InternalHeader, Mode, Outcome, Peer, Record, Side, uac

from .. import ksr
from ..memory import branch_memory
from ..memory.branch_memory import Branch, Found, Part, Pending, Waiting
from ..message_facts import Message, Rows
from ..parts import as_proxy, as_uac, as_uas
from ..parts.header_edits import Edits, Relayed
from ..peers import End
from ..this_edge import ThisEdge

REFRESHES = ("INVITE", "UPDATE")
OURS = "session_timer_ours"
"""The hash table of Asterisk's addresses, as far as calls have passed."""
_MOST_NOTED = 256
"""Hosts that each process notes there. Within a dialog its peer chooses where a request goes."""
_UNMARKED = (*uac.WITHOUT_SUPPORT, "CANCEL")
"""CANCEL is made anew by each hop: nothing said there gets far."""


class Requests:
    """What is done to requests."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge
        self._noted: set[str] = set()

    def request(self) -> bool:
        """In the request route. True: the request has been answered."""
        message = self._edge.in_hand.read()
        if message.method in _UNMARKED:
            return False
        source = self._source(message)
        if message.method not in REFRESHES:
            if source.is_asterisk:
                self._announce(message)
            return False
        self._edge.in_hand.remember(message)
        if source.is_asterisk or sender_of(message) is Side.LOCAL:
            if not message.to_tag and self._edge.config.edge.bye_on_expiry:
                ksr.manage_dialog()  # where the call goes to shows only when it is relayed
            if message.to_tag and message.method == "INVITE":
                # After a 100 Asterisk would wait for ever, should this edge die, and nothing else could be
                # sent in the dialog. What it repeats reaches the edge that comes after.
                ksr.send_no_100()
            return False
        record = message.record
        peer = self._edge.profile(record, source.peer)
        if not peer.policy.enabled:
            return False
        known = None if record is None else record.dialog
        refusal = as_uas.screen(message.rows, message.method, peer, known)
        if refusal is not None:
            if record is not None and peer.policy.mode is Mode.ANCHOR:
                self._heard(message, refusal.code)
            as_uas.refuse(refusal, message.call_id)
            return True
        if not message.to_tag and self._edge.ends_by_bye(peer.policy):
            ksr.manage_dialog()
        return False

    def _heard(self, message: Message, code: int) -> None:
        """Write down that we refuse a request of the peer: it goes nowhere, and yet the peer is there."""
        now, clock = self._edge.now()
        self._edge.records.change(
            message.dialog,
            lambda record: record.ended(
                Side.REMOTE, message.method, message.cseq, Outcome.REFUSED, code=code, now=now, clock=clock
            ),
        )

    def branch(self) -> None:
        """In the branch route."""
        message = self._edge.in_hand.again()
        if message.method not in REFRESHES:
            return
        source, destination = self._ends(message)
        if source.is_asterisk and destination.is_asterisk:
            Branch.in_hand().wait_for_nothing()
            return
        record = message.record
        self._note_asterisk(source if source.is_asterisk else destination)
        peer = self._edge.profile(record, destination.peer if source.is_asterisk else source.peer)
        branch = Branch.in_hand()
        if not peer.policy.enabled:
            branch.wait_for_nothing()
            return
        relayed = self._decided(message, source, destination, peer, record)
        pending = Pending.decode(relayed.decided)
        far = destination.host if source.is_asterisk else message.source
        branch.wait(
            Waiting(
                found=_found(message, record),
                method=message.method,
                call_id=message.call_id,
                from_tag=message.from_tag,
                to_tag=message.to_tag,
                cseq=message.cseq,
                far=far,
                decided=relayed.decided,
            )
        )
        if not message.to_tag and pending.part is Part.UAC:
            branch.keep_aim(destination.host)
        self._edit(message, relayed, pending, record)
        if pending.part is Part.PROXY:
            return
        if record is not None:
            self._asked(message, pending, peer, record)
        elif message.to_tag and pending.part is Part.UAC:
            self._asked_without_record(message, pending, peer, far)

    def _decided(
        self, message: Message, source: End, destination: End, peer: Peer, record: Record | None
    ) -> Relayed:
        known = None if record is None else record.dialog
        if not (source.is_asterisk or destination.is_asterisk) or peer.policy.mode is not Mode.ANCHOR:
            ends = as_proxy.Ends(source.is_asterisk, destination.is_asterisk)
            return as_proxy.request(message.rows, message.method, peer, known, ends)
        if destination.is_asterisk:
            return as_uas.request(message.rows, message.method, peer, known)
        told = None if message.to_tag else self._edge.learned.get(destination.host)
        return as_uac.request(message.rows, peer, known, told, branch_memory.retry())

    def _edit(self, message: Message, relayed: Relayed, pending: Pending, record: Record | None) -> None:
        edits = relayed.edits
        if pending.part is Part.UAS and relayed.told is None:
            edits = edits.then(Edits((self._edge.config.edge.header,)))
        elif pending.part is Part.UAS and relayed.told is not None:
            told = InternalHeader(
                agreement=relayed.told.agreement,
                peer_allows_update=relayed.told.peer_allows_update,
                edge=self._edge.config.edge.name,
                peer=pending.peer,
                placed=_placed(message, pending, record),
            )
            edits = edits.then(self._edge.tells(told, message.call_id))
        for oddity in relayed.oddities:
            ksr.warn(f"session timer: {message.call_id}: peer={pending.peer} defect in a request: {oddity}")
        edits.make()

    def _asked(self, message: Message, pending: Pending, peer: Peer, record: Record) -> None:
        """Write down that a request within the dialog leaves, and how long its sender is to wait."""
        sender = pending.sender
        now, clock = self._edge.now()

        def passed(record: Record) -> Record:
            if sender is Side.LOCAL and not record.on_path:
                record = replace(record, on_path=True)
            return record.asked(sender, message.method, message.cseq, now, clock)

        self._edge.records.change(message.dialog, passed)
        timer = record.dialog.agreement
        if sender is Side.LOCAL and timer is not None:
            self._wait(peer, timer.interval)

    def _asked_without_record(self, message: Message, pending: Pending, peer: Peer, far: str) -> None:
        """A request of Asterisk's in a dialog whose record was lost: what becomes of it is seen from now on.

        How long its sender is to wait goes by the interval that it asks for.
        """
        now, clock = self._edge.now()
        anew = Record.without_2xx(message.from_tag, clock, peer=pending.peer, far=far)

        def passed(record: Record) -> Record:
            return record.asked(Side.LOCAL, message.method, message.cseq, now, clock)

        self._edge.records.change(message.dialog, passed, anew=anew)
        wish = pending.sent.session_expires
        self._wait(peer, peer.policy.default_expires if wish is None else wish.interval)

    def _wait(self, peer: Peer, interval: int) -> None:
        """So long may Asterisk wait: another form of a refresh must still fit."""
        ksr.wait_at_most(peer.policy.answer_time(interval), peer.policy.ringing_time(interval))

    def _ends(self, message: Message) -> tuple[End, End]:
        """Where a request comes from and goes to.

        Asterisk may have an address that the settings do not name, behind NAT or as its Contact. Within a
        dialog the record says whose end is whose.
        """
        source, destination = self._source(message), self._destination(message)
        if not (source.is_asterisk or destination.is_asterisk):
            sender = sender_of(message)
            if sender is not None:
                source = source._replace(is_asterisk=sender is Side.LOCAL)
                destination = destination._replace(is_asterisk=sender is Side.REMOTE)
        return source, destination

    def _source(self, message: Message) -> End:
        return self._edge.directory.find(message.peer_name, message.source, message.from_domain)

    def _destination(self, message: Message) -> End:
        host = ksr.pv("$nh(d)")
        return self._edge.directory.find(message.peer_name, host, host)

    def _announce(self, message: Message) -> None:
        """Say in a request of Asterisk's within a dialog that its sender knows session timers.

        Outside of dialogs nobody knows yet where the request goes, and whether the profile there is off.
        """
        if not message.to_tag:
            return
        destination = self._destination(message)
        if destination.is_asterisk:
            return
        policy = self._edge.profile(message.record, destination.peer).policy
        if policy.mode is Mode.ANCHOR and uac.shows_support(message.method, policy):
            as_uac.announce(Rows(supported=ksr.row("Supported"))).make()

    def _note_asterisk(self, end: End) -> None:
        """Let a native configuration know whose requests come to `request`."""
        if not end.is_asterisk or end.host in self._noted:
            return
        if len(self._noted) >= _MOST_NOTED and end.host not in self._edge.config.asterisk:
            return
        self._noted.add(end.host)
        ksr.table_put(OURS, end.host, "1")


def sender_of(message: Message) -> Side | None:
    """Whose request it is by the dialog's record; None where there is none, or none of a call of ours."""
    record = message.record
    if record is None or record.placed is None:
        return None
    return record.sender(message.from_tag)


def _placed(message: Message, pending: Pending, record: Record | None) -> Side | None:
    if record is not None:
        return record.placed
    return None if message.to_tag else pending.placed


def _found(message: Message, record: Record | None) -> Found:
    if record is not None:
        return Found.KNOWN
    return Found.LOST if message.to_tag else Found.BEGINS
