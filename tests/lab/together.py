"""Tests that play their calls at the same time: a call that waits for its timers leaves the machine idle.

A module names its group ``together`` and decorates each test. The first of them starts all calls of the
module that were selected; each test then waits for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.lab.observed import ObservedCall
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.peers.user_agent import Call, Originate, Peer
from tests.lab.stack import Stack

LONGEST = 180.0
"""Seconds that a call may take."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a call is played with. All of it may be used by several threads."""

    stack: Stack
    peer: Peer
    originate: Originate
    edge: Kamailio
    wire: Wire
    companion: Companion

    def observed(self, call: Call) -> ObservedCall:
        """The call so far, as the capture at the edge shows it."""
        return ObservedCall.of(
            self.wire.packets(call.call_id),
            call.call_id,
            edge=self.stack.edge,
            carrier=call.agent.address,
            asterisk=self.stack.asterisk,
        )


Script = Callable[[Stage], None]


class Playing:
    """The calls of one module, under way."""

    def __init__(self, scripts: dict[str, Script], stage: Stage) -> None:
        self._pool = ThreadPoolExecutor(max(1, len(scripts)))
        self._ends: dict[str, Future[None]] = {
            name: self._pool.submit(script, stage) for name, script in scripts.items()
        }

    def outcome(self, name: str) -> None:
        """Wait for a call's end. Raises what its script raised."""
        self._ends[name].result(LONGEST)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Together:
    """The tests of one module that are played together."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}

    def test(self, *requirements: str) -> Callable[[Script], Callable[[Playing], None]]:
        """Make a test of a script; it shows these requirements."""

        def take(script: Script) -> Callable[[Playing], None]:
            name = script.__name__
            self._scripts[name] = script

            def outcome(playing: Playing) -> None:
                playing.outcome(name)

            outcome.__name__ = name
            outcome.__doc__ = script.__doc__
            return pytest.mark.requirement(*requirements)(outcome) if requirements else outcome

        return take

    def play(self, names: Iterable[str], stage: Stage) -> Playing:
        """Start those that are named."""
        wanted = set(names)
        return Playing({name: each for name, each in self._scripts.items() if name in wanted}, stage)
