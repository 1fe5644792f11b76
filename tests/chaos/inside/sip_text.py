"""The messages of the crowd, as text: a peer that calls `wait` and knows session timers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.lab.sip import SipMessage

_REASONS = {200: "OK", 481: "Call/Transaction Does Not Exist", 405: "Method Not Allowed"}


def sdp(address: str, version: int) -> str:
    """An audio offer or answer; ``version`` is that of its o= line."""
    return (
        f"v=0\r\no=crowd 1 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )


@dataclass(slots=True)
class Dialog:
    """One end of a dialog: what its requests and responses say."""

    call_id: str
    own: tuple[str, int]
    edge: str
    tag: str
    allow: str
    target: str
    remote_tag: str = ""
    routes: list[str] = field(default_factory=list)
    cseq: int = 0

    @property
    def contact(self) -> str:
        return f"<sip:crowd@{self.own[0]}:{self.own[1]}>"

    def establish(self, answer: SipMessage) -> None:
        """Take over what a 2xx to our INVITE says."""
        self.remote_tag = answer.to_tag or ""
        self.routes = list(reversed(answer.rows("Record-Route")))
        contact = answer.header("Contact") or ""
        if "<" in contact:
            self.target = contact[contact.find("<") + 1 : contact.find(">")]

    def request(self, method: str, cseq: int, branch: str, *rows: str, body: str = "") -> bytes:
        """A request within the dialog, or the INVITE that begins it."""
        return _text(
            [
                f"{method} {self.target} SIP/2.0",
                f"Via: SIP/2.0/UDP {self.own[0]}:{self.own[1]};branch={branch}",
                *(f"Route: {route}" for route in self.routes),
                "Max-Forwards: 70",
                f"From: <sip:crowd@{self.own[0]}>;tag={self.tag}",
                f"To: <sip:wait@{self.edge}>" + (f";tag={self.remote_tag}" if self.remote_tag else ""),
                f"Call-ID: {self.call_id}",
                f"CSeq: {cseq} {method}",
                f"Contact: {self.contact}",
                f"Allow: {self.allow}",
                *rows,
            ],
            body,
        )


def response(request: SipMessage, code: int, contact: str, *rows: str, body: str = "") -> bytes:
    """A response to a request within a dialog."""
    return _text(
        [
            f"SIP/2.0 {code} {_REASONS.get(code, 'Answer')}",
            *(f"Via: {via}" for via in request.rows("Via")),
            *(f"Record-Route: {route}" for route in request.rows("Record-Route")),
            *(f"{name}: {request.header(name)}" for name in ("From", "To", "Call-ID", "CSeq")),
            f"Contact: {contact}",
            *rows,
        ],
        body,
    )


def _text(head: list[str], body: str) -> bytes:
    rows = [*head, *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
    return ("\r\n".join((*rows, "", body))).encode(errors="replace")
