"""The INVITE or UPDATE transaction at hand, as far as session timers look at it."""

from __future__ import annotations

from typing import NamedTuple

from session_timer import Peer, Record, Side
from session_timer.record import key

from . import ksr


class Transaction(NamedTuple):
    """Who sends what within which dialog."""

    call_id: str
    from_tag: str
    to_tag: str
    """Of the request, or of the answer once there is one; empty in an initial INVITE."""
    cseq: str
    sender: Side
    peer: Peer
    record: Record | None

    @property
    def local_tag(self) -> str:
        """The tag of our end."""
        return self.from_tag if self.sender is Side.LOCAL else self.to_tag

    @property
    def name(self) -> str:
        """Tells this transaction from the others of its dialog."""
        return f"{self.sender}:{self.cseq}"


class MessageIds(NamedTuple):
    """What names the dialog of the message that is being routed."""

    method: str
    call_id: str
    from_tag: str
    to_tag: str

    @classmethod
    def read(cls) -> MessageIds:
        return cls(ksr.pv("$rm"), ksr.pv("$ci"), ksr.pv("$ft"), ksr.pv("$tt"))

    @property
    def dialog(self) -> str:
        """The key of the dialog's record."""
        return key(self.call_id, self.from_tag, self.to_tag)
