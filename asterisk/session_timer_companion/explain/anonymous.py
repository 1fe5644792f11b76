"""A capture's SIP as text that can be shown around: no number, name or address of it is left.

Nothing is kept because it looks harmless. What a message says about timers, dialogs and methods is written
anew, word by word from closed lists; every other word becomes a pseudonym, the same one for the same word, or
is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from session_timer_companion.explain.reading.sip import Endpoint, Message, tags_of
from session_timer_companion.explain.reading.trace import Seen

# Headers whose values are lists of words from the standards; any other word in them is left out.
_WORDS = frozenset(
    {
        "timer", "100rel", "replaces", "path", "gruu", "outbound", "norefersub", "histinfo", "precondition",
        "invite", "ack", "bye", "cancel", "options", "register", "prack", "subscribe", "notify", "publish",
        "info", "refer", "message", "update", "from-change", "join", "tdialog", "eventlist", "privacy",
        "sec-agree", "answermode",
    }
)  # fmt: skip
_LISTS = {"supported": "Supported", "require": "Require", "proxy-require": "Proxy-Require",
          "unsupported": "Unsupported", "allow": "Allow"}  # fmt: skip
_METHODS = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY",
                      "PUBLISH", "INFO", "REFER", "MESSAGE", "UPDATE"})  # fmt: skip
_ORDER = (
    "via", "record-route", "route", "max-forwards", "from", "to", "call-id", "cseq", "contact",
    "session-expires", "min-se", "supported", "require", "proxy-require", "unsupported", "allow",
    "retry-after", "reason",
    "x-session-timer", "user-agent", "server", "content-type",
)  # fmt: skip
_SOFTWARE = re.compile(r"asterisk|freeswitch|kamailio|opensips|fpbx", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,10}")
_TIMER = re.compile(r"\s*(\d{1,10})\s*(?:;.*)?", re.DOTALL)
_REFRESHER = re.compile(r";\s*refresher\s*=\s*(uac|uas|local|remote|none)\s*(?:;|$)", re.IGNORECASE)
_CAUSE = re.compile(r"\s*(SIP|Q\.850)\s*;\s*cause\s*=\s*(\d{1,3})", re.IGNORECASE)
_TRANSPORT = re.compile(r"SIP/2\.0/(UDP|TCP|TLS|WSS|WS|SCTP)", re.IGNORECASE)
_SDP_NUMBER = re.compile(rb"o=\S+ (\d{1,20}) (\d{1,20}) ")
_SDP_DIRECTION = frozenset({b"a=sendrecv", b"a=sendonly", b"a=recvonly", b"a=inactive"})
_REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    422: "Session Interval Too Small",
}


class Pseudonyms:
    """Names for what is not to be known: the same for the same, and none leads back.

    They are made with a key that is forgotten with this object, so that nobody finds a number by trying all.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._addresses: dict[str, str] = {}

    def word(self, kind: str, text: str) -> str:
        """A word for ``text``, such as ``call-3f2a9c41``."""
        digest = hmac.new(self._key, f"{kind}\0{text}".encode(errors="replace"), hashlib.sha256).hexdigest()
        return f"{kind}-{digest[:10]}"

    def number(self, kind: str, text: str, digits: int = 9) -> int:
        """A number for ``text``."""
        digest = hmac.new(self._key, f"{kind}\0{text}".encode(errors="replace"), hashlib.sha256).digest()
        return int.from_bytes(digest[:8]) % int(10**digits)

    def address(self, address: str) -> str:
        """An address for an address, out of those that no one has (198.18.0.0/15), counted from the first."""
        if address not in self._addresses:
            count = len(self._addresses) + 1
            self._addresses[address] = f"198.{18 + (count >> 16) % 2}.{count >> 8 & 255}.{count & 255}"
        return self._addresses[address]


def written(seen: Seen, names: Pseudonyms) -> str:
    """One message, in the form in which sngrep saves text, so that this program and others read it."""
    try:
        at = datetime.fromtimestamp(seen.time, UTC).strftime("%Y/%m/%d %H:%M:%S.%f")
    except (ValueError, OverflowError, OSError):
        at = "1970/01/01 00:00:00.000000"
    ends = f"{_end(seen.source, names)} -> {_end(seen.destination, names)}"
    return f"{at} {ends}\n{_message(seen.message, names)}\n\n"


def _end(end: Endpoint, names: Pseudonyms) -> str:
    known = end.port in (0, 5060, 5061)
    port = (end.port or 5060) if known else 10_000 + names.number("port", str(end.port), 4)
    return f"{names.address(end.address)}:{port}"


def _message(message: Message, names: Pseudonyms) -> str:
    method = message.method if message.method in _METHODS else "UNKNOWN"
    if message.status is None:
        rows = [f"{method} sip:{names.word('user', message.uri)}@example.invalid SIP/2.0"]
    else:
        rows = [f"SIP/2.0 {message.status} {_REASONS.get(message.status, 'Response')}"]
    for name in _ORDER:
        values = message.rows(name)
        if name in _LISTS and values:
            words = [word.strip() for value in values for word in value.split(",")]
            rows.append(f"{_LISTS[name]}: {', '.join(word for word in words if word.lower() in _WORDS)}")
        else:
            rows += [f"{shown}" for value in values for shown in _row(name, value, message, method, names)]
    body = _body(message.body, names)
    rows += [f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(rows)


def _row(  # noqa: C901, PLR0912 - one case for each header that is kept
    name: str, value: str, message: Message, method: str, names: Pseudonyms
) -> Iterator[str]:
    match name:
        case "via":
            transport = _TRANSPORT.match(value)
            branch = re.search(r";\s*branch\s*=\s*([^\s;,]+)", value, re.IGNORECASE)
            shown = names.word("z9hG4bK", branch[1]) if branch else "none"
            host = names.word("host", value.partition(";")[0])
            yield f"Via: SIP/2.0/{transport[1].upper() if transport else 'UDP'} {host}.invalid;branch={shown}"
        case "record-route" | "route" | "contact":
            yield f"{name.title()}: <sip:{names.word('place', value.partition(';')[0])}.invalid>"
        case "from" | "to":
            user = names.word("user", message.user(name))
            tags = (f";tag={names.word('tag', tag)}" for tag in tags_of(value))  # some write it twice
            yield f"{name.title()}: <sip:{user}@example.invalid>{''.join(tags)}"
        case "call-id":
            yield f"Call-ID: {names.word('call', value)}"
        case "cseq":
            yield f"CSeq: {max(message.cseq, 0)} {method}"
        case "max-forwards" | "retry-after":
            if found := _NUMBER.match(value):
                yield f"{name.title()}: {found[0]}"
        case "session-expires" | "min-se" | "x-session-timer":
            yield f"{ {'min-se': 'Min-SE'}.get(name, name.title()) }: {_timer(value)}"
        case "reason":
            if found := _CAUSE.match(value):
                said = [word for word in ("timer", "expired", "refresh") if word in value.lower()]
                yield f"Reason: {found[1]};cause={found[2]}" + (f';text="{" ".join(said)}"' if said else "")
        case "user-agent" | "server":
            if software := _SOFTWARE.search(value):
                yield f"{name.title()}: {software[0]}"
        case "content-type":
            if value.lower().startswith("application/sdp"):
                yield "Content-Type: application/sdp"


def _timer(value: str) -> str:
    """A timer header's number and refresher; what cannot be read is marked as that."""
    number, refresher = _TIMER.fullmatch(value), _REFRESHER.search(value)
    if number is None:
        return "unreadable"
    end = ";" if value.rstrip().endswith(";") else ""  # forbidden, and told
    return number[1] + (f";refresher={refresher[1].lower()}" if refresher else "") + end


def _body(body: bytes, names: Pseudonyms) -> str:
    """Of a description what tells whether it changed: its version, and a word for all of it."""
    if not body.startswith(b"v="):
        return ""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    origin = next((line for line in lines if line.startswith(b"o=")), b"")
    version = _SDP_NUMBER.match(origin + b" ")
    session = names.number("session", origin.rpartition(b"IN")[0].decode(errors="replace").rpartition(" ")[0])
    digits = int(version[2]) % 1000 if version else 0
    shown = ["v=0", f"o=- {session} {digits} IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
    rest = b"\n".join(line for line in lines if not line.startswith(b"o="))
    shown.append(f"a=content:{names.word('sdp', rest.decode(errors='replace'))}")
    shown += [line.decode() for line in lines if line in _SDP_DIRECTION]
    return "\r\n".join([*shown, ""])
