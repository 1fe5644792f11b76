"""Where a part of the companion says what happened: to the log, and, of a call, to its history and the hooks.

log = CallLog(structlog.get_logger(__name__), "ast1", history, heard)
log.warning("refresh_refused", call=tracked, code=488)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from session_timer_companion.events.history import EndedCall, History

if TYPE_CHECKING:
    from session_timer_companion.timers.tracked_call import TrackedCall

Listener = Callable[[str, str, "TrackedCall", Mapping[str, object]], None]
"""Gets the Asterisk's name and each event of a call with its details; returns at once."""


class CallLog:
    """The log of one Asterisk's calls. `call` is the tracked call that a line is about.

    An event goes into the history of its call whatever the level of the log.
    """

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        asterisk: str,
        history: History,
        listener: Listener,
    ) -> None:
        self._log = log.bind(asterisk=asterisk)
        self._asterisk = asterisk
        self._history = history
        self._listener = listener
        self._now = asyncio.get_running_loop().time

    def debug(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=False)
        self._log.debug(event, **_with_call_id(call, details))

    def info(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=False)
        self._log.info(event, **_with_call_id(call, details))

    def warning(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.warning(event, **_with_call_id(call, details))

    def error(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.error(event, **_with_call_id(call, details))

    def exception(self, event: str, *, call: TrackedCall | None = None, **details: object) -> None:
        self._note(event, call, details, notable=True)
        self._log.exception(event, **_with_call_id(call, details))

    def close(self, call: TrackedCall, why: str) -> None:
        """This call is no longer tracked: its history goes among those of ended calls."""
        self._history.close(
            EndedCall(
                asterisk=self._asterisk,
                call_id=call.call_id,
                channel=call.channel,
                peer=call.peer,
                numbers=call.numbers,
                ended=self._now(),
                why=why,
                refreshes=max(call.refreshes, 0),
                events=call.history,
            )
        )

    def _note(
        self, event: str, call: TrackedCall | None, details: Mapping[str, object], *, notable: bool
    ) -> None:
        if call is None:
            return
        call.history = self._history.add(call.history, self._now(), event, details, notable=notable)
        if call.gone and notable:
            # Asterisk's Hangup may be read before the reply to what caused it.
            self._history.amend(self._asterisk, call.call_id, call.channel, call.history)
        self._listener(self._asterisk, event, call, details)


def _with_call_id(call: TrackedCall | None, details: dict[str, object]) -> dict[str, object]:
    return details if call is None else {"call_id": call.call_id, **details}
