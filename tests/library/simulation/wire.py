"""A clock that only the test moves, and a wire that loses, delays and reorders messages."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random


class FakeClock:
    """Time that stands still until a test lets it run; in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Plan `call` for the time `when`; what is past comes at once."""
        heapq.heappush(self._planned, (max(when, self.now), next(self._order), call))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let `seconds` pass, and everything happen that was planned for them, in its order.

        Stops early, at the time of the event, when `until` has become true.
        """
        end = self.now + seconds
        while not until():
            if not self._planned or self._planned[0][0] > end:
                self.now = end
                return
            self.now, _, call = heapq.heappop(self._planned)
            call()


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or the final answer to one."""

    method: str
    cseq: int
    sender: str
    """The name of the user agent that began the transaction."""
    headers: tuple[tuple[str, str], ...] = ()
    code: int | None = None
    """None for a request."""

    def rows(self, name: str) -> list[str]:
        """The values of the header `name`: what `RefreshRequest.read` asks for."""
        return [value for written, value in self.headers if written == name]

    def having(self, name: str, value: str) -> Message:
        """The message with one more header, or another value in it."""
        others = tuple(row for row in self.headers if row[0] != name)
        return replace(self, headers=(*others, (name, value)))


@dataclass
class Wire:
    """What lies between two user agents. Two messages with different delays may overtake each other."""

    clock: FakeClock
    chance: Random
    loss: float = 0.0
    """The share of messages that never arrive, 0 to 1."""
    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds that a message takes, least and most."""
    lost_copies: int = 0
    """So many first copies of every message are lost; what is repeated often enough gets through."""
    cut: bool = False
    """Nothing passes."""
    log: list[tuple[float, Message]] = field(default_factory=list)
    """Everything that was sent, arrived or not, and when."""

    def carry(self, message: Message, deliver: Callable[[Message], None]) -> None:
        """Take a message along, perhaps."""
        copies = sum(sent == message for _, sent in self.log[-64:])
        self.log.append((self.clock.now, message))
        if self.cut or copies < self.lost_copies or self.chance.random() < self.loss:
            return
        arrival = self.clock.now + self.chance.uniform(*self.delay)
        self.clock.at(arrival, lambda: None if self.cut else deliver(message))
