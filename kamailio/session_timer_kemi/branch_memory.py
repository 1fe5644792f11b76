"""What must be remembered from a request until its answer: text kept with the transaction.

Every worker process of Kamailio may get the answer, so nothing of this can stay in Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from session_timer import Agreement, DialogTimer, SessionExpires, Side
from session_timer.proxy import Asked
from session_timer.uac import TimerHeaders

from .header_edits import Edits

_MOST_REMEMBERED = 512


class Part(StrEnum):
    """The part we play in a transaction."""

    UAS = "uas"
    UAC = "uac"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction that waits for its answer."""

    part: Part
    peer: str
    """The name of the peer's profile."""
    dialog: DialogTimer
    """For the UAS what the 2xx brings into force; else what held before the request."""
    session_expires: str = ""
    """For the UAS: the header of the 2xx; for UAC and proxy: that of the request as it was sent on."""
    require_timer: bool = False
    min_se: int = 0
    """For the UAC: the Min-SE of the request, in seconds; 0 if it had none."""
    retries: int = 0
    """For the UAC: how many 422 answers were retried."""
    uac_supports: bool = False
    """For the proxy: whether the request said that its sender knows session timers."""
    recorded: bool = False
    """Whether the dialog had a record when the request passed."""
    from_asterisk: bool = False

    @property
    def sent(self) -> TimerHeaders:
        """The timer headers of the request that we sent as UAC."""
        return TimerHeaders(self._expires, self.min_se or None)

    @property
    def asked(self) -> Asked:
        """What we asked for as proxy."""
        expires = self._expires
        if expires is None:
            return Asked(None, self.uac_supports)
        return Asked(expires.interval, self.uac_supports, expires.refresher)

    @property
    def _expires(self) -> SessionExpires | None:
        return SessionExpires.parse(self.session_expires) if self.session_expires else None

    def encode(self) -> str:
        agreed = self.dialog.agreement
        return json.dumps(
            (
                self.part,
                self.peer,
                (agreed.interval, agreed.refresher, agreed.one_sided) if agreed else None,
                self.dialog.min_se,
                self.dialog.peer_supports,
                self.dialog.peer_allows_update,
                self.session_expires,
                self.require_timer,
                self.min_se,
                self.retries,
                self.uac_supports,
                self.recorded,
                self.from_asterisk,
            )
        )

    @staticmethod
    @lru_cache(_MOST_REMEMBERED)
    def decode(text: str) -> Pending:
        """What `encode` made the text of."""
        part, peer, agreed, min_se, supports, update, *rest = json.loads(text)
        agreement = Agreement(agreed[0], Side(agreed[1]), agreed[2]) if agreed else None
        return Pending(Part(part), peer, DialogTimer(agreement, min_se, supports, update), *rest)


class Relayed(NamedTuple):
    """What is done to a request on its way."""

    edits: Edits
    kept: str
    """A `Pending` as text: to be kept with the transaction."""


class Completed(NamedTuple):
    """What is done to a 2xx on its way."""

    edits: Edits
    dialog: DialogTimer
    """What this 2xx brings into force."""
    ignored: str | None = None
    """What in it could not be read, for the log."""
