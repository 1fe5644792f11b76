"""Channels that do not answer.

Asterisk carries out in order what one connection asks, and does not get past such a channel. It is set
aside: the others go on with a new connection, and it is asked about on connections of its own until it
answers or ends.
"""

from __future__ import annotations

import contextlib
import itertools
from asyncio import sleep
from collections.abc import Callable, Iterable, Iterator

import structlog

from session_timer_companion.ami.client import Ami, AmiError, AmiTimeout, Backoff
from session_timer_companion.background import BackgroundTasks
from session_timer_companion.channels import queries

ASK_AGAIN = Backoff(first=4.0, ceiling=300.0)
"""When a channel that does not answer is asked again."""

REASON = "the channel does not answer"


class StuckChannels:
    """Those of one Asterisk; `on_answer` gets each that answers again."""

    def __init__(
        self,
        ami: Ami,
        on_answer: Callable[[str], None],
        *,
        background: BackgroundTasks,
        log: structlog.typing.FilteringBoundLogger,
        chance: Callable[[], float],
    ) -> None:
        self._names: set[str] = set()
        self._ami = ami
        self._on_answer = on_answer
        self._background = background
        self._log = log
        self._chance = chance

    def __contains__(self, channel: object) -> bool:
        return channel in self._names

    def __len__(self) -> int:
        return len(self._names)

    def forget(self, channel: str) -> None:
        """It has ended."""
        self._names.discard(channel)

    def keep(self, living: Iterable[str]) -> None:
        """There are these channels and no others."""
        self._names.intersection_update(living)

    @contextlib.contextmanager
    def noticed(self, channel: str = "") -> Iterator[None]:
        """Set aside whatever channel turns out to be stuck inside.

        Raises AmiTimeout, at once if `channel` has been set aside before.
        """
        if channel in self._names:
            raise AmiTimeout(REASON, channel)
        try:
            yield
        except AmiTimeout as error:
            if error.channel:
                if error.channel not in self._names:
                    self._names.add(error.channel)
                    self._background.spawn(self._ask_apart(error.channel))
                    self._log.warning("channel_stuck", channel=error.channel)
                self._ami.reconnect(str(error))
            raise

    async def _ask_apart(self, name: str) -> None:
        for attempt in itertools.count():
            await sleep(ASK_AGAIN.delay(attempt, self._chance()))
            if name not in self._names:
                return
            apart = Ami(self._ami.account)
            try:
                await apart.connect()
                await queries.told(apart, name)
            except AmiError:
                continue
            finally:
                await apart.aclose()
            self._names.discard(name)
            self._on_answer(name)
            return
