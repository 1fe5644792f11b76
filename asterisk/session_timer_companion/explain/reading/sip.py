"""A SIP message as it was captured: tolerant to read, easy to ask. Nothing is judged here."""

from __future__ import annotations

import re
from dataclasses import dataclass

# RFC 3261 section 7.3.3, RFC 4028 (x): the compact names of the headers that are read.
_LONG_NAMES = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "t": "to",
    "v": "via",
    "x": "session-expires",
}
_READ = (
    "via", "route", "record-route", "max-forwards", "from", "to", "call-id", "cseq", "contact",
    "session-expires", "min-se", "supported", "require", "proxy-require", "unsupported", "allow",
    "retry-after", "reason", "user-agent", "server", "content-type", "x-session-timer", "x-call-id", "x-cid",
    "x-original-call-id", "x-orig-call-id", "x-parent-call-id", "p-call-id", *_LONG_NAMES,
)  # fmt: skip
"""The headers that are read, in lower case: others cost time, and nobody asks for them."""
_ROW = re.compile(
    r"\n(" + "|".join(sorted(_READ, key=len, reverse=True)) + r")[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE,
)
_REQUEST = re.compile(rb"([A-Za-z0-9.!%*_+`'~-]{1,32}) ([^ \r\n]{1,2000}) SIP/2\.0[ \t]*\r?$", re.MULTILINE)
_RESPONSE = re.compile(rb"SIP/2\.0 ([1-6]\d\d)(?: ([^\r\n]*))?\r?$", re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_TAG = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^\s;,]+)", re.IGNORECASE)
_BRANCH = re.compile(r";[ \t]*branch[ \t]*=[ \t]*([^\s;,]+)", re.IGNORECASE)
_USER = re.compile(r"(?:sips?|tel):([^@;>\s]{1,200})", re.IGNORECASE)
LARGEST = 65_536
"""Bytes: no message is read beyond this."""


class NotSipError(ValueError):
    """The bytes do not begin with a SIP/2.0 start line: RTP for one. Nothing went wrong."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a transport; port 0 where it is not known."""

    address: str
    port: int = 0

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port}" if self.port else shown


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response. ``headers`` keeps order and repeated rows of those that are read (`_READ`)."""

    method: str
    """Of a request, or of the request that a response answers (from CSeq)."""
    status: int | None
    """None for a request."""
    reason: str
    """The reason phrase of a response."""
    uri: str
    """The Request-URI of a request."""
    call_id: str
    cseq: int
    """-1 where it cannot be read."""
    from_tag: str | None
    to_tag: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read one message. Folded rows are joined.

        Raises `NotSipError` when the start line is neither a request's nor a response's.
        """
        # A keep-alive or a hasty peer may send blank lines first (RFC 3261 section 7.5).
        data = data[:LARGEST].lstrip(b"\r\n")
        request, response = _REQUEST.match(data), _RESPONSE.match(data)
        if request is None and response is None:
            raise NotSipError("no SIP start line")
        head, body = split(data)
        headers = []
        for found in _ROW.finditer(head.decode(errors="replace")):
            name, value = found[1].lower(), found[2].strip()
            if "\n" in value:
                value = _FOLD.sub(" ", value)
            headers.append((_LONG_NAMES.get(name, name), value))
        first = dict(reversed(headers))
        number, _, cseq_method = first.get("cseq", "").partition(" ")
        return cls(
            method=request[1].decode().upper() if request else cseq_method.strip().upper(),
            status=int(response[1]) if response else None,
            reason=(response[2] or b"").decode(errors="replace").strip() if response else "",
            uri=request[2].decode(errors="replace") if request else "",
            call_id=first.get("call-id", ""),
            cseq=int(number) if number.isascii() and number.isdigit() and len(number) < 11 else -1,
            from_tag=_tag(first.get("from", "")),
            to_tag=_tag(first.get("to", "")),
            headers=tuple(headers),
            body=body,
        )

    @property
    def is_request(self) -> bool:
        return self.status is None

    def rows(self, name: str) -> tuple[str, ...]:
        """The values of all rows of that name (long form, any case), in order."""
        wanted = name.lower()
        return tuple(value for row, value in self.headers if row == wanted)

    def header(self, name: str) -> str | None:
        """The value of the first row of that name, None if there is none."""
        return next(iter(self.rows(name)), None)

    def tokens(self, name: str) -> frozenset[str]:
        """The comma-separated words of all rows of that name, in lower case: Supported, Require, Allow."""
        words = ",".join(self.rows(name)).lower().split(",")
        return frozenset(word.strip() for word in words if word.strip())

    @property
    def branch(self) -> str:
        """The branch parameter of the topmost Via: which transaction, on this hop."""
        found = _BRANCH.search(self.header("via") or "")
        return found[1] if found else ""

    @property
    def software(self) -> str:
        """What the sender of a request, or of a response, calls itself."""
        return self.header("user-agent" if self.is_request else "server") or self.header("user-agent") or ""

    def user(self, name: str) -> str:
        """The user part of the URI in From or To; empty if there is none."""
        found = _USER.search(self.header(name) or "")
        return found[1] if found else ""


def split(data: bytes) -> tuple[bytes, bytes]:
    """Head, with its start line, and body; the body is empty where no blank line was captured."""
    end = _HEAD_END.search(data)
    return (data, b"") if end is None else (data[: end.start()], data[end.end() :])


def has_whole_head(data: bytes) -> bool:
    """Whether the blank line that ends the head is there."""
    return _HEAD_END.search(data) is not None


def begins_message(data: bytes) -> bool:
    """Whether a SIP message begins here: its whole first line must be there."""
    return bool(_REQUEST.match(data) or _RESPONSE.match(data))


def tags_of(value: str) -> list[str]:
    """The tags in a value of From or To, of which there should be one at most."""
    # Parameters of the URI stand inside <>, those of the header behind it.
    return _TAG.findall(value.rpartition(">")[2])


def _tag(value: str) -> str | None:
    return next(iter(tags_of(value)), None)
