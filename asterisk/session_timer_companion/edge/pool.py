"""The edges that records are asked from, one for each address that calls name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from session_timer import is_rpc_address

from session_timer_companion.edge.client import EdgeClient, Found, RecordReply, Unreachable
from session_timer_companion.edge.clocks import Clocks


@dataclass(frozen=True, slots=True)
class Copy(Found):
    """Another edge's copy, where the one that was asked is silent. Later refreshes may be missing in it."""


class EdgePool:
    """Opened when first needed. `default` is the configuration's `edge.rpc`; `timeout` is in seconds.

    `clocks` learn of each clock by which a record was written, before anybody is told of the record.
    """

    def __init__(self, default: str = "", timeout: float = 1.0, clocks: Clocks | None = None) -> None:
        self._default = default
        self._timeout = timeout
        self._clocks = Clocks() if clocks is None else clocks
        self._open: dict[str, EdgeClient] = {}
        self.at(default)

    def at(self, address: str) -> EdgeClient | None:
        """The edge at `address`; the default one if a call names none, or none that can be one.

        None: there is no default either.
        """
        if not is_rpc_address(address):
            address = self._default
        if not address:
            return None
        edge = self._open.get(address)
        if edge is None:
            edge = self._open[address] = EdgeClient(address, self._timeout)
        return edge

    def all(self) -> tuple[EdgeClient, ...]:
        return tuple(self._open.values())

    async def records(self, edge: EdgeClient | None, keys: Sequence[str]) -> list[RecordReply]:
        """Ask `edge` for records; where it cannot be reached, the others, which may hold a `Copy` (DMQ).

        That another edge has no such record says nothing. None: there is no edge that could know.
        """
        if edge is None:
            return [Unreachable("no edge") for _ in keys]
        answers = await edge.records(keys)
        await self._learn_clocks(edge, answers)
        for other in self.all():
            left = [index for index, answer in enumerate(answers) if isinstance(answer, Unreachable)]
            if not left:
                break
            # One that is away as well would be waited for; the lists of changes tell when it is back.
            if other is not edge and other.up is not False:
                copies = await other.records([keys[index] for index in left])
                for index, copy in zip(left, copies, strict=True):
                    if isinstance(copy, Found):
                        answers[index] = Copy(copy.record)
        return answers

    async def _learn_clocks(self, edge: EdgeClient, answers: Sequence[RecordReply]) -> None:
        """Ask for what no list of changes has told: the edge is new to us, or its list is too long."""
        written_by = {answer.record.clock for answer in answers if isinstance(answer, Found)}
        for name in written_by.difference(self._clocks.names):
            reading = await edge.clock(name)
            if reading is not None:
                self._clocks.learn({name: reading}, asyncio.get_running_loop().time())

    def close(self) -> None:
        for edge in self._open.values():
            edge.close()
