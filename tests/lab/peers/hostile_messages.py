"""Messages that nobody should send: mutated INVITE, UPDATE and 2xx, as hypothesis draws them.

Start line, Via, Route and Contact stay as they are: the edge looks up no name, and nothing leaves the lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st


class Kind(Enum):
    """What is mutated, and which part of the edge it meets."""

    INVITE = "an INVITE to Asterisk"
    UPDATE = "an UPDATE within a call with Asterisk"
    REINVITE = "an INVITE within a call with Asterisk"
    PROXIED_INVITE = "an INVITE to a peer with timers of its own"
    PROXIED_2XX = "a 2xx of such a peer"
    PEERS_2XX = "a 2xx to an INVITE of Asterisk"


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of text in place of some characters."""

    place: int
    """Where, in thousandths of the text."""
    cut: int
    piece: str

    def of(self, text: str) -> str:
        at = len(text) * self.place // 1000
        return text[:at] + self.piece + text[at + self.cut :]


@dataclass(frozen=True, slots=True)
class Hostile:
    """One message."""

    kind: Kind
    host: int
    """The last number of the address it comes from; its profile at the edge."""
    rows: tuple[str, ...]
    edits: tuple[Edit, ...]

    def of(self, text: str) -> str:
        """What is sent instead of this text."""
        for edit in self.edits:
            text = edit.of(text)
        return text


_NAMES = (
    *("Session-Expires", "x", "X", "Min-SE", "min-se", "Supported", "k", "Require", "Proxy-Require", "Allow"),
    *("Retry-After", "X-Session-Timer", "X-Session-Timer ", "Content-Length", "l", "Unsupported", "Event"),
)
_PIECES = st.sampled_from(
    (
        *("1800", "90", "89", "0", "4294967295", "4294967296", "9" * 600, "-1", "+90", "1.5", "0x5A", "1e3"),
        *(
            "refresher",
            "=",
            "uac",
            "UAS",
            ";",
            ";;",
            ",",
            ",,",
            " ",
            "\t",
            "\r\n ",
            "\r\n\t",
            '"',
            '"\\"',
            "\\",
        ),
        *("(", "((", ")", "<", ">", "timer", "TIMER", "100rel", "UPDATE", "v=1", "local", "refresher=uac;"),
        *("\u00ff", "\0", "\r", "\n", "\u00c2\u00b2", "\u00d9\u00a3", "%00", "{", "$ci", "$(", "'", "\x7f"),
        *("\r\n", "\r\nX-Session-Timer: 5;refresher=local;v=1", "\r\nx: 5", "\r\nk: timer", ";tag=a", ":"),
    )
)
_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=255, exclude_characters="\r\n"), max_size=10)
_VALUES = st.lists(_PIECES | _TEXT, max_size=4).map("".join)
_GOOD = st.sampled_from(
    (
        *("Session-Expires: 1800;refresher=uac", "x: 120;refresher=uas", "Session-Expires: 3000", "x: 20"),
        *("Supported: timer", "k: timer, 100rel", "Min-SE: 300", "Require: timer", "Allow: INVITE, UPDATE"),
    )
)
_ROWS = st.lists(_GOOD | st.builds("{}: {}".format, st.sampled_from(_NAMES), _VALUES), max_size=5).map(tuple)
_EDITS = st.lists(
    st.builds(Edit, st.integers(0, 999), st.sampled_from((0, 0, 1, 2, 8, 40)), _PIECES | _TEXT), max_size=2
).map(tuple)
HOSTS = (40, 41, 44, 47, 48)
"""No profile, the RFC's minimum, lab intervals, switched off, a minimum of 300 seconds."""
HOSTILE = st.builds(Hostile, st.sampled_from(Kind), st.sampled_from(HOSTS), _ROWS, _EDITS)
