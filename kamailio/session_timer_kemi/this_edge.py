"""What every route of this edge works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from session_timer import Config, ExpiryAction, InternalHeader, Mode, Peer, Policy, Record, SharedKey

from . import ksr
from .memory.records import At, LearnedMinSE, Records
from .message_facts import InHand
from .peers import Directory


@dataclass(frozen=True)
class ThisEdge:
    """The settings in force, the tables, and the clock; each process of Kamailio has its own."""

    config: Config
    key: SharedKey | None
    """None where the edge speaks for no Asterisk: then there is no companion either."""
    directory: Directory
    records: Records
    learned: LearnedMinSE
    clock: Callable[[], float]
    """Delivers monotonic seconds."""
    clock_id: str
    """Names that clock: records that other hosts wrote have other ones."""
    in_hand: InHand = field(default_factory=InHand)

    def now(self) -> At:
        """The time at this edge, as records note it."""
        return self.clock(), self.clock_id

    def tell(self, told: InternalHeader, call_id: str, peer_tag: str) -> None:
        """Put the internal header for Asterisk on the message, signed for this call.

        `peer_tag` is the tag of the peer's end. Whatever was there goes.
        """
        header = self.config.edge.header
        ksr.remove(header)
        if self.key is not None:
            ksr.append(f"{header}: {told.encode(self.key, call_id, peer_tag)}\r\n")

    def ends_by_bye(self, policy: Policy) -> bool:
        """Whether an expired session of this profile is ended by BYE to both sides."""
        wanted = self.config.edge.bye_on_expiry and policy.expiry is ExpiryAction.HANG_UP
        return wanted and policy.mode is Mode.PROXY

    def profile(self, record: Record | None, peer: Peer) -> Peer:
        """The profile that holds for a dialog: it keeps the one that it began with.

        `peer` is what address, domain or the script's name say now; whoever chose the first may not
        choose again.
        """
        if record is None:
            return peer
        return self.directory.named(record.peer, timer=record.dialog.agreement is not None)
