"""Kamailio's own part in a test: messages and timers come in, and a routing script is called for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.kamailio.fakes.sip_message import Message, Sent

HERE = Path(__file__).parent
INCLUDE = HERE.parents[2] / "kamailio" / "session-timer.cfg"


class Routes(Protocol):
    """What a routing script does in each of Kamailio's routes."""

    def request(self) -> None: ...
    def branch(self) -> None: ...
    def reply(self) -> None: ...
    def onreply(self) -> None: ...
    def failure(self) -> None: ...


@dataclass
class Transaction:
    """A relayed request, its branches, and what the script keeps with it."""

    request: Message
    avps: dict[str, str] = field(default_factory=dict)
    branches: list[Message] = field(default_factory=list)
    final: dict[int, Message] = field(default_factory=dict)
    """The final answers so far, by branch."""
    first: int = 0
    """The first of the branches tried last: answers of earlier ones are dropped (failure_reply_mode 3)."""
    answered: Sent | None = None
    """What this Kamailio itself answered."""
    waits: tuple[int, int] | None = None
    """Milliseconds for a final response after a provisional one, and for any at all; None: those of tm."""
    says_100: bool = True
    """Whether tm tells the sender of an INVITE at once that it has come in."""
    timed_out: bool = False
    """Whether this Kamailio's own timer has ended the wait."""

    @property
    def sent(self) -> Sent:
        """The request as it left on the only branch."""
        assert len(self.branches) == 1, f"{len(self.branches)} branches"
        return self.branches[0].sent()

    @property
    def last(self) -> Sent:
        """The request as it left on the newest branch."""
        return self.branches[-1].sent()


_STAND_IN = Message("OPTIONS sip:you@kamailio.org SIP/2.0", ("Call-ID: stand-in",), "127.0.0.1")
"""Where no message causes a call of the script, Kamailio makes one up."""


@dataclass(frozen=True)
class HttpRequest:
    """A request by HTTP."""

    method: str
    url: str
    authorization: str
    body: str


@dataclass
class Row:
    """A value in a hash table, and when it ends on the test's clock."""

    value: str
    ends: float


_MENDED_BY_THE_CALLER = (401, 407, 415, 420, 484)


def _priority(code: int) -> int:
    """By which tm chooses among the responses of several branches; of equals it takes the oldest branch."""
    first, rest = divmod(code, 100)
    later = 100 if first == 4 and code not in _MENDED_BY_THE_CALLER else 0
    return {6: 1000}.get(first, first * 1000) + later + rest


class Kamailio:
    """What a Kamailio has in hand and keeps."""

    def __init__(self, release: str, include: Path = INCLUDE) -> None:
        self.release = release
        self.now = 1000.0
        """Seconds; the test moves it."""
        self.log: list[tuple[str, str]] = []
        """Level and text of each line."""
        self.raising: dict[str, Exception] = {}
        """Functions, by full name, that raise instead of doing anything."""
        self.refusing: set[str] = set()
        """Hash tables that are full."""
        self.called: set[str] = set()
        self.calls: list[str] = []
        """Every call so far, by full name."""
        configuration = include.read_text(encoding="utf-8")
        self.tables: dict[str, dict[str, Row]] = {
            name: {} for name in re.findall(r'"htable", "htable", "(\w+)=>', configuration)
        }
        self.counters: dict[str, int] = dict.fromkeys(
            re.findall(r'"statistics", "variable", "(\w+)"', configuration), 0
        )
        self._api: dict[str, tuple[list[str], str]] = json.loads(
            (HERE / "api" / f"{release}.json").read_text(encoding="utf-8")
        )
        self._modules = {name.partition(".")[0] for name in self._api if "." in name}
        self._not_loaded: set[str] = set()
        self._routes: Routes | None = None
        self._route = "none"
        self._message: Message | None = None
        self._transaction: Transaction | None = None
        self._branch = 0
        self._reply_rows: list[str] = []
        self._dropped = False
        self._stray = False
        self._http: HttpRequest | None = None
        self._http_reply: tuple[int, str, str, str] | None = None
        self._iterators: dict[str, Iterator[tuple[str, Row]]] = {}
        self._at_iterator: dict[str, tuple[str, str]] = {}
        self.waiting_branches: list[Message] = []
        """What the next relay sends besides the request in hand."""
        self._static_branch: dict[str, str | int] = {}
        self._uri_is_new = False
        """In a failure route the Request-URI is a branch to be tried only once it is set anew."""
        self._rpc_reply = ""
        self.addresses = {"127.0.0.1", "192.0.2.10"}
        """Where this Kamailio listens, at port 5060."""
        self._expired = "", ""
        self._chosen_dialog: str | None = None
        self.locked: list[tuple[str, str]] = []
        """Table and key of each lock that this process holds."""
        self.torn: list[str] = []
        """What the next reads of records without a lock find: others write while they are copied."""
        self.meanwhile: Callable[[], object] | None = None
        """What another process does once this one has read a record, as soon as it is let."""
        self.dialogs: set[str] = set()
        """The Call-IDs that the dialog module follows."""
        self.ended_dialogs: list[str] = []
        """The Call-IDs for which BYE went to both sides."""

    def receive_request(self, routes: Routes, message: Message) -> Transaction:
        """A request comes in and is routed."""
        transaction = Transaction(message)
        self._routes = routes
        self._reply_rows = []
        self._enter("request", message, transaction)
        routes.request()
        self._leave()
        return transaction

    def receive_reply(
        self, routes: Routes, transaction: Transaction, message: Message, branch: int
    ) -> Sent | None:
        """An answer comes in on a branch; returns what is sent on.

        None where another branch is tried, or where the script dropped it.
        """
        self._routes = routes
        self._dropped = False
        self._enter("reply", message, None)
        routes.reply()
        if self._dropped:
            self._leave()
            return None
        self._enter("onreply", message, transaction, branch)
        routes.onreply()
        if message.code >= 200:
            transaction.final[branch] = message
        branches = len(transaction.branches)
        if message.code >= 300 and len(transaction.final) == branches > transaction.first:
            picked = min(
                range(transaction.first, branches), key=lambda at: _priority(transaction.final[at].code)
            )
            transaction.first = branches
            # A copy each time: what one failure route sets, another one does not find.
            again = replace(transaction.request.branch(), flags=transaction.branches[picked].flags)
            self._enter("failure", again, transaction, picked)
            routes.failure()
        self._leave()
        if transaction.answered is not None:
            return transaction.answered
        return None if len(transaction.branches) > branches else message.sent()

    def receive_stray(self, routes: Routes, message: Message) -> None:
        """An answer comes in for which no transaction waits: it is relayed by its Via, by no other route."""
        self._routes = routes
        self._dropped, self._stray = False, True
        self._enter("reply", message, None)
        routes.reply()
        self._stray = False
        self._leave()

    def time_out(self, routes: Routes, transaction: Transaction) -> Sent | None:
        """This Kamailio's timer ends the wait for every branch; returns what the sender gets."""
        self._routes = routes
        branches = len(transaction.branches)
        transaction.timed_out = True
        for branch in range(transaction.first, branches):
            transaction.final[branch] = Message("SIP/2.0 408 Request Timeout", (), "")
        transaction.first = branches
        self._enter("failure", transaction.request.branch(), transaction, branches - 1)
        routes.failure()
        self._leave()
        if transaction.answered is None and len(transaction.branches) == branches:
            return Sent("SIP/2.0 408 Request Timeout", ())
        return transaction.answered

    def receive_http(self, verb: Callable[[], None], request: HttpRequest) -> tuple[int, str, str, str]:
        """A request by HTTP comes in; returns code, reason, content type and body of the reply."""
        self._http, self._http_reply = request, None
        self._enter("http", None, None)
        verb()
        self._leave()
        assert self._http_reply is not None, "no reply"
        return self._http_reply

    def tick(self, verb: Callable[[], None]) -> None:
        """Kamailio's timer calls the script."""
        self._enter("tick", _STAND_IN, None)
        verb()
        self._leave()

    def expire(self, verb: Callable[[], None]) -> None:
        """Kamailio's timer drops what has ended, and calls the script for each record among it."""
        for name, table in self.tables.items():
            for key, row in [(key, row) for key, row in table.items() if row.ends <= self.now]:
                if name == "session_timer":
                    self._expired = key, row.value
                    self._enter("expired", _STAND_IN, None)
                    verb()
                    self._leave()
                del table[key]

    def lacks(self, module: str) -> None:
        """The configuration does not load this module."""
        self._not_loaded.add(module)

    @property
    def transaction(self) -> Transaction:
        """The transaction in hand."""
        assert self._transaction is not None
        return self._transaction

    def lines(self, level: str) -> list[str]:
        """What was logged at this level."""
        return [text for at, text in self.log if at == level]

    def _enter(
        self, route: str, message: Message | None, transaction: Transaction | None, branch: int = 0
    ) -> None:
        self._route, self._message, self._transaction, self._branch = route, message, transaction, branch

    def _leave(self) -> None:
        self._enter("none", None, None)
        self.waiting_branches, self._uri_is_new = [], False

    @property
    def routed(self) -> Message:
        """The message in hand."""
        if self._message is None:
            pytest.fail(f"there is no message in the {self._route} route")
        return self._message
