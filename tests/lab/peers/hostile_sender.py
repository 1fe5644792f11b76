"""Sends hostile messages through the edge, and does for what comes back the least that ends it."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field

from tests.lab.peers.hostile_messages import Hostile, Kind
from tests.lab.peers.lab_sockets import Address, Datagram, LabSockets
from tests.lab.peers.user_agent import ALLOW, sdp
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, NotInTimeError

PORT = 5070
"""Apart from the user agents' own, at every address of the carrier."""
CALLER, CALLEE = 46, 49
"""Last numbers of a peer with timers of its own and of whom it calls."""
FORKS = 12
"""So many 2xx are given to one INVITE of Asterisk: its transaction in Kamailio lives on for seconds."""


@dataclass(slots=True)
class OwnCall:
    """A call of a hostile sender with Asterisk."""

    host: int
    call_id: str = field(default_factory=lambda: f"hostile-{secrets.token_hex(8)}")
    tag: str = field(default_factory=lambda: secrets.token_hex(5))
    to_tag: str = ""
    routes: tuple[str, ...] = ()
    target: str = ""
    cseq: itertools.count[int] = field(default_factory=lambda: itertools.count(2))


@dataclass(slots=True)
class HostileSender:
    """All hostile senders of a test."""

    sockets: LabSockets
    stack: Stack
    sent: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    """How many messages of each kind went out."""
    calls: dict[int, OwnCall] = field(default_factory=dict)
    """By the last number of the address."""
    proxied: dict[str, Hostile] = field(default_factory=dict)
    """The 2xx that waits for an INVITE to come through, by Call-ID."""
    asked: tuple[SipMessage, Address] | None = None
    """The latest INVITE of Asterisk."""
    forks: int = 0

    def send(self, hostile: Hostile) -> None:
        """One message, or the INVITE that it will answer."""
        if hostile.kind is Kind.INVITE:
            self._begin(hostile, f"sip:nobody@{self.stack.edge}", hostile.host)
        elif hostile.kind is Kind.PROXIED_INVITE:
            self._begin(hostile, f"sip:b@{self.stack.address(CALLEE)}:{PORT}", CALLER)
        elif hostile.kind is Kind.PROXIED_2XX:
            plain = Hostile(hostile.kind, CALLER, ("Supported: timer", "Session-Expires: 1800"), ())
            call_id = f"hostile-{secrets.token_hex(8)}"
            self.proxied[call_id] = hostile
            self._begin(plain, f"sip:b@{self.stack.address(CALLEE)}:{PORT}", CALLER, call_id)
        elif hostile.kind is Kind.PEERS_2XX:
            invite, own = self._invite_of_asterisk()
            self._accept(invite, own, hostile)
        else:
            self._within(hostile)

    def drain(self) -> None:
        """Confirm, answer or drop all that has come in."""
        while (got := self._next()) is not None:
            message = got.message
            if message is None:
                continue
            if message.status is not None:
                self._confirm(message, got.own)
            elif message.is_request("INVITE") and message.to_tag is None:
                waiting = self.proxied.pop(message.call_id, None)
                if waiting is not None:
                    self._accept(message, got.own, waiting)
                else:
                    self._answer(message, got.own, 486)
            elif message.is_request("BYE"):
                self._answer(message, got.own, 200)
                self.calls = {h: c for h, c in self.calls.items() if c.call_id != message.call_id}
            elif message.is_request("CANCEL"):
                self._answer(message, got.own, 200)
            elif not message.is_request("ACK"):
                self._answer(message, got.own, 481)

    def is_answered(self) -> None:
        """The edge answers OPTIONS. Raises NotInTimeError if it is not in time."""
        own = (self.stack.address(40), PORT + 1)
        mark = secrets.token_hex(8)
        rows = (
            f"OPTIONS sip:{self.stack.edge} SIP/2.0",
            f"Via: SIP/2.0/UDP {own[0]}:{own[1]};branch=z9hG4bK{mark}",
            "Max-Forwards: 1",
            f"From: <sip:mark@{own[0]}>;tag={mark}",
            f"To: <sip:{self.stack.edge}>",
            f"Call-ID: {mark}",
            "CSeq: 1 OPTIONS",
        )
        self._put(own, (*rows, "Content-Length: 0", "", ""))
        self.sockets.receive(
            lambda each: each.message is not None and each.message.call_id == mark,
            "OPTIONS answered",
            PATIENCE,
        )

    def close(self) -> None:
        """End the calls with Asterisk."""
        for call in self.calls.values():
            self._put(
                (self.stack.address(call.host), PORT), (*self._head(call, "BYE"), "Content-Length: 0", "", "")
            )
        self.is_answered()
        self.drain()

    def _begin(self, hostile: Hostile, uri: str, host: int, call_id: str = "") -> None:
        own = (self.stack.address(host), PORT)
        body = sdp(own[0])
        head = (
            f"INVITE {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {own[0]}:{PORT};branch=z9hG4bK{secrets.token_hex(8)}",
            f"Contact: <sip:hostile@{own[0]}:{PORT}>",
            "Max-Forwards: 70",
        )
        rest = (
            f"From: <sip:hostile@{own[0]}>;tag={secrets.token_hex(5)}",
            f"To: <{uri}>",
            f"Call-ID: {call_id or f'hostile-{secrets.token_hex(8)}'}",
            "CSeq: 1 INVITE",
            *hostile.rows,
        )
        self._put_mutated(own, head, rest, body, hostile)

    def _within(self, hostile: Hostile) -> None:
        call = self.calls.get(hostile.host) or self._dial(hostile.host)
        own = (self.stack.address(call.host), PORT)
        method = "UPDATE" if hostile.kind is Kind.UPDATE else "INVITE"
        head = self._head(call, method)
        body = sdp(own[0]) if method == "INVITE" else ""
        self._put_mutated(own, head[:-4], (*head[-4:], *hostile.rows), body, hostile)

    def _head(self, call: OwnCall, method: str, number: int = 0) -> tuple[str, ...]:
        address = self.stack.address(call.host)
        return (
            f"{method} {call.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {address}:{PORT};branch=z9hG4bK{secrets.token_hex(8)}",
            *(f"Route: {route}" for route in call.routes),
            f"Contact: <sip:hostile@{address}:{PORT}>",
            "Max-Forwards: 70",
            f"From: <sip:hostile@{address}>;tag={call.tag}",
            f"To: <sip:wait@{self.stack.edge}>;tag={call.to_tag}",
            f"Call-ID: {call.call_id}",
            f"CSeq: {number or next(call.cseq)} {method}",
        )

    def _dial(self, host: int) -> OwnCall:
        call = OwnCall(host)
        own = (self.stack.address(host), PORT)
        uri = f"sip:wait@{self.stack.edge}"
        body = sdp(own[0])
        rows = (
            f"INVITE {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {own[0]}:{PORT};branch=z9hG4bK{secrets.token_hex(8)}",
            f"Contact: <sip:hostile@{own[0]}:{PORT}>",
            "Max-Forwards: 70",
            f"From: <sip:hostile@{own[0]}>;tag={call.tag}",
            f"To: <{uri}>",
            f"Call-ID: {call.call_id}",
            "CSeq: 1 INVITE",
            ALLOW,
            "Supported: timer",
            "Session-Expires: 1800;refresher=uac",
            "Content-Type: application/sdp",
            f"Content-Length: {len(body)}",
            "",
            body,
        )
        self._put(own, rows)
        got = self.sockets.receive(
            lambda each: (
                each.own == own
                and each.message is not None
                and each.message.call_id == call.call_id
                and (each.message.status or 0) >= 200
            ),
            "the answer to a hostile sender's call",
            PATIENCE,
        )
        assert got.message is not None
        assert got.message.status == 200, got.message.start_line
        self._confirm(got.message, own)
        call.to_tag = got.message.to_tag or ""
        call.routes = tuple(reversed(got.message.rows("Record-Route")))
        call.target = _uri(got.message)
        self.calls[host] = call
        return call

    def _invite_of_asterisk(self) -> tuple[SipMessage, Address]:
        """An INVITE of Asterisk that has had its 2xx and may have more."""
        if self.asked is None or self.forks >= FORKS:
            user = f"hostile{secrets.token_hex(4)}"
            own = (self.stack.address(41), PORT)
            self.sockets.open(own)
            self.stack.ami(
                "Originate",
                Channel=f"PJSIP/edge/sip:{user}@{own[0]}:{PORT}",
                Application="Wait",
                Data="10",
                Async="true",
            )
            got = self.sockets.receive(
                lambda each: (
                    each.own == own
                    and each.message is not None
                    and each.message.is_request("INVITE")
                    and f"sip:{user}@" in (each.message.request_uri or "")
                ),
                f"an INVITE for {user}",
                PATIENCE,
            )
            assert got.message is not None
            self.asked, self.forks = (got.message, own), 0
        self.forks += 1
        return self.asked

    def _accept(self, invite: SipMessage, own: Address, hostile: Hostile) -> None:
        head = (
            "SIP/2.0 200 OK",
            *(f"Via: {via}" for via in invite.rows("Via")),
            *(f"Record-Route: {route}" for route in invite.rows("Record-Route")),
            f"Contact: <sip:hostile@{own[0]}:{PORT}>",
        )
        rest = (
            f"From: {invite.header('From')}",
            f"To: {invite.header('To')};tag={secrets.token_hex(5)}",
            f"Call-ID: {invite.call_id}",
            f"CSeq: {invite.header('CSeq')}",
            *hostile.rows,
        )
        self._put_mutated(own, head, rest, sdp(own[0]), hostile)

    def _answer(self, request: SipMessage, own: Address, code: int) -> None:
        to = request.header("To") or ""
        rows = (
            f"SIP/2.0 {code} Answer",
            *(f"Via: {via}" for via in request.rows("Via")),
            f"From: {request.header('From')}",
            f"To: {to}" + ("" if request.to_tag else f";tag={secrets.token_hex(5)}"),
            f"Call-ID: {request.call_id}",
            f"CSeq: {request.header('CSeq')}",
        )
        self._put(own, (*rows, "Content-Length: 0", "", ""))

    def _confirm(self, answer: SipMessage, own: Address) -> None:
        """ACK, where the answer is a final one to INVITE; of a 2xx through the proxy nobody waits for it."""
        number, method = answer.cseq
        status = answer.status or 0
        if method != "INVITE" or status < 200 or (status < 300 and own[0] == self.stack.address(CALLER)):
            return
        branch = answer.header("Via") if status >= 300 else None
        uri = f"sip:{self.stack.edge}" if status >= 300 else _uri(answer)
        rows = (
            f"ACK {uri} SIP/2.0",
            f"Via: {branch or f'SIP/2.0/UDP {own[0]}:{PORT};branch=z9hG4bK{secrets.token_hex(8)}'}",
            *(f"Route: {route}" for route in reversed(answer.rows("Record-Route")) if status < 300),
            "Max-Forwards: 70",
            f"From: {answer.header('From')}",
            f"To: {answer.header('To')}",
            f"Call-ID: {answer.call_id}",
            f"CSeq: {number} ACK",
        )
        self._put(own, (*rows, "Content-Length: 0", "", ""))

    def _next(self) -> Datagram | None:
        try:
            return self.sockets.receive(lambda each: each.own[1] == PORT, "anything", 0)
        except NotInTimeError:
            return None

    def _put_mutated(
        self, own: Address, head: tuple[str, ...], rest: tuple[str, ...], body: str, hostile: Hostile
    ) -> None:
        self.sent[hostile.kind] += 1
        last = ("Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body)
        self._put(own, (*head, hostile.of("\r\n".join((*rest, *last)))))

    def _put(self, own: Address, rows: tuple[str, ...]) -> None:
        self.sockets.send(own, (self.stack.edge, 5060), "\r\n".join(rows).encode("latin-1", "replace"))


def _uri(answer: SipMessage) -> str:
    contact = answer.header("Contact") or ""
    return contact[contact.find("<") + 1 : contact.find(">")]
