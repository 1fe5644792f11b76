"""Nobody outside speaks in our internal header.

The header is signed, so what slips through here misleads nobody. Its rows are taken off all the same, as
Kamailio has parsed them. Where another parser may see rows that Kamailio does not see, nothing is repaired:
the message is refused.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from .. import ksr
from ..this_edge import ThisEdge

_END_OF_HEAD = re.compile(r"\n[\r\n]")
_READ_DIFFERENTLY = re.compile(r"\0|\r(?!\n)|(?<!\r)\n|\n[ \t]")
"""NUL, a CR or LF of its own, a fold: rows end there for some parsers and go on for others."""
_QUOTED_PAIR = re.compile(r"\\.")


class Naming(Enum):
    """How a message names our internal header."""

    ABSENT = auto()
    CLEAR = auto()
    """Every parser finds the same rows in it."""
    AMBIGUOUS = auto()
    """Parsers may differ on where its rows are."""


def naming(text: str, header: str) -> Naming:
    """How the message `text` names `header`."""
    if header.lower() not in text.lower():
        return Naming.ABSENT
    # Both parsers pass over ends of lines in front of a message: no head ends there.
    text = text.lstrip("\r\n")
    end = _END_OF_HEAD.search(text)
    head = text if end is None else text[: end.start() + 1]
    # pjsip takes an ampersand for the end of a row, and blanks behind it for nothing.
    if _READ_DIFFERENTLY.search(head) or _behind_ampersand(header).search(head):
        return Naming.AMBIGUOUS
    if any(_QUOTED_PAIR.sub("", row).count('"') % 2 for row in head.split("\n")):
        return Naming.AMBIGUOUS  # an open quote: for some parsers it goes on behind the end of the row
    return Naming.CLEAR


@lru_cache(4)
def _behind_ampersand(header: str) -> re.Pattern[str]:
    return re.compile(rf"&\s*{re.escape(header)}", re.IGNORECASE)


class Trust:
    """Takes the internal header off whatever comes in."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def request(self) -> bool:
        """In the request route. True: the request was refused."""
        if self._removed(ksr.message_text()):
            return False
        self._report()
        if ksr.pv("$rm") != "ACK":
            ksr.reply(400, f"Ambiguous {self._edge.config.edge.header}", "")
        return True

    def response(self, text: str) -> bool:
        """In the core's reply route, with the whole message. True: the response is dropped."""
        if self._removed(text):
            return False
        self._report()
        ksr.drop_reply()
        return True

    def _removed(self, text: str) -> bool:
        header = self._edge.config.edge.header
        found = naming(text, header)
        # Where Kamailio cannot parse one row it removes none, and yet relays such a response.
        return found is Naming.ABSENT or (found is Naming.CLEAR and ksr.remove(header))

    def _report(self) -> None:
        ksr.count("session_timer_ambiguous")
        ksr.warn(
            f"session timer: {ksr.pv('$ci')}: a message from {ksr.pv('$si')} names "
            f"{self._edge.config.edge.header} in a way that parsers read differently: it goes no further"
        )
