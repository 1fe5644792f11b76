"""The door: the one place where a companion reads records, changes and clocks, with the shared key.

`POST /session-timer` with ``Authorization: Bearer <token>`` and a JSON object. What a stranger sends costs
nothing and gets nothing: 404 to any other request, 401 without the token, and no byte more. To read is all
that the key allows, but for the entry that says which of several companions leads.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from session_timer import SharedKey

from .. import ksr
from ..memory import leads
from ..memory.records import At
from ..this_edge import ThisEdge

PATH = "/session-timer"
VERSION = 1
MOST_KEYS = 100
MOST_BYTES = 30_000
"""Of a reply. Kamailio queues at most tcp_conn_wq_max, 32 KB by default, for a reader that is slow."""

STATISTICS = (
    "negotiations", "without", "422_sent", "422_received", "422_retried", "malformed", "defects", "ambiguous",
    "refreshed_local", "refreshed_remote", "refused_local", "refused_remote", "timed_out", "unroutable",
    "unreadable_records", "lost_records", "expired", "faults",
)  # fmt: skip

_BEARER = "Bearer "
_FRAME = '"more": [], "changes": {}, "records": {}, "clocks": {}, "left_out": 100000'


class Reply(NamedTuple):
    """An HTTP reply."""

    code: int
    reason: str
    body: str = ""


NOT_FOUND = Reply(404, "Not Found")
UNAUTHORIZED = Reply(401, "Unauthorized")


def admits(authorization: str, key: SharedKey) -> bool:
    """Whether this Authorization header shows the key's token; takes the same time for any wrong one."""
    scheme, token = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
    given = token.strip().encode("utf-8", "replace")
    return hmac.compare_digest(given, key.door_token.encode("ascii")) and scheme.lower() == _BEARER.lower()


class Question(NamedTuple):
    """What a companion asks."""

    records: tuple[str, ...] = ()
    """Keys of records."""
    changes: bool = False
    table: bool = False
    """How many records there are, and in how many slots: to count them takes a millisecond or two."""
    lead: tuple[str, str, float] | None = None
    """An Asterisk, the companion that wants to lead for it, and for how many seconds."""


def question(body: str) -> Question:
    """Read a request's body. Raises `ValueError` with what is wrong with it."""
    try:
        asked = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(asked, dict) or asked.get("v") != VERSION:
        raise ValueError(f'expected an object with "v": {VERSION}')
    records = asked.get("records", [])
    if not isinstance(records, list) or not all(isinstance(each, str) for each in records):
        raise ValueError('"records" must be a list of texts')
    if len(records) > MOST_KEYS:
        raise ValueError(f'"records" may name {MOST_KEYS} at most, got {len(records)}')
    changes, table = asked.get("changes") is True, asked.get("table") is True
    return Question(tuple(records), changes, table, _lead(asked.get("lead")))


def _lead(asked: object) -> tuple[str, str, float] | None:
    match asked:
        case None:
            return None
        case {"name": str(name), "by": str(by), "seconds": int(seconds) | float(seconds)} if name and by:
            # NaN is within no bounds, and an int may be too large for a float.
            if abs(seconds) < 1e12:
                return name, by, float(seconds)
    raise ValueError('"lead" needs "name", "by" and "seconds"')


class Answer:
    """Puts a reply together that stays below `MOST_BYTES`; what does not fit is named as `more`."""

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        self._answer: dict[str, Any] = {"v": VERSION, **fixed}
        self._left = MOST_BYTES - len(json.dumps(self._answer)) - len(_FRAME)

    def _fits(self, text: str) -> bool:
        self._left -= len(text)
        if self._left >= 0:
            return True
        self._left += len(text)
        return False

    def records(self, keys: tuple[str, ...], read: Callable[[str], str]) -> None:
        """The records of these keys; null for one that is not there."""
        found: dict[str, str | None] = {}
        more: list[str] = []
        # The names of what does not fit are to fit in any case.
        self._left -= sum(len(json.dumps(key)) + 2 for key in keys)
        for key in keys:
            text = None if more else read(key) or None
            if not more and self._fits(json.dumps({key: text})):
                self._left += len(json.dumps(key)) + 2
                found[key] = text
            else:
                more.append(key)
        self._answer["records"] = found
        if more:
            self._answer["more"] = more

    def changes(self, changed: Mapping[str, str], clocks: Mapping[str, str]) -> None:
        """What changed within the last minute; of what does not fit the keys go to `more`.

        ``left_out`` is how many fit in neither way: then whoever asked reads every record of its own.
        """
        self._answer["clocks"] = {name: _number(text) for name, text in clocks.items()}
        self._left -= len(json.dumps(self._answer["clocks"])) + len('"clocks": ')
        found: dict[str, str] = {}
        more: list[str] = self._answer.get("more", [])
        left_out = 0
        # A key costs less than its record: a third of the room is for those.
        for_keys = self._left // 3
        self._left -= for_keys
        rest: list[str] = []
        for key, text in changed.items():
            if not rest and self._fits(json.dumps({key: text})):
                found[key] = text
            else:
                rest.append(key)
        self._left += for_keys
        for key in rest:
            if self._fits(json.dumps(key) + ", "):
                more.append(key)
            else:
                left_out += 1
        self._answer["changes"] = found
        if more:
            self._answer["more"] = more
        if left_out:
            self._answer["left_out"] = left_out

    def text(self) -> str:
        return json.dumps(self._answer)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Door:
    """Answers HTTP requests."""

    def __init__(self, edge: ThisEdge) -> None:
        self._edge = edge

    def open(self) -> None:
        """In xhttp's event."""
        reply = self._reply()
        ksr.http_reply(reply.code, reply.reason, "application/json", reply.body)

    def _reply(self) -> Reply:
        key = self._edge.key
        if key is None or ksr.pv("$hu") != PATH or ksr.pv("$rm") != "POST":
            return NOT_FOUND
        if not admits(ksr.pv("$hdr(Authorization)"), key):
            return UNAUTHORIZED
        try:
            asked = question(ksr.pv("$rb"))
        except ValueError as error:
            return Reply(400, "Bad Request", json.dumps({"v": VERSION, "error": str(error)}))
        return Reply(200, "OK", self._answer(asked))

    def _answer(self, asked: Question) -> str:
        config = self._edge.config
        at = self._edge.now()
        now, clock = at
        fixed: dict[str, Any] = {
            "edge": config.edge.name,
            "clock": {"name": clock, "now": round(now, 3)},
            "config": config.digest(),
            "stats": {name: ksr.counted(f"session_timer_{name}") for name in STATISTICS},
        }
        if asked.lead is not None:
            fixed["lead"] = _led(*asked.lead, at)
        if asked.table:
            size = self._edge.records.size()
            fixed["table"] = None if size is None else size._asdict()
        answer = Answer(fixed)
        if asked.records:
            answer.records(asked.records, self._edge.records.text)
        if asked.changes:
            answer.changes(*self._edge.records.changes())
        return answer.text()


def _led(asterisk: str, by: str, seconds: float, at: At) -> dict[str, Any] | None:
    lead = leads.claim(asterisk, by, seconds, at)
    if lead is None:
        return None
    return {"by": lead.by, "left": None if lead.left is None else round(lead.left, 3)}
