"""A SIP user agent that does exactly what a test tells it, and nothing by itself.

It writes each message as the test wants it, legal or not, and hands out each message that comes in.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.lab.parts.observed_edge import Wire
from tests.lab.peers.lab_sockets import Address, Datagram, LabSockets
from tests.lab.sip import SipMessage
from tests.lab.waiting import PATIENCE

SIP = 5060
ALLOW = "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO"
SUPPORTED = "Supported: timer"


def sdp(address: str, version: int = 1, direction: str = "sendrecv") -> str:
    """An audio offer or answer; ``version`` is that of its o= line."""
    return (
        f"v=0\r\no=carrier 1 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
    )


@dataclass(frozen=True, slots=True)
class UserAgent:
    """One address of the carrier, which picks the peer's profile at the edge."""

    sockets: LabSockets
    address: str
    edge: str
    wire: Wire | None
    """What passes the edge; None where nobody looks."""
    stock: bool = False
    """The edge runs the stock kamailio.cfg: numbers go to Asterisk, users are found where they registered."""
    over: str = "udp"
    """The transport: udp, tcp, tls or ws."""
    port: int = SIP
    edge_port: int = SIP
    media: str = ""
    """The address of its audio, where it is another one."""

    def __post_init__(self) -> None:
        self.sockets.open(self.own, self.over)

    @property
    def own(self) -> Address:
        return self.address, self.port

    @property
    def sent_by(self) -> str:
        """What it calls itself in Via and Contact: behind a WebSocket it has no address (RFC 7118 5)."""
        if self.over == "ws":
            return "carrier.invalid"
        return f"{in_uri(self.address)}:{self.port}"

    def contact(self, user: str) -> str:
        """A URI of ours."""
        return f"sip:{user}@{self.sent_by}{'' if self.over == 'udp' else f';transport={self.over}'}"

    def call(self, uri: str | None = None) -> Call:
        """A call that begins with us, to Asterisk unless told otherwise; nothing is sent yet."""
        uri = uri or f"sip:{'+49301000' if self.stock else 'wait'}@{in_uri(self.edge)}"
        return Call(
            agent=self,
            call_id=f"{secrets.token_hex(8)}@{self.address}",
            local=f"<sip:carrier@{in_uri(self.edge if self.stock else self.address)}>",
            remote=f"<{uri}>",
            target=uri,
        )

    def reachable(self, user: str) -> str:
        """The URI under which this user of ours is called through the edge."""
        if not self.stock:
            uri = self.contact(user)
            return uri.replace(f":{SIP}", "") if self.over == "udp" else uri
        register = self.call(f"sip:{self.edge}")
        register.remote = register.local = f"<sip:{user}@{self.edge}>"
        register.user = user
        assert register.final(register.send("REGISTER", "Expires: 120")).status == 200
        return f"sip:{user}@{self.edge}"

    def called(self, user: str, timeout: float = PATIENCE) -> tuple[Call, SipMessage]:
        """The call that comes in for this user, and its INVITE."""
        got = self.sockets.receive(
            lambda each: (
                (each.own, each.over) == (self.own, self.over)
                and each.message is not None
                and each.message.is_request("INVITE")
                and f"sip:{user}@" in (each.message.request_uri or "")
                and each.message.to_tag is None
            ),
            f"an INVITE for {user} at {self.address}",
            timeout,
        )
        assert got.message is not None
        invite = got.message
        call = Call(
            agent=self,
            call_id=invite.call_id,
            local=invite.header("To") or "",
            remote=(invite.header("From") or "").partition(";tag")[0],
            target=_uri(invite.header("Contact") or ""),
            remote_tag=invite.from_tag,
            routes=list(invite.rows("Record-Route")),
            cseq=itertools.count(1000),
        )
        return call, invite


@dataclass(slots=True)
class Call:
    """One dialog of ours, or one that is about to be."""

    agent: UserAgent
    call_id: str
    local: str
    remote: str
    target: str
    local_tag: str = field(default_factory=lambda: secrets.token_hex(5))
    remote_tag: str | None = None
    routes: list[str] = field(default_factory=list)
    cseq: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    invite_branch: str = ""
    user: str = "carrier"
    latest: Datagram | None = None
    next_hop: Address | None = None
    """Where our messages go; None: to the edge."""
    before: str = ""
    """What stands in front of our messages."""
    written: Callable[[list[str]], list[str]] = list
    """How this user agent writes its rows, of which it is given the lawful ones."""

    def send(
        self,
        method: str,
        *rows: str,
        body: str = "",
        cseq: int | None = None,
        branch: str | None = None,
        to_tag: str | None = None,
    ) -> int:
        """Send a request with these further header rows; returns its CSeq number."""
        number = next(self.cseq) if cseq is None else cseq
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        if method == "INVITE":
            self.invite_branch = branch
        to_tag = to_tag or self.remote_tag
        head = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/{self.agent.over.upper()} {self.agent.sent_by};branch={branch}",
            *(f"Route: {route}" for route in self.routes),
            "Max-Forwards: 70",
            f"From: {self.local};tag={self.local_tag}",
            f"To: {self.remote}{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <{self.agent.contact(self.user)}>",
            *rows,
        ]
        self._put(head, body)
        return number

    def invite(self, *rows: str, offer: bool = True, allow: str = ALLOW) -> int:
        """Send an INVITE, or a re-INVITE once there is a dialog."""
        body = sdp(self.agent.media or self.agent.address) if offer else ""
        return self.send("INVITE", *([allow] if allow else []), *rows, body=body)

    def expect(self, what: int | str, cseq: int | None = None, timeout: float = PATIENCE) -> SipMessage:
        """The next answer with this status, or request with this method, of this call."""
        got = self.agent.sockets.receive(
            lambda each: self._is_ours(each, what, cseq), f"{what} for {self.call_id}", timeout
        )
        assert got.message is not None
        self.latest = got
        return got.message

    def any_of(self, *methods: str, timeout: float = PATIENCE) -> SipMessage:
        """The next request of this call with one of these methods."""
        got = self.agent.sockets.receive(
            lambda each: any(self._is_ours(each, method, None) for method in methods),
            f"{' or '.join(methods)} for {self.call_id}",
            timeout,
        )
        assert got.message is not None
        self.latest = got
        return got.message

    def final(self, cseq: int, timeout: float = PATIENCE) -> SipMessage:
        """The final answer to our request; many calls that begin at once wait for one another."""
        got = self.agent.sockets.receive(
            lambda each: (
                self._is_ours(each, None, cseq)
                and each.message is not None
                and (each.message.status or 0) >= 200
            ),
            f"the final answer to CSeq {cseq} of {self.call_id}",
            timeout,
        )
        assert got.message is not None
        self.latest = got
        if got.message.method == "INVITE" and (got.message.status or 0) >= 300:
            self.send("ACK", cseq=cseq, branch=self.invite_branch, to_tag=got.message.to_tag)
        return got.message

    def establish(self, answer: SipMessage) -> None:
        """Take the dialog from a 2xx (or a provisional answer) to our INVITE."""
        self.remote_tag = answer.to_tag
        self.routes = list(reversed(answer.rows("Record-Route")))
        self.target = _uri(answer.header("Contact") or "") or self.target

    def ack(self, answer: SipMessage) -> None:
        """Confirm a 2xx to our INVITE."""
        if self.remote_tag is None:
            self.establish(answer)
        self.send("ACK", cseq=answer.cseq[0])
        if self.agent.wire is not None:
            self.agent.wire.wait_for_ack(self.call_id, answer.cseq[0])

    def dial(self, *rows: str, offer: bool = True, allow: str = ALLOW) -> SipMessage:
        """INVITE, 2xx, ACK; returns the 2xx."""
        answer = self.final(self.invite(*rows, offer=offer, allow=allow))
        assert answer.status == 200, answer.start_line
        self.ack(answer)
        return answer

    def ask(self, method: str, *rows: str, body: str = "") -> SipMessage:
        """A request and its final answer, confirmed where it is a 2xx to INVITE."""
        answer = self.final(self.send(method, *rows, body=body))
        if method == "INVITE" and answer.status == 200:
            self.ack(answer)
        return answer

    def answer(  # what stands in a response, each by name
        self,
        request: SipMessage,
        code: int,
        *rows: str,
        body: str = "",
        tag: str | None = None,
        record_route: bool = True,
    ) -> None:
        """Answer a request of the other side.

        ``tag`` is our To tag where it shall be another; without ``record_route`` we do not copy that header.
        """
        to = request.header("To") or ""
        if request.to_tag is None and code > 100:
            to += f";tag={tag or self.local_tag}"
        head = [
            f"SIP/2.0 {code} {_REASONS.get(code, 'Answer')}",
            *(f"Via: {via}" for via in request.rows("Via")),
            *(f"Record-Route: {route}" for route in request.rows("Record-Route") if record_route),
            f"From: {request.header('From')}",
            f"To: {to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {request.header('CSeq')}",
            f"Contact: <{self.agent.contact(self.user)}>",
            *rows,
        ]
        self._put(head, body)

    def accept(
        self,
        request: SipMessage,
        *rows: str,
        tag: str | None = None,
        allow: str = ALLOW,
        record_route: bool = True,
    ) -> None:
        """200 with SDP where the request is an INVITE or has SDP itself."""
        body = (
            sdp(self.agent.media or self.agent.address) if request.method == "INVITE" or request.body else ""
        )
        listed = [allow] if allow else []
        self.answer(request, 200, *listed, *rows, body=body, tag=tag, record_route=record_route)

    def bye(self, *rows: str) -> SipMessage:
        """End the call."""
        return self.final(self.send("BYE", *rows))

    def _is_ours(self, each: Datagram, what: int | str | None, cseq: int | None) -> bool:
        message = each.message
        if message is None or message.call_id != self.call_id:
            return False
        if (each.own, each.over) != (self.agent.own, self.agent.over):
            return False
        if what is None:
            return message.status is not None and message.cseq[0] == cseq
        if isinstance(what, str):
            return message.is_request(what)
        return message.status == what and (cseq is None or message.cseq[0] == cseq)

    def _put(self, head: Sequence[str], body: str) -> None:
        rows = self.written([*head])
        if body:
            rows.append("Content-Type: application/sdp")
        text = self.before + "\r\n".join((*rows, f"Content-Length: {len(body)}", "", body))
        to = self.next_hop or (self.agent.edge, self.agent.edge_port)
        data = text.encode(errors="surrogateescape")
        self.agent.sockets.send(self.agent.own, to, data, self.agent.over)


Peer = Callable[[int], UserAgent]
"""Gives the user agent at one of the carrier's addresses, by the last number."""

Originate = Callable[..., tuple[Call, SipMessage]]
"""Makes Asterisk call a user agent; gives the call and its INVITE as they come in there."""

_REASONS = {
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    405: "Method Not Allowed",
    422: "Session Interval Too Small",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
}


def in_uri(address: str) -> str:
    """An address as a URI has it: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _uri(header: str) -> str:
    return header[header.find("<") + 1 : header.find(">")] if "<" in header else header.partition(";")[0]
