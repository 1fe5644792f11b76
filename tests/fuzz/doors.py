"""Fuzz targets of the door: any bytes as a companion's question, and any as an edge's reply."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door, _data
from session_timer_companion.edge.replies import Changes, Found, Missing, Unreachable

# Kamailio puts this module into its Python; what is tried here asks it nothing.
sys.modules.setdefault("KSR", ModuleType("KSR"))

from session_timer_kemi.routes import door  # noqa: E402

EDGE = "edge"
CLOCKS = {"one": "1.0", "another": "x"}
_LOOP = asyncio.new_event_loop()


def door_question(data: bytes) -> None:
    """Any body of a request: it is refused with a reason, or the reply to it stays within its bounds."""
    try:
        asked = door.question(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    if asked.lead is not None:
        assert abs(asked.lead[2]) < 1e12
    answer = door.Answer({"edge": EDGE})
    if asked.records:
        answer.records(asked.records, lambda key: "v=2;" + key)
    if asked.changes:
        answer.changes({each: "v=2;" + each for each in asked.records}, CLOCKS)
    text = answer.text()
    shown = json.loads(text)
    assert set(shown.get("records", {})) | set(shown.get("more", [])) >= set(asked.records)
    if all(len(key) <= 200 for key in asked.records):
        assert len(text) <= door.MOST_BYTES


class _Given(Door):
    """A door whose next reply is given."""

    def __init__(self, status: int, text: bytes) -> None:
        self._reply = status, text

    async def ask(self, question: dict[str, Any], tries: int = 2) -> dict[str, Any]:
        assert question
        assert tries
        return _data(*self._reply)

    async def close(self) -> None:
        """Nothing is open."""


STATUSES = (200, 401, 404, 400, 500)


def door_reply(data: bytes) -> None:
    """Any bytes as an edge's reply: a record, no record, or a reason in one line; never an exception."""
    status = STATUSES[data[0] % len(STATUSES)] if data and data[0] < 128 else 200
    client = EdgeClient(EDGE, _Given(status, data[1:] if data and data[0] < 128 else data))
    _LOOP.run_until_complete(_ask_all(client))


async def _ask_all(client: EdgeClient) -> None:
    (reply,) = await client.records(["call;a;b"])
    assert isinstance(reply, Found | Missing | Unreachable)
    changes = await client.changes()
    assert isinstance(changes, Changes | Unreachable)
    if isinstance(changes, Changes) and changes.facts is not None:
        assert all(isinstance(value, int) for value in changes.facts.stats.values())
    await client.close()


DOORS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (door_question, door_reply)
}
