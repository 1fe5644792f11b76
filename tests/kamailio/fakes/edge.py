"""An edge as a test sees it: messages in, messages out; the verbs are called as a routing script does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from session_timer import Asked, InternalHeader, Outcome, Record, SharedKey, Side
from session_timer.record import key
from session_timer_kemi import SessionTimers

from tests.kamailio.fakes.fake_ksr import FakeKsr
from tests.kamailio.fakes.kamailio import Transaction
from tests.kamailio.fakes.sip_message import Message, Sent

ASTERISK = "192.0.2.20"
CARRIER = "203.0.113.5"
STRICT = "203.0.113.41"
PASSING = "203.0.113.46"
OFF = "203.0.113.47"
OUTSIDER = "198.51.100.66"
"""Matches no profile."""

OURS, THEIRS = "ours", "theirs"
"""The tags of Asterisk's end and of the peer's."""

CONFIG: dict[str, Any] = {
    "session_timer": {"default_expires": 1800, "min_se": 90},
    "asterisk": [ASTERISK],
    "peers": [
        {"name": "carrier", "match": {"address": [CARRIER]}},
        {
            "name": "strict",
            "match": {"address": [STRICT], "name": ["named-strict"]},
            "session_timer": {"min_se": 300},
        },
        {"name": "passing", "match": {"address": [PASSING]}, "session_timer": {"mode": "proxy"}},
        {"name": "off", "match": {"address": [OFF]}, "session_timer": {"enabled": False}},
    ],
    "edge": {"name": "edge-1", "key_file": "key", "header": "X-Session-Timer"},
}

KEY = SharedKey.parse("the-key-of-edge-and-companion-in-tests")

TIMER_HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require")

RECORD_ROUTE = "Record-Route: <sip:192.0.2.10;lr>"
"""The edge's own, as both ends copy it into a 2xx."""

RELAYED_TO_BRANCH_ROUTE = ("INVITE", "UPDATE", "BYE", "SUBSCRIBE")
"""As the stock script has it."""


class Script:
    """Calls the verbs in the routes where they belong."""

    def __init__(self, ksr: FakeKsr, timers: SessionTimers, names: Mapping[str, str], forks: int) -> None:
        self._ksr, self._timers, self._names, self._forks = ksr, timers, names, forks

    def request(self) -> None:
        for avp, value in self._names.items():
            self._ksr.pv.sets(f"$avp({avp})", value)
        if self._timers.on_request():
            return
        for _ in range(self._forks):
            self._ksr.tm.t_relay()

    def branch(self) -> None:
        if self._ksr.routed.method in RELAYED_TO_BRANCH_ROUTE:
            self._timers.on_branch()

    def reply(self) -> None:
        self._timers.on_any_reply()

    def onreply(self) -> None:
        if self._ksr.routed.method in ("INVITE", "UPDATE", "BYE"):
            self._timers.on_reply()

    def failure(self) -> None:
        if self._timers.on_failure():
            self._ksr.tm.t_relay()


@dataclass
class Edge:
    """One Kamailio with our binding; `peer` is the address that the far side has."""

    ksr: FakeKsr
    path: Path
    config: dict[str, Any] = field(default_factory=lambda: CONFIG)
    peer: str = CARRIER
    call_id: str = "call-1"
    names: dict[str, str] = field(default_factory=dict)
    """AVPs that the script sets in its request route."""
    cseq: int = 0
    script_class: type[Script] = Script
    record_route: tuple[str, ...] = (RECORD_ROUTE,)
    """What stands in the 2xx of a request that begins a dialog."""
    timers: SessionTimers = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Kamailio starts, or reloads its script."""
        config = {**self.config, "edge": {"key_file": "key", **self.config.get("edge", {})}}
        self.path.write_text(json.dumps(config), encoding="utf-8")
        self.path.with_name("key").write_text("the-key-of-edge-and-companion-in-tests\n", encoding="utf-8")
        self.timers = SessionTimers(str(self.path), clock=lambda: self.ksr.now)

    def _script(self, forks: int = 1) -> Script:
        return self.script_class(self.ksr, self.timers, self.names, forks)

    def send(
        self,
        rows: tuple[str, ...] = (),
        *,
        method: str = "INVITE",
        from_us: bool = False,
        within: bool = False,
        source: str | None = None,
        target: str | None = None,
        tags: tuple[str, str] | None = None,
        forks: int = 1,
        cseq: int | None = None,
        contact: bool = True,
    ) -> Transaction:
        """A request reaches the edge: from the peer, or `from_us`, which is from Asterisk.

        `within` the dialog both have tags; `tags` are From's and To's if they are to be others.
        """
        self.cseq += 1
        sender, receiver = (OURS, THEIRS) if from_us else (THEIRS, OURS)
        from_tag, to_tag = tags or (sender, receiver if within else "")
        hosts = (ASTERISK, self.peer) if from_us else (self.peer, ASTERISK)
        uri = f"sip:100@{target or hosts[1]}"
        ids = (
            f"From: <sip:100@{hosts[0]}>;tag={from_tag}",
            f"To: <{uri}>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq or self.cseq} {method}",
            *((f"Contact: <sip:100@{hosts[0]}>",) if contact else ()),
        )
        message = Message(f"{method} {uri} SIP/2.0", (*ids, *rows), source or hosts[0], uri)
        return self.ksr.receive_request(self._script(forks), message)

    def answer(
        self,
        transaction: Transaction,
        code: int = 200,
        rows: tuple[str, ...] = (),
        *,
        to_tag: str = "",
        branch: int | None = None,
        source: str | None = None,
        contact: bool = True,
    ) -> Sent | None:
        """The request is answered; returns what the sender gets, None where the edge tries once more."""
        request = transaction.request
        from_us = request.source == ASTERISK
        receiver = THEIRS if from_us else OURS
        to = request.value("To")
        if ";tag=" not in to:
            to += f";tag={to_tag or receiver}"
            rows = (*self.record_route, *rows) if code < 300 else rows
        ids = tuple(f"{name}: {request.value(name)}" for name in ("From", "Call-ID", "CSeq"))
        if contact:
            ids = (*ids, f"Contact: <sip:100@{self.peer if from_us else ASTERISK}>")
        message = Message(
            f"SIP/2.0 {code} Told",
            (*ids, f"To: {to}", *rows),
            source or (self.peer if from_us else ASTERISK),
        )
        at = len(transaction.branches) - 1 if branch is None else branch
        return self.ksr.receive_reply(self._script(), transaction, message, at)

    def time_out(self, transaction: Transaction) -> Sent | None:
        """Nobody answers; returns what the sender gets."""
        return self.ksr.time_out(self._script(), transaction)

    def told(self, sent: Sent) -> InternalHeader:
        """What the internal header says to Asterisk: one row, signed for this call.

        It says the same to an Asterisk that was given another Call-ID.
        """
        row = sent.value("X-Session-Timer") or ""
        read = InternalHeader.decode(row, KEY, self.call_id)
        assert InternalHeader.decode(row, KEY, "masked", THEIRS) == read._replace(call_id=self.call_id)
        return read

    def sure(self, sent: Sent | None) -> Sent:
        assert sent is not None, "the edge tried once more"
        return sent

    def call(self, *rows: str, answer: tuple[str, ...] = (), from_us: bool = False) -> Sent:
        """A call is set up; returns the 2xx as the caller gets it."""
        return self.sure(self.answer(self.send(rows, from_us=from_us), 200, answer))

    def record(self, *tags: str) -> Record | None:
        """The record of the dialog with these tags, or of the one between us and them."""
        one, other = tags or (OURS, THEIRS)
        row = self.ksr.tables["session_timer"].get(key(self.call_id, one, other))
        return Record.decode(row.value) if row else None

    def hang_up(self, *, from_us: bool = False, tags: tuple[str, str] | None = None) -> None:
        """A BYE passes and is answered 200."""
        self.answer(self.send(method="BYE", from_us=from_us, within=True, tags=tags))

    def known(self, *tags: str) -> Record:
        record = self.record(*tags)
        assert record is not None, "there is no record"
        return record

    def refused(self, side: Side) -> Asked:
        """The last request of this side within the dialog, which was refused."""
        asked = self.known().of(side)
        assert asked is not None
        assert asked.outcome is Outcome.REFUSED
        return asked

    @property
    def faults(self) -> int:
        return self.ksr.counters["session_timer_faults"]

    def count(self, name: str) -> int:
        return self.ksr.counters[f"session_timer_{name}"]


MakeEdge = Callable[..., Edge]


def through(make_edge: MakeEdge, **settings: Any) -> Edge:
    """An edge whose peer has a proxy profile with these settings."""
    profile = {
        "name": "passing",
        "match": {"address": [PASSING]},
        "session_timer": {"mode": "proxy", **settings},
    }
    return make_edge(peer=PASSING, config={**CONFIG, "peers": [profile]})
