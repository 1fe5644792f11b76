"""A network that doubles datagrams and lets some of them come late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Disorder:
    """How the network between peers and edge treats datagrams."""

    share: float = 0.0
    """Of them that come twice, and as many that come late."""
    delay: float = 0.0
    draw: random.Random = field(default_factory=lambda: random.Random(4028))  # noqa: S311  # not a secret

    def pass_on(self, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self.share and self.draw.random() < self.share:
            loop.call_later(self.draw.random() * self.delay, deliver)
        if self.share and self.draw.random() < self.share:
            loop.call_later(self.draw.random() * self.delay, deliver)
        else:
            deliver()
