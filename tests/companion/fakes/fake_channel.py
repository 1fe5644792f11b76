"""A PJSIP channel as AMI shows it, and what makes Asterisk send a refresh on it.

Modelled on what Asterisk 22 does: a refresh that would not change the media is swallowed while AMI still says
`Variable set`, and CONNECTEDLINE sends an UPDATE only for a tag it has not had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UP = 6
STATES = {0: "Down", 4: "Ring", 5: "Ringing", UP: "Up"}


@dataclass(frozen=True, slots=True)
class Refresh:
    """What left Asterisk on the wire."""

    method: Literal["INVITE", "UPDATE"]
    sdp: bool


@dataclass(slots=True)
class Channel:
    name: str
    uniqueid: str
    call_id: str
    local_tag: str = "asterisk-tag"
    remote_tag: str = "peer-tag"
    state: int = UP
    codecs: str = "alaw"
    """Negotiated, as in PJSIP_MEDIA_OFFER: comma separated."""
    peer_allows_update: bool = True
    t38state: str = "DISABLED"
    video: str = ""
    """What the endpoint allows, comma separated."""
    dtmf_mode: str = "rfc4733"
    caller_number: str = "100"
    connected_number: str = "200"
    dialled: str = "4711"
    """CALLERID(dnid): the number that was called."""
    placed: bool = False
    """Asterisk sent the INVITE."""
    unreadable: bool = False
    """Asterisk answers Success to what is read of it, with empty values."""
    received_packets: float = 0.0
    """RTP packets of the peer so far."""
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    """Of the INVITE, for an inbound channel."""
    response_headers: dict[str, str | list[str]] = field(default_factory=dict)
    """Of the 2xx, for a channel that Asterisk placed; several rows of a name as a list."""
    variables: dict[str, str] = field(default_factory=dict)
    offer: str = ""
    connected_tag: str = ""

    def read(self, expression: str) -> str:
        """What AMI tells of a variable or of a function such as `CHANNEL(pjsip,call-id)`."""
        function, parenthesis, argument = expression.partition("(")
        argument = argument.removesuffix(")")
        if not parenthesis:
            return self.variables.get(expression, "(null)")
        if self.unreadable:
            return ""
        match function:
            case "CHANNEL":
                return {
                    "pjsip,call-id": self.call_id,
                    "pjsip,local_tag": self.local_tag,
                    "pjsip,remote_tag": self.remote_tag,
                    "pjsip,t38state": self.t38state,
                    "audionativeformat": f"({self.codecs.replace(',', '|')})",
                    "pjsip,request_uri": "" if self.placed else "sip:100@127.0.0.1",
                    "channeltype": "PJSIP",
                    "state": STATES[self.state],
                    "rtcp,rxcount": str(int(self.received_packets)),
                }.get(argument, "")
            case "PJSIP_MEDIA_OFFER":
                return self.video if argument == "video" else self.codecs
            case "PJSIP_DTMF_MODE":
                return self.dtmf_mode
            case "PJSIP_HEADER" | "PJSIP_RESPONSE_HEADER":
                placed = function == "PJSIP_RESPONSE_HEADER"
                if argument == "read,Call-ID":
                    return self.call_id if placed is self.placed else ""
                return _row(self.response_headers if placed else self.headers, argument)
            case "CALLERID":
                return {"dnid": self.dialled, "num": self.caller_number}.get(argument, "")
            case "CONNECTEDLINE":
                return {"tag": self.connected_tag, "num": self.connected_number}.get(argument, "")
        return ""

    def write(self, expression: str, value: str) -> tuple[bool, Refresh | None]:
        """Whether AMI calls it a success, and the refresh that it sent, if any."""
        if expression.startswith("PJSIP_") and self.state != UP:
            return False, None
        match expression:
            case "PJSIP_MEDIA_OFFER(audio)":
                self.offer = value
            case "PJSIP_SEND_SESSION_REFRESH()":
                return self._send_session_refresh(value)
            case "PJSIP_DTMF_MODE()":
                changed, self.dtmf_mode = value != self.dtmf_mode, value
                return True, Refresh("INVITE", sdp=True) if changed else None
            case "CONNECTEDLINE(num)" | "CONNECTEDLINE(num,i)":
                self.connected_number = value
            case "CONNECTEDLINE(tag)":
                return True, self._connected_line(value)
            case _ if expression.endswith(")"):
                return False, None
            case _:
                self.variables[expression] = value
        return True, None

    def _send_session_refresh(self, value: str) -> tuple[bool, Refresh | None]:
        if value not in ("invite", "update"):
            return False, None
        offered, self.offer = self.offer.removeprefix("!all,"), ""
        if offered in ("", self.codecs):
            return True, None
        return True, Refresh("INVITE" if value == "invite" else "UPDATE", sdp=True)

    def _connected_line(self, tag: str) -> Refresh | None:
        unchanged, self.connected_tag = tag == self.connected_tag, tag
        if unchanged or not self.connected_number:
            return None
        return Refresh("UPDATE", sdp=False) if self.peer_allows_update else Refresh("INVITE", sdp=True)


def _row(headers: Mapping[str, str | list[str]], argument: str) -> str:
    """The value of ``read,<name>`` or of ``read,<name>,<number of the row>``."""
    _, name, number, *_ = (*argument.split(","), "1")
    rows = headers.get(name, [])
    rows = [rows] if isinstance(rows, str) else rows
    return rows[int(number) - 1] if int(number) <= len(rows) else ""
