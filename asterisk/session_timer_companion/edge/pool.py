"""The edges of the configuration, each by its name, and who may stand in for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.replies import Found, RecordReply, Unreachable


@dataclass(frozen=True, slots=True)
class Copy(Found):
    """A stand-in's copy, where the edge that was asked is silent. Later refreshes may be missing in it."""


class EdgePool:
    """The edges that the configuration names, and no others: a call cannot bring one along."""

    def __init__(self, edges: Iterable[EdgeClient] = ()) -> None:
        self._edges = {edge.name: edge for edge in edges}

    def named(self, name: str) -> EdgeClient | None:
        """The edge of this name; None for one that the configuration does not have."""
        return self._edges.get(name)

    def all(self) -> tuple[EdgeClient, ...]:
        return tuple(self._edges.values())

    def speaks_for(self, speaker: EdgeClient, edge: EdgeClient | None) -> bool:
        """Whether `speaker` may say something of a call that came through `edge`."""
        return edge is speaker or (edge is not None and speaker.name in edge.stand_ins)

    def is_down(self, edge: EdgeClient) -> bool:
        """Whether what is sent through this edge goes nowhere: it is known to be down, nobody stands in."""
        stand_ins = [self._edges.get(name) for name in edge.stand_ins]
        return edge.is_down and not any(other is not None and other.up for other in stand_ins)

    async def records(self, edge: EdgeClient | None, keys: Sequence[str]) -> list[RecordReply]:
        """Ask `edge` for records; where it cannot be reached, its stand-ins, which may hold a `Copy`.

        That a stand-in has no such record says nothing. None: there is no edge that could know.
        """
        if edge is None:
            return [Unreachable("no edge") for _ in keys]
        replies = await edge.records(keys)
        for name in edge.stand_ins:
            unread = [index for index, reply in enumerate(replies) if isinstance(reply, Unreachable)]
            if not unread:
                break
            other = self._edges.get(name)
            # One that is away as well would be waited for; the lists of changes tell when it is back.
            if other is None or other.up is False:
                continue
            copies = await other.records([keys[index] for index in unread])
            for index, copy in zip(unread, copies, strict=True):
                if isinstance(copy, Found):
                    replies[index] = Copy(copy.record, copy.clocks)
        return replies

    async def each(self, wanted: Sequence[tuple[EdgeClient | None, str]]) -> list[RecordReply]:
        """The record of each, asked from its own edge; all edges are asked at the same time."""
        by_edge: dict[EdgeClient | None, list[int]] = {}
        for index, (edge, _) in enumerate(wanted):
            by_edge.setdefault(edge, []).append(index)
        found = await asyncio.gather(
            *[self.records(edge, [wanted[index][1] for index in group]) for edge, group in by_edge.items()]
        )
        of = {
            index: reply
            for group, replies in zip(by_edge.values(), found, strict=True)
            for index, reply in zip(group, replies, strict=True)
        }
        return [of[index] for index in range(len(wanted))]

    async def close(self) -> None:
        for edge in self._edges.values():
            await edge.close()
