"""What is agreed on one dialog, in terms of local and remote: uac and uas belong to single transactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .headers import Role


class Side(StrEnum):
    """The two ends of a dialog: ours, and the peer's."""

    LOCAL = "local"
    REMOTE = "remote"

    @property
    def other(self) -> Side:
        return Side.REMOTE if self is Side.LOCAL else Side.LOCAL

    def role(self, sender: Side) -> Role:
        """What this side is called in a transaction that `sender` began (RFC 3261 12.2)."""
        return Role.UAC if self is sender else Role.UAS

    @staticmethod
    def of(role: Role, sender: Side) -> Side:
        """The side that `role` means in a transaction that `sender` began."""
        return sender if role is Role.UAC else sender.other


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the most recent 2xx on the dialog says (RFC 4028 7.2 and 9)."""

    interval: int
    """Seconds between two refreshes at most."""
    refresher: Side
    one_sided: bool = False
    """The peer knows no session timers: we refresh alone (RFC 4028 7.2), nothing shows on the wire."""


@dataclass(frozen=True, slots=True)
class DialogTimer:
    """All that session timers remember of a dialog."""

    agreement: Agreement | None = None
    """None: the session has no expiration."""
    min_se: int | None = None
    """Seconds: the largest Min-SE of all 422 answers and received refresh requests (RFC 4028 7.4)."""
    peer_supports: bool = False
    """The peer has shown that it knows session timers, by Supported or by a Session-Expires of its own."""
    peer_allows_update: bool = False

    def with_agreement(self, agreement: Agreement | None) -> DialogTimer:
        """The same knowledge of the peer under another agreement."""
        return DialogTimer(agreement, self.min_se, self.peer_supports, self.peer_allows_update)

    def with_min_se(self, min_se: int | None) -> DialogTimer:
        """Remember a Min-SE seen on this dialog; only ever upwards (RFC 4028 7.4)."""
        if min_se is None or (self.min_se is not None and self.min_se >= min_se):
            return self
        return replace(self, min_se=min_se)
