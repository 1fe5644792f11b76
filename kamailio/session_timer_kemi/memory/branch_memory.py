"""What is remembered from a request until its response: AVPs, text that Kamailio keeps with the transaction.

Every worker process of Kamailio may get the response, so nothing of this can stay in Python. No other module
names an AVP or knows how its text is written.
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

from .. import ksr

_MOST_REMEMBERED = 512

PEER_NAME = "session_timer_peer"
"""The AVP in which a script may name the peer, for instance after a dispatcher chose it."""
_WAITING = "session_timer_"
_AIM = "session_timer_aim_"
_RESPONDED = "session_timer_responded_"
_REFUSED = "session_timer_refused"
_RETRY = "session_timer_retry"


class Part(StrEnum):
    """The part we play in a transaction."""

    UAS = "uas"
    UAC = "uac"
    PROXY = "proxy"


class Found(StrEnum):
    """What this edge knew of a request's dialog when the request passed."""

    BEGINS = "begins"
    """The request begins the dialog: it has no To tag."""
    KNOWN = "known"
    """There was a record."""
    LOST = "lost"
    """The request came within a dialog, and there was no record of it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What was decided on a request, and its response needs."""

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
    """For the UAC: how many 422 responses were followed by another try."""
    uac_supports: bool = False
    """For the proxy: whether the request said that its sender knows session timers."""
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


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for its response on one branch."""

    found: Found
    decided: str
    """A `Pending` as text: requests of one peer are decided alike, call after call."""

    @property
    def pending(self) -> Pending:
        return Pending.decode(self.decided)


class Aim(NamedTuple):
    """Where a branch went, should its request have to go there once more."""

    uri: str
    """The Request-URI."""
    destination: str
    """The next hop, where it is not the Request-URI's; else empty."""


class Refused(NamedTuple):
    """The branch whose 422 came last: a failure route does not say which of several branches it was."""

    branch: Branch
    min_se: str
    """The value of its Min-SE; empty for none."""


class Branch(NamedTuple):
    """One branch of the transaction in hand, by its number."""

    number: str

    @classmethod
    def in_hand(cls) -> Branch:
        """The branch of the request or response that is being routed."""
        return cls(ksr.pv("$T_branch_idx") or "0")

    def wait(self, waiting: Waiting) -> None:
        """Keep what the response needs."""
        ksr.remember(_WAITING + self.number, f"{waiting.found} {waiting.decided}")

    def waiting(self) -> Waiting | None:
        """What waits on this branch; None where our branch route has not run."""
        found, _, decided = ksr.recall(_WAITING + self.number).partition(" ")
        return Waiting(Found(found), decided) if found else None

    def keep_aim(self) -> None:
        """Remember where this branch goes."""
        ksr.remember(_AIM + self.number, f"{ksr.pv('$ru')} {ksr.pv('$du')}")

    def aim(self) -> Aim | None:
        uri, _, destination = ksr.recall(_AIM + self.number).partition(" ")
        return Aim(uri, destination) if uri else None

    def has_responded(self, to_tag: str) -> bool:
        """Whether a final response of whoever has this tag has passed on this branch before."""
        return ksr.recall(_RESPONDED + self.number) == _by(to_tag)

    def note_response(self, to_tag: str) -> None:
        """A final response of whoever has this tag passes: the next one is a copy of it."""
        ksr.remember(_RESPONDED + self.number, _by(to_tag))


def _by(to_tag: str) -> str:
    return f"to {to_tag}"  # a response without a tag is noted too


def peer_name() -> str:
    """What the script calls the peer; empty if it does not say."""
    return ksr.recall(PEER_NAME)


def keep_refused(refused: Refused) -> None:
    ksr.remember(_REFUSED, f"{refused.branch.number} {refused.min_se}")


def take_refused() -> Refused | None:
    """The 422 that the failure route is there for, once: tm may choose it again after the next try."""
    number, _, min_se = ksr.recall(_REFUSED).partition(" ")
    if not number:
        return None
    ksr.remember(_REFUSED, "")
    return Refused(Branch(number), min_se)


def keep_retry(pending: Pending) -> None:
    """What a 422 taught the next try."""
    ksr.remember(_RETRY, pending.encode())


def retry() -> Pending | None:
    """The try within this very transaction that a 422 ended; None for the first."""
    kept = ksr.recall(_RETRY)
    return Pending.decode(kept) if kept else None
