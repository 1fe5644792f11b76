"""The request route and the branch route: what is refused, and what a request says when it leaves."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import InternalHeader, Mode, Outcome, Peer, Record, Side, uac
from session_timer.record import key

from .. import ksr
from ..memory.branch_memory import PEER_NAME, Branch, Found, Part, Pending, Waiting
from ..message_facts import LONGEST_REMEMBERED, REFRESHES, Request, Rows
from ..parts import as_proxy, as_uac, as_uas, defects
from ..parts.header_edits import Relayed
from ..peers import End
from ..this_edge import ThisEdge
from .native_table import NativeTable

_MOST_HANDLED = 512
LONGEST_HOST = 256
"""Characters of a host that are looked at. Names have no more, and what a peer writes is kept."""
_UNMARKED = (*uac.WITHOUT_SUPPORT, "CANCEL")
"""CANCEL is made anew by each hop: nothing said there gets far."""


class Handling(NamedTuple):
    """How a request is handled."""

    peer: Peer
    """The profile that holds for it."""
    asterisk: str
    """The host of Asterisk's end; empty between two strangers."""
    found: Found
    relayed: Relayed | None
    """None for what Asterisk begins a call with: there it counts what the next hop said lately."""
    told: InternalHeader | None
    """What Asterisk is to be told of a call that it gets."""


class Requests:
    """What is done to requests."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge
        self.for_native = NativeTable(edge.config)
        self._handled: dict[tuple[object, ...], Handling | None] = {}

    def request(self) -> bool:
        """In the request route. True: the request has been answered."""
        method = ksr.pv("$rm")
        if method in REFRESHES:
            return self._refused(self._edge.in_hand.read(method))
        if method not in _UNMARKED:
            self._announce(method)
        return False

    def _refused(self, request: Request) -> bool:
        source = self._edge.directory.find(request.peer_name, request.source, request.from_domain)
        if source.is_asterisk or sender_of(request) is Side.LOCAL:
            if not request.to_tag and self._edge.config.edge.bye_on_expiry:
                ksr.manage_dialog()  # where the call goes to shows only when it is relayed
            if request.to_tag and request.method == "INVITE":
                # After a 100 Asterisk would wait for ever, should this edge die, and nothing else could be
                # sent in the dialog. What it repeats reaches the edge that comes after.
                ksr.send_no_100()
            return False
        record = request.record
        peer = self._edge.profile(record, source.peer)
        if not peer.policy.enabled:
            return False
        known = None if record is None else record.dialog
        refusal = as_uas.screen(request.rows, request.method, peer, known)
        if request.form.uncertain is not None and peer.policy.mode is Mode.ANCHOR:
            refusal = as_uas.malformed(request.form.uncertain)
        if refusal is not None:
            if record is not None and peer.policy.mode is Mode.ANCHOR:
                self._heard(request, refusal.code)
            as_uas.refuse(refusal, request.call_id)
            return True
        if not request.to_tag and self._edge.ends_by_bye(peer.policy):
            ksr.manage_dialog()
        return False

    def _heard(self, request: Request, code: int) -> None:
        """Write down that we refuse a request of the peer: it goes nowhere, and yet the peer is there."""
        now, clock = self._edge.now()
        self._edge.records.change(
            request.dialog,
            lambda record: record.ended(
                Side.REMOTE, request.method, request.cseq, Outcome.REFUSED, code=code, now=now, clock=clock
            ),
        )

    def branch(self) -> None:
        """In the branch route."""
        method = ksr.pv("$rm")
        if method not in REFRESHES:
            return
        request = self._edge.in_hand.again(method)
        next_hop, number = ksr.pvs("$nh(d)", "$T_branch_idx")
        next_hop = next_hop[:LONGEST_HOST]
        branch = Branch(number or "0")
        handling = self._handling(request, next_hop)
        if handling is None:
            branch.wait_for_nothing()
            return
        self.for_native.note_asterisk(handling.asterisk)
        relayed = handling.relayed
        if relayed is None:
            told = self._edge.learned.get(next_hop)
            relayed = as_uac.request(request.rows, handling.peer, None, told, branch.retry())
            branch.keep_aim(next_hop)
        found = handling.found
        if relayed.pending.part is Part.UAC and request.to_tag:
            found = self._asked(request, relayed.pending, handling.peer, next_hop)
        branch.wait(
            Waiting(
                found=found,
                method=method,
                call_id=request.call_id,
                from_tag=request.from_tag,
                to_tag=request.to_tag,
                cseq=request.cseq,
                far=next_hop if relayed.pending.from_asterisk else request.source,
                decided=relayed.decided,
            )
        )
        oddities = relayed.oddities
        if relayed.pending.part is not Part.UAC:
            oddities += request.form.oddities
        if oddities:
            defects.tell(f"session timer: {request.call_id}: peer={handling.peer.name}", "request", oddities)
        relayed.edits.make()
        if relayed.pending.part is Part.UAS:
            if handling.told is not None:
                self._edge.tell(handling.told, request.call_id, request.from_tag)
            else:
                ksr.remove(self._edge.config.edge.header)

    def _handling(self, request: Request, next_hop: str) -> Handling | None:
        """How this request is handled; None: it passes as it is.

        The requests of one peer are alike, call after call: what was found for one holds for the next.
        """
        record = request.record
        case = (
            request.method, request.rows, request.source, request.from_domain, request.peer_name, next_hop,
            request.to_tag == "", None if record is None else record.dialog,
            None if record is None else (record.peer, record.placed, record.local_tag == request.from_tag),
        )  # fmt: skip
        if case in self._handled:
            return self._handled[case]
        handling = self._handling_of(request, next_hop)
        if len(self._handled) >= _MOST_HANDLED:
            self._handled.clear()
        # Senders choose their rows: a rare giant is not kept.
        chosen = (*request.rows, request.from_domain, request.peer_name)
        if sum(map(len, filter(None, chosen))) < LONGEST_REMEMBERED:
            self._handled[case] = handling
        return handling

    def _handling_of(self, request: Request, next_hop: str) -> Handling | None:
        source, destination = self._ends(request, next_hop)
        if source.is_asterisk and destination.is_asterisk:
            return None
        record = request.record
        peer = self._edge.profile(record, destination.peer if source.is_asterisk else source.peer)
        if not peer.policy.enabled:
            return None
        known = None if record is None else record.dialog
        relayed: Relayed | None = None
        if not (source.is_asterisk or destination.is_asterisk) or peer.policy.mode is not Mode.ANCHOR:
            ends = as_proxy.Ends(source.is_asterisk, destination.is_asterisk)
            relayed = as_proxy.request(request.rows, request.method, peer, known, ends)
        elif destination.is_asterisk:
            relayed = as_uas.request(request.rows, request.method, peer, known)
        elif request.to_tag:
            relayed = as_uac.request(request.rows, peer, known, None, None)
        asterisk = source if source.is_asterisk else destination
        return Handling(
            peer=peer,
            asterisk=asterisk.host if asterisk.is_asterisk else "",
            found=_found(request),
            relayed=relayed,
            told=None if relayed is None else self._told(request, relayed, next_hop),
        )

    def _told(self, request: Request, relayed: Relayed, next_hop: str) -> InternalHeader | None:
        """What Asterisk and the companion are to know; None: nothing.

        Asterisk reads our header in INVITE, and in what answers it. Within a dialog its peer says where a
        request goes: what we have signed goes to an Asterisk of the settings, and nowhere else.
        """
        if relayed.told is None or request.method != "INVITE":
            return None
        if not self._edge.directory.find(request.peer_name, next_hop, next_hop).is_asterisk:
            return None
        return InternalHeader(
            agreement=relayed.told.agreement,
            peer_allows_update=relayed.told.peer_allows_update,
            edge=self._edge.config.edge.name,
            peer=relayed.pending.peer,
            placed=_placed(request, relayed.pending),
        )

    def _asked(self, request: Request, pending: Pending, peer: Peer, far: str) -> Found:
        """Write down that a request of our side leaves within the dialog, and how long it is to wait.

        Returns what the edge knows of the dialog now.

        That one of the peer's has passed shows when it is answered: Asterisk does so at once. In a dialog
        whose record was lost it is seen from now on what becomes of the requests of our side; how long their
        sender is to wait goes by the interval that they ask for.
        """
        now, clock = self._edge.now()

        def passed(record: Record) -> Record:
            seen = record if record.on_path else record._replace(on_path=True)
            return seen.asked(Side.LOCAL, request.method, request.cseq, now, clock)

        record = request.record
        if record is not None:
            self._edge.records.change(request.dialog, passed)
            if record.dialog.agreement is not None:
                self._wait(peer, record.dialog.agreement.interval)
            return Found.KNOWN
        anew = Record.without_2xx(request.from_tag, clock, peer=peer.name, far=far)
        self._edge.records.change(request.dialog, passed, anew=anew)
        wish = pending.sent.session_expires
        self._wait(peer, peer.policy.default_expires if wish is None else wish.interval)
        # A table that is full takes none: the 2xx is to have another try.
        return Found.ANEW if self._edge.records.text(request.dialog) else Found.LOST

    def _wait(self, peer: Peer, interval: int) -> None:
        """So long may Asterisk wait: another form of a refresh must still fit."""
        ksr.wait_at_most(peer.policy.answer_time(interval), peer.policy.ringing_time(interval))

    def _ends(self, request: Request, next_hop: str) -> tuple[End, End]:
        """Where a request comes from and goes to.

        Asterisk may have an address that the settings do not name, behind NAT or as its Contact. Within a
        dialog the record says whose end is whose.
        """
        find = self._edge.directory.find
        source = find(request.peer_name, request.source, request.from_domain)
        destination = find(request.peer_name, next_hop, next_hop)
        if not (source.is_asterisk or destination.is_asterisk):
            sender = sender_of(request)
            if sender is not None:
                source = source._replace(is_asterisk=sender is Side.LOCAL)
                destination = destination._replace(is_asterisk=sender is Side.REMOTE)
        return source, destination

    def _announce(self, method: str) -> None:
        """Say in a request of Asterisk's within a dialog that its sender knows session timers.

        Outside of dialogs nobody knows yet where the request goes, and whether the profile there is off.
        """
        source, to_tag, peer_name = ksr.pvs("$si", "$tt", f"$avp({PEER_NAME})")
        find = self._edge.directory.find
        if not to_tag or not find(peer_name, source, "").is_asterisk:
            return
        next_hop, call_id, from_tag = ksr.pvs("$nh(d)", "$ci", "$ft")
        next_hop = next_hop[:LONGEST_HOST]
        destination = find(peer_name, next_hop, next_hop)
        if destination.is_asterisk:
            return
        record = self._edge.records.read(key(call_id, from_tag, to_tag), log=False)
        policy = self._edge.profile(record, destination.peer).policy
        if policy.mode is Mode.ANCHOR and uac.shows_support(method, policy):
            as_uac.announce(Rows(supported=ksr.row("Supported"))).make()


def sender_of(request: Request) -> Side | None:
    """Whose request it is by the dialog's record; None where there is none, or none of a call of ours."""
    record = request.record
    if record is None or record.placed is None:
        return None
    return record.sender(request.from_tag)


def _placed(request: Request, pending: Pending) -> Side | None:
    if request.record is not None:
        return request.record.placed
    return None if request.to_tag else pending.placed


def _found(request: Request) -> Found:
    if request.record is not None:
        return Found.KNOWN
    return Found.LOST if request.to_tag else Found.BEGINS
