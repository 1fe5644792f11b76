"""A SIP message as it was captured: tolerant to read, easy to ask.

Nothing is judged here. A test that expects a header asks for it and compares the text it finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# RFC 3261 section 7.3.3, RFC 4028 (x), RFC 3265 (o, u), RFC 3515 (r), RFC 3892 (b), RFC 3841 (a, d, j).
COMPACT_NAMES = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}

_REQUEST = re.compile(r"([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP/2\.0$")
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6]\d\d) ?(.*)$")
_FOLD = re.compile(r"\r?\n[ \t]+")
_LINE_END = re.compile(r"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,]+)", re.IGNORECASE)
_DELTA = re.compile(r"\s*(\d+)\s*(?:;|$)")
_REFRESHER = re.compile(r";\s*refresher\s*=\s*(uac|uas)\s*(?:;|$)", re.IGNORECASE)


class NotSip(ValueError):  # noqa: N818 - it says what the datagram is, RTP for one; nothing went wrong
    """The bytes do not begin with a SIP/2.0 start line."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One request or response; ``headers`` keeps order and repeated rows, names in their long form."""

    start_line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> SipMessage:
        """Read one datagram. Folded rows are joined; a row without a colon is left out.

        Raises NotSip when the start line is neither a request's nor a response's.
        """
        head, _, body = _split(data)
        start_line, *rows = _LINE_END.split(_FOLD.sub(" ", head))
        if not (_REQUEST.match(start_line) or _RESPONSE.match(start_line)):
            raise NotSip(f"no SIP start line: {start_line[:60]!r}")
        headers = []
        for row in rows:
            name, colon, value = row.partition(":")
            if colon:
                name = name.strip()
                headers.append((COMPACT_NAMES.get(name.lower(), name), value.strip()))
        return cls(start_line, tuple(headers), body)

    @property
    def status(self) -> int | None:
        """The status code of a response, None for a request."""
        match = _RESPONSE.match(self.start_line)
        return int(match[1]) if match else None

    @property
    def reason(self) -> str:
        """The reason phrase of a response; empty for a request."""
        match = _RESPONSE.match(self.start_line)
        return match[2] if match else ""

    @property
    def method(self) -> str:
        """The method of a request, or of the request a response answers (from CSeq)."""
        match = _REQUEST.match(self.start_line)
        return match[1] if match else self.cseq[1]

    @property
    def request_uri(self) -> str | None:
        """The Request-URI, None for a response."""
        match = _REQUEST.match(self.start_line)
        return match[2] if match else None

    def is_request(self, *methods: str) -> bool:
        """Whether this is a request, of one of these methods."""
        return self.status is None and self.method in methods

    def header(self, name: str) -> str | None:
        """The value of the first row of that name (long form, any case), None if there is none."""
        return next(iter(self.rows(name)), None)

    def rows(self, name: str) -> tuple[str, ...]:
        """The values of all rows of that name, in order."""
        wanted = name.lower()
        return tuple(value for row, value in self.headers if row.lower() == wanted)

    def tokens(self, name: str) -> frozenset[str]:
        """The comma-separated words of all rows of that name, lower case: Supported, Require, Allow."""
        words = ",".join(self.rows(name)).lower().split(",")
        return frozenset(word.strip() for word in words if word.strip())

    @property
    def call_id(self) -> str:
        """The Call-ID; empty if the message has none."""
        return self.header("Call-ID") or ""

    @property
    def cseq(self) -> tuple[int, str]:
        """CSeq as number and method; ``(-1, "")`` if it is missing or unreadable."""
        number, _, method = (self.header("CSeq") or "").partition(" ")
        return (int(number), method.strip()) if number.isdecimal() else (-1, "")

    @property
    def from_tag(self) -> str | None:
        """The tag parameter of From."""
        return _tag(self.header("From"))

    @property
    def to_tag(self) -> str | None:
        """The tag parameter of To; a request that has one is inside a dialog."""
        return _tag(self.header("To"))

    @property
    def interval(self) -> int | None:
        """Seconds in Session-Expires (RFC 4028 section 4), None if absent or not a number."""
        return _delta(self.header("Session-Expires"))

    @property
    def refresher(self) -> str | None:
        """``uac`` or ``uas`` from Session-Expires, None if it does not say."""
        match = _REFRESHER.search(self.header("Session-Expires") or "")
        return match[1].lower() if match else None

    @property
    def min_se(self) -> int | None:
        """Seconds in Min-SE (RFC 4028 section 5), None if absent or not a number."""
        return _delta(self.header("Min-SE"))


def _split(data: bytes) -> tuple[str, bytes, bytes]:
    """Head as text, the blank line, body. Octets outside UTF-8 are kept readable, never an error."""
    # A keep-alive or a hasty peer may send blank lines first (RFC 3261 section 7.5).
    data = data.lstrip(b"\r\n")
    match = _HEAD_END.search(data)
    if match is None:
        return data.decode(errors="replace").rstrip("\r\n"), b"", b""
    return data[: match.start()].decode(errors="replace"), match[0], data[match.end() :]


def _tag(value: str | None) -> str | None:
    # Parameters of the URI stand inside <>, those of the header behind it.
    match = _TAG.search((value or "").rpartition(">")[2])
    return match[1] if match else None


def _delta(value: str | None) -> int | None:
    match = _DELTA.match(value or "")
    return int(match[1]) if match else None
