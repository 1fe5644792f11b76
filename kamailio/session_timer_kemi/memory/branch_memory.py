"""What is remembered from a request until its response: AVPs, text that Kamailio keeps with the transaction.

Every worker process of Kamailio may get the response, so nothing of this can stay in Python. No other module
names an AVP or knows how its text is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from session_timer import DialogTimer, SessionExpires, Side
from session_timer.proxy import Remembered
from session_timer.record import key
from session_timer.uac import TimerHeaders

from .. import ksr

_MOST_REMEMBERED = 512
_LOOSE = re.compile(r";lr\b", re.I)

PEER_NAME = "session_timer_peer"
"""The AVP in which a script may name the peer, for instance after a dispatcher chose it."""
_WAITING = "session_timer_"
_AIM = "session_timer_aim_"
_RESPONDED = "session_timer_responded_"
_REFUSED = "session_timer_refused"
_RETRIES = "session_timer_retries"
_NOTHING = "-"
"""What waits on a branch that is none of ours."""


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
    ANEW = "anew"
    """So it did, and a record of what becomes of it was begun."""


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
    to_asterisk: bool = False

    @property
    def sender(self) -> Side:
        """Whose request it is; between two strangers a mere name for the one that sent it."""
        return Side.LOCAL if self.from_asterisk else Side.REMOTE

    @property
    def placed(self) -> Side | None:
        """Whose call it is, if this request begins one; None between two strangers."""
        return self.sender if self.from_asterisk or self.to_asterisk else None

    @property
    def sent(self) -> TimerHeaders:
        """The timer headers of the request that we sent as UAC."""
        return TimerHeaders(self._expires, self.min_se or None)

    @property
    def asked(self) -> Remembered:
        """What we asked for as proxy."""
        expires = self._expires
        if expires is None:
            return Remembered(None, self.uac_supports)
        return Remembered(expires.interval, self.uac_supports, expires.refresher)

    @property
    def _expires(self) -> SessionExpires | None:
        return SessionExpires.parse(self.session_expires) if self.session_expires else None

    def encode(self) -> str:
        return json.dumps(
            (
                self.part,
                self.peer,
                ";".join(self.dialog.encode()),
                self.session_expires,
                self.require_timer,
                self.min_se,
                self.retries,
                self.uac_supports,
                self.from_asterisk,
                self.to_asterisk,
            )
        )

    @staticmethod
    @lru_cache(_MOST_REMEMBERED)
    def decode(text: str) -> Pending:
        """What `encode` made the text of."""
        part, peer, timer, *rest = json.loads(text)
        dialog = DialogTimer.decode(dict(pair.split("=", 1) for pair in timer.split(";")))
        return Pending(Part(part), peer, dialog, *rest)


_FOUND = {str(found): found for found in Found}


class Waiting(NamedTuple):
    """A request that waits for its response on one branch."""

    found: Found
    method: str
    call_id: str
    from_tag: str
    to_tag: str
    """Empty in a request that begins a dialog."""
    cseq: int
    far: str
    """Where the peer is: an address or a name."""
    decided: str
    """A `Pending` as text: requests of one peer are decided alike, call after call."""

    def encode(self) -> str:
        # JSON takes longer, and is needed only where a folded header has an end of line in its value.
        found, method, call_id, from_tag, to_tag, cseq, far, decided = self
        text = f"{found}\n{method}\n{call_id}\n{from_tag}\n{to_tag}\n{cseq}\n{far}\n{decided}"
        return json.dumps(self) if text.count("\n") >= len(self) else text

    @staticmethod
    def decode(text: str) -> Waiting:
        """What `encode` made the text of."""
        places = json.loads(text) if text.startswith("[") else text.split("\n")
        found, method, call_id, from_tag, to_tag, cseq, far, decided = places
        return Waiting(_FOUND[found], method, call_id, from_tag, to_tag, int(cseq), far, decided)

    @property
    def pending(self) -> Pending:
        """What was decided on it."""
        return Pending.decode(self.decided)

    @property
    def dialog(self) -> str:
        """The key of the record of the dialog within which the request was sent."""
        return key(self.call_id, self.from_tag, self.to_tag)


class Aim(NamedTuple):
    """How a branch went where it went, should its request have to go there once more."""

    destination: str
    """The next hop, where it is not the Request-URI's; else empty."""
    socket: str
    """The address of ours that the script sent it from; empty where Kamailio chose."""
    path: str
    """The Route set that it had from a registration (RFC 3327); empty for none."""
    host: str
    """The host of the next hop: who said what in response."""


class Refused(NamedTuple):
    """A branch that a 422 ended, what it says, and what its response tells of the branch."""

    number: str
    """Of the branch."""
    min_se: str
    """The value of its Min-SE; empty for none."""
    uri: str
    """The Request-URI of the branch."""
    flags: int
    """The branch flags."""


class Branch(NamedTuple):
    """One branch of the transaction in hand, by its number."""

    number: str

    @classmethod
    def in_hand(cls) -> Branch:
        """The branch of the request or response that is being routed."""
        return cls(ksr.pv("$T_branch_idx") or "0")

    def wait(self, waiting: Waiting) -> None:
        """Keep what the response needs."""
        ksr.remember(_WAITING + self.number, waiting.encode())

    def wait_for_nothing(self) -> None:
        """What passes on this branch is none of ours, whatever an earlier one waits for."""
        if self.number != "0":
            ksr.remember(_WAITING + self.number, _NOTHING)

    def waiting(self) -> Waiting | None:
        """What waits on this branch; None for nothing, or where no branch route of ours has run.

        tm makes branches for which none runs (DNS failover, by which the same request goes to the next
        address): they wait for what the nearest earlier branch waits for.
        """
        kept = ksr.recall(_WAITING + self.number) or self._of_earlier(_WAITING)
        return Waiting.decode(kept) if kept and kept != _NOTHING else None

    def _of_earlier(self, kind: str) -> str:
        for number in range(int(self.number) - 1, -1, -1):
            kept = ksr.recall(f"{kind}{number}")
            if kept:
                return kept
        return ""

    def keep_aim(self, host: str) -> None:
        """Remember how this branch goes where it goes; `host` is the next hop's.

        Its Request-URI and its flags show at a response as well, and so cost nothing before.
        """
        destination, socket = ksr.pvs("$du", "$fs")
        # Who has a Path is reached by its first URI, and such a one says that its host is a loose router.
        path = ksr.path_of_branch() if _LOOSE.search(destination) else ""
        ksr.remember(_AIM + self.number, json.dumps((destination, socket, path, host)))

    def retry(self) -> Pending | None:
        """The try within this very transaction that a 422 ended; None for the first.

        A branch to somebody new, by which the script goes on after a retry, begins with the largest Min-SE
        that the call has met (RFC 4028 7.4).
        """
        kept = _retries()
        if self.number in kept:
            return Pending.decode(kept[self.number])
        return max(map(Pending.decode, kept.values()), key=lambda each: each.min_se, default=None)

    def aim(self) -> Aim | None:
        """How this branch went, or the nearest earlier one of which we know."""
        kept = ksr.recall(_AIM + self.number) or self._of_earlier(_AIM)
        return Aim(*json.loads(kept)) if kept else None

    def note_response(self, to_tag: str) -> int | None:
        """A final response of whoever has this tag passes.

        Returns how many others have passed on this branch before it; None if it is a copy of the last one.
        """
        earlier, _, last = ksr.recall(_RESPONDED + self.number).partition(" ")
        if earlier and last == to_tag:
            return None
        number = int(earlier or 0)
        ksr.remember(_RESPONDED + self.number, f"{number + 1} {to_tag}")
        return number


def peer_name() -> str:
    """What the script calls the peer; empty if it does not say."""
    return ksr.recall(PEER_NAME)


def add_refused(refused: Refused) -> None:
    """A 422 passes. A failure route does not say which of several branches it is there for.

    Of a branch that is answered more than once, under another To tag each time, the last counts.
    """
    others = [each for each in _refused() if each.number != refused.number]
    ksr.remember(_REFUSED, json.dumps([*others, refused]))


def take_refused() -> list[Refused]:
    """Every 422 since the last failure route: tm may choose the same once more after the next try."""
    found = _refused()
    if found:
        ksr.remember(_REFUSED, "[]")
    return found


def _refused() -> list[Refused]:
    kept = ksr.recall(_REFUSED)
    return [Refused(*each) for each in json.loads(kept)] if kept else []


def keep_retries(retries: Mapping[str, Pending]) -> None:
    """What each 422 taught the next try, by the number of the branch that is to be that try."""
    encoded = {number: pending.encode() for number, pending in retries.items()}
    ksr.remember(_RETRIES, json.dumps(_retries() | encoded))


def _retries() -> dict[str, str]:
    kept = ksr.recall(_RETRIES)
    return dict(json.loads(kept)) if kept else {}
