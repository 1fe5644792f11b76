"""The message that is being routed, as far as session timers look at it."""

from __future__ import annotations

from typing import NamedTuple

from . import ksr
from .rows import HEADERS, Rows

PEER_NAME = "session_timer_peer"
"""The AVP in which a script may name the peer, for instance after a dispatcher chose it."""


class Received(NamedTuple):
    """What Kamailio tells of a request or an answer; a text that it does not have is empty."""

    method: str
    """Of the request, or of the one that is answered."""
    call_id: str
    from_tag: str
    to_tag: str
    cseq: str
    source: str
    """The address that it came from."""
    from_domain: str
    peer: str
    """What the script has named the peer."""
    next_hop: str
    """The host that a request goes to."""
    branch: str
    rows: Rows

    @classmethod
    def read(cls) -> Received:
        """The message in hand."""
        method, call_id, from_tag, to_tag, cseq, source, domain, peer, hop, branch, *rows = _QUESTION.ask()
        timers = Rows._make(map(_row, HEADERS, rows))
        return cls(method, call_id, from_tag, to_tag, cseq, source, domain, peer, hop, branch, timers)


def _row(header: str, value: str) -> str | None:
    return value or ("" if ksr.has(header) else None)


_QUESTION = ksr.Question(
    "rm",
    "ci",
    "ft",
    "tt",
    "cs",
    "si",
    "fd",
    f"avp({PEER_NAME})",
    "nh(d)",
    "T_branch_idx",
    *(f"hdr({header})[*]" for header in HEADERS),
)
