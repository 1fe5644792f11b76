"""What the companion asks an edge; questions and replies come and go by `door.py`.

    edge = EdgeClient("edge-1", Door("http://192.0.2.10:5060", key, timeout=1.0))
    replies = await edge.records(keys)  # each Found, OnlyAsked, Missing or Unreachable: never an exception

Records that are asked for in the same moment go into one request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from session_timer import Record, RecordError
from session_timer.clock import Clocks

from session_timer_companion.edge.door import MOST_KEYS, Door, DoorError
from session_timer_companion.edge.host import Host
from session_timer_companion.edge.presence import DoorSeen
from session_timer_companion.edge.replies import (
    REFUSED_RECORDS,
    Changes,
    EdgeFacts,
    Found,
    LeadWanted,
    Missing,
    OnlyAsked,
    RecordReply,
    Table,
    Unreachable,
)
from session_timer_companion.edge.watch import Watch

ROOM = 5.0
"""Seconds without a record that was refused, after which the table is taken to have room again."""

JUMP = 2.0
"""Seconds. By more than this our clock falls behind an edge's only where our host stood still."""


class EdgeClient:
    """One Kamailio, by the name that it writes into internal headers. Times are in seconds.

    `stand_ins` are the names of edges that replicate its records (DMQ): what they say counts as its own copy.
    """

    def __init__(
        self, name: str, door: Door, stand_ins: Sequence[str] = (), host: Host | None = None
    ) -> None:
        """`host` is where the door is; without it a dead host and a silent door are the same."""
        self.name = name
        self.stand_ins = tuple(stand_ins)
        self.up: bool | None = None
        """Whether it replied last time; None before anything was asked."""
        self.losses = 0
        """How often nothing at all came back: each may hide that changes were missed."""
        self.reason = ""
        """Why it did not reply last time."""
        self.refused_at: float | None = None
        """When it was last seen that its table had refused a record, on our clock; None: never yet."""
        self._refused: int | None = None
        self.paused = 0.0
        """Seconds that our host has stood still by this edge's clock, and nobody has made up for yet."""
        self._door = door
        self._watch = Watch(host)
        self.clocks = Clocks()
        self._wanted: dict[str, asyncio.Future[RecordReply]] = {}
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_down(self) -> bool:
        """Whether it is known to be down; one whose door is merely silent may serve SIP all the same."""
        return self.up is False and self._watch.is_down

    def serves(self) -> None:
        """A call has just been answered that came through it."""
        if self.up is False:
            self._watch.served()

    async def look(self) -> None:
        """Find out whether it replies at this moment: `up`."""
        with contextlib.suppress(DoorError):
            await self._ask({})

    async def record(self, key: str) -> RecordReply:
        """Ask for one dialog's record."""
        return (await self.records([key]))[0]

    async def records(self, keys: Sequence[str]) -> list[RecordReply]:
        """Ask for the records of any number of dialogs; the replies in the same order."""
        loop = asyncio.get_running_loop()
        waiting = []
        for key in keys:
            future = self._wanted.get(key)
            if future is None:
                future = self._wanted[key] = loop.create_future()
            waiting.append(future)
        if waiting and self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_all())
        return [await asyncio.shield(future) for future in waiting]

    async def lead(self, wanted: LeadWanted) -> str | None:
        """Ask for the lead of one Asterisk: the name of who has it now; None where the edge cannot say."""
        try:
            reply = await self._ask({"lead": wanted.question()})
        except DoorError:
            return None
        leading = reply.get("lead")
        return str(leading.get("by", "")) or None if isinstance(leading, dict) else None

    async def table(self) -> Table | None:
        """How full its table of records is; None where the edge cannot say."""
        try:
            told = (await self._ask({"table": True})).get("table")
        except DoorError:
            return None
        match told:
            case {"records": int(records), "slots": int(slots)}:
                return Table(records, slots)
        return None

    async def changes(self) -> Changes | Unreachable:
        """Ask for the list of changes, and for how the edge is."""
        try:
            reply = await self._ask({"changes": True})
        except DoorError as error:
            return Unreachable(f"edge {self.name}: {error}")
        given = reply.get("changes")
        texts = given if isinstance(given, dict) else {}
        records: dict[str, Record] = {}
        for key, text in texts.items():
            # What another version wrote is left to the reading of single records, which says so.
            with contextlib.suppress(RecordError):
                records[key] = Record.decode(text if isinstance(text, str) else "")
        more = [key for key in _list(reply.get("more")) if isinstance(key, str)]
        for key, found in zip(more, await self.records(more), strict=True):
            if isinstance(found, Found):
                records[key] = found.record
        return Changes(records, _facts(reply))

    async def close(self) -> None:
        """Let go of the connections; what is under way counts as unanswered."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._watch.close()
        await self._door.close()

    async def _ask_for_all(self) -> None:
        """Ask for what is wanted, and for what is wanted meanwhile, until all have their replies."""
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                keys = list(wanted)
                batches = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
                # One first: where nobody is there, to ask for the others too would keep thousands waiting.
                await self._ask_for(batches[0], wanted)
                if self.up is False:
                    for future in wanted.values():
                        _settle(future, Unreachable(f"edge {self.name}: {self.reason}"))
                    continue
                await asyncio.gather(*[self._ask_for(batch, wanted) for batch in batches[1:]])
        finally:
            self._asking = None
            for future in self._wanted.values():
                _settle(future, Unreachable(f"edge {self.name}: no longer asked"))

    async def _ask_for(self, keys: list[str], wanted: Mapping[str, asyncio.Future[RecordReply]]) -> None:
        left = list(keys)
        try:
            while left:
                reply = await self._ask({"records": left})
                given = reply.get("records")
                found = given if isinstance(given, dict) else {}
                more = {key for key in _list(reply.get("more")) if isinstance(key, str)}
                again = [key for key in left if key in more and key not in found]
                for key in left:
                    if key not in again:
                        _settle(wanted[key], self._read(key, found))
                if len(again) == len(left):  # a record that is larger than a reply may be
                    for key in again:
                        _settle(wanted[key], Unreachable(f"edge {self.name}: its reply has no room for it"))
                    again = []
                left = again
        except DoorError as error:
            for key in left:
                _settle(wanted[key], Unreachable(f"edge {self.name}: {error}"))
        finally:
            for key in keys:
                _settle(wanted[key], Unreachable(f"edge {self.name}: no longer asked"))

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question and what it says of the edge. Raises `DoorError`."""
        loop = asyncio.get_running_loop()
        try:
            reply = await self._door.ask(question, tries=1 if self.up is False else 2)
            self._is_ours(reply)
        except DoorError as error:
            self.up, self.reason = False, str(error)
            self.losses += 1
            self._watch.asked(error.seen)
            raise
        self.up, self.reason = True, ""
        now = loop.time()
        if now >= self._watch.due:
            self._watch.asked(DoorSeen.REPLIED)
        self._learn(reply, now)
        return reply

    def _is_ours(self, reply: Mapping[str, Any]) -> None:
        """Raises `DoorError` where another edge answers than the one of this name."""
        if reply.get("edge") != self.name:
            raise DoorError(
                f"the edge there is called {str(reply.get('edge'))[:64]!r}: edge.name there and "
                "companion.edges[].name here must be the same"
            )

    def _read(self, key: str, found: Mapping[str, object]) -> RecordReply:
        if key not in found:
            return Unreachable(f"edge {self.name}: a reply without the record that was asked for")
        text = found[key]
        if text is None:
            return Missing()
        try:
            record = Record.decode(text if isinstance(text, str) else "")
        except RecordError as error:
            return Unreachable(f"edge {self.name}: {error}")
        return OnlyAsked(record, self.clocks) if record.is_without_2xx else Found(record, self.clocks)

    def keeps_again(self, since: float, now: float) -> bool:
        """Whether its table has refused records after `since`, and none for a while (`ROOM`)."""
        return self.refused_at is not None and since <= self.refused_at <= now - ROOM

    def _learn(self, reply: Mapping[str, Any], now: float) -> None:
        refused = _facts(reply).stats.get(REFUSED_RECORDS, 0)
        # A first number tells not when, and a smaller one is that of an edge which has begun anew.
        if self._refused is not None and refused > self._refused:
            self.refused_at = now
        self._refused = refused
        clock = reply.get("clock")
        if isinstance(clock, dict) and isinstance(clock.get("name"), str) and _is_time(clock.get("now")):
            jump = self.clocks.jump(clock["name"], float(clock["now"]), now)
            if jump > JUMP:
                self.paused += jump
        published = reply.get("clocks")
        if isinstance(published, dict):
            readings = {str(name): float(at) for name, at in published.items() if _is_time(at)}
            own = clock.get("name") if isinstance(clock, dict) else None
            readings.pop(str(own), None)  # read more closely above
            self.clocks.learn(readings, now)


def _settle(future: asyncio.Future[RecordReply], reply: RecordReply) -> None:
    if not future.done():
        future.set_result(reply)


def _facts(reply: Mapping[str, Any]) -> EdgeFacts:
    """What a reply says of the edge itself; what is missing or of another type counts as nothing."""
    clock, published, stats = reply.get("clock"), reply.get("clocks"), reply.get("stats")
    return EdgeFacts(
        clock=str(clock.get("name", "")) if isinstance(clock, dict) else "",
        digest=str(reply.get("config", "")),
        clocks=tuple(str(name) for name in published) if isinstance(published, dict) else (),
        stats={
            str(name): value
            for name, value in (stats if isinstance(stats, dict) else {}).items()
            if isinstance(value, int)
        },
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
