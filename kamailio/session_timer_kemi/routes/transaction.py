"""A request that has a final response: whose it is, and where its dialog stands."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from session_timer import Peer, Record, Side

from ..memory.branch_memory import Waiting


class Standing(Enum):
    """Where a dialog stands when a final response to an INVITE or UPDATE comes."""

    BEGINS = auto()
    """There is no record: the 2xx makes the first."""
    BEGUN_EARLY = auto()
    """The request began the dialog and there is a record: an UPDATE before the response has made it."""
    GOES_ON = auto()
    """There is a record, and the request was sent within the dialog."""
    LOST = auto()
    """The request was sent within the dialog, and there is no record: the 2xx makes one anew."""
    OVER = auto()
    """There was a record, and it has gone: a BYE has passed."""
    ONE_FORK_TOO_MANY = auto()
    """The request has begun as many dialogs as one may."""


class Transaction(NamedTuple):
    """Who sends what within which dialog."""

    waiting: Waiting
    dialog: str
    """The key of the dialog's record."""
    to_tag: str
    """Of the response."""
    sender: Side
    """Whose request it is."""
    peer: Peer
    record: Record | None

    @property
    def local_tag(self) -> str:
        """The tag of our end."""
        return self.waiting.from_tag if self.sender is Side.LOCAL else self.to_tag

    @property
    def name(self) -> str:
        """Tells this transaction from the others of its dialog."""
        return f"{self.sender}:{self.waiting.cseq}"

    @property
    def call(self) -> str:
        """How lines of the log begin."""
        return f"session timer: {self.waiting.call_id}: peer={self.peer.name}"
