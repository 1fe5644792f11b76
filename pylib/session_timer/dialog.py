"""What is agreed on one dialog (RFC 4028 7.2, 7.4 and 9), in terms of local and remote.

The roles uac and uas belong to single transactions (RFC 3261 12.2): the sender of a request is its uac.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from .headers import LARGEST_INTERVAL, Role

_WHOLE = re.compile(r"[0-9]{1,10}")


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


class Agreement(NamedTuple):
    """What the most recent 2xx on the dialog says (RFC 4028 7.2 and 9)."""

    interval: int
    """Seconds between two refreshes at most."""
    refresher: Side
    one_sided: bool = False
    """The peer knows no session timers: we refresh alone (RFC 4028 7.2), and the wire shows no timer."""

    @classmethod
    def refreshed_alone(cls, interval: int) -> Agreement:
        """We refresh alone every `interval` seconds; the peer has agreed to nothing (RFC 4028 7.2)."""
        return cls(interval, Side.LOCAL, one_sided=True)


class DialogTimer(NamedTuple):
    """All that session timers remember of a dialog."""

    agreement: Agreement | None = None
    """None: the session has no expiration."""
    min_se: int | None = None
    """Seconds: the largest Min-SE of all 422 responses and received refresh requests (RFC 4028 7.4)."""
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
        return self._replace(min_se=min_se)

    def encode(self) -> tuple[str, ...]:
        """The one form in which programs keep a dialog's timer: ``name=value`` pairs."""
        agreed = self.agreement
        return (
            f"interval={agreed.interval if agreed else 0}",
            f"refresher={agreed.refresher if agreed else 'none'}",
            f"one_sided={int(agreed.one_sided) if agreed else 0}",
            f"min_se={self.min_se or 0}",
            f"supports={int(self.peer_supports)}",
            f"update={int(self.peer_allows_update)}",
        )

    @classmethod
    def decode(cls, fields: Mapping[str, str]) -> DialogTimer:
        """Read what `encode` wrote, by name. Raises `KeyError` and `ValueError` for what it never writes."""
        interval = whole(fields["interval"])
        agreement = None
        if interval:
            agreement = Agreement(interval, Side(fields["refresher"]), fields["one_sided"] == "1")
        return cls(
            agreement=agreement,
            min_se=whole(fields["min_se"]) or None,
            peer_supports=fields["supports"] == "1",
            peer_allows_update=fields["update"] == "1",
        )


def whole(text: str) -> int:
    """A whole number as records write it. Raises `ValueError` for anything else."""
    if _WHOLE.fullmatch(text) is None or int(text) > LARGEST_INTERVAL:
        raise ValueError(f"{text!r} is no whole number up to {LARGEST_INTERVAL}")
    return int(text)
