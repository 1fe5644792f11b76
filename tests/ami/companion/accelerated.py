"""An event loop whose clock runs faster than the world's: a test of an hour takes seconds."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):
    speed = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.speed)


class AcceleratedLoop(asyncio.SelectorEventLoop):
    """`time()` advances `speed` seconds a second, and every wait is shorter by as much."""

    def __init__(self, speed: float) -> None:
        selector = _Selector()
        selector.speed = speed
        self._speed = speed
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self._speed


def accelerated(
    speed: float,
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Run an async test on an accelerated loop."""

    def decorate(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            with asyncio.Runner(loop_factory=lambda: AcceleratedLoop(speed)) as runner:
                runner.run(test(*args, **kwargs))

        # pytest-asyncio must not take it for a coroutine, pytest must still see its fixtures
        return run

    return decorate
