"""Makes Asterisk send refreshes, and keeps apart what was sent and what was not.

What Asterisk was not made to send is no evidence that a peer is silent: then the session stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from session_timer import session
from session_timer.session import Method, Send
from session_timer.session.answers import OWN_WAIT

from session_timer_companion.ami.client import AmiError, AmiMessage, AmiRefused
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.calls import Media
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.metrics import Measures, Outcome
from session_timer_companion.timers import forms
from session_timer_companion.timers.due import RETRY, Due
from session_timer_companion.timers.tracked_call import Attempt, Watch

GLARE = 491
"""What a peer answers that has a request of its own under way (RFC 3261 14.2)."""


class Asterisk(Protocol):
    """What sending needs of Asterisk."""

    async def pipelined(self, actions: Sequence[refresh_actions.Action]) -> list[AmiMessage]:
        """Carry out actions in their order. Raises AmiError."""

    async def media(self, channel: str) -> Media:
        """What is negotiated on a channel now. Raises AmiError."""

    async def connected_number(self, channel: str) -> str:
        """The number of the other party that Asterisk knows by now. Raises AmiError."""

    def look_at(self, channel: str) -> None:
        """Find out, later, what became of a channel."""


class Sending:
    """Sends what sessions want sent, that of many calls in one go."""

    def __init__(
        self, asterisk: Asterisk, measures: Measures, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._asterisk = asterisk
        self._measures = measures
        self._log = log
        self._now = asyncio.get_running_loop().time

    async def send(self, watch: Watch, method: Method) -> None:
        """Send one refresh now, whatever the agenda says. Raises AmiError or CannotRefresh."""
        actions = await self._actions(watch, method)
        for answer in await self._asterisk.pipelined(actions):
            if not answer.ok:
                raise AmiRefused("Setvar", answer.reason)

    async def together(self, due: Sequence[Due]) -> None:
        """Send the refreshes that are due."""
        ready = await self._prepared(due)
        if not ready:
            return
        try:
            answers = iter(
                await self._asterisk.pipelined([action for _, _, actions in ready for action in actions])
            )
        except AmiError as error:
            for each, method, _ in ready:
                self._not_sent(each, method, str(error))
            return
        now = self._now()
        for each, method, actions in ready:
            refusals = [answer.reason for _ in actions if not (answer := next(answers)).ok]
            watch = each.watch
            if refusals:
                self._asterisk.look_at(watch.channel)
                self._not_sent(each, method, refusals[0])
                continue
            watch.hindrance = ""
            if method is Method.UPDATE:
                watch.number = ""
            # Where a refresh of the peer came in between, ours needs no watching.
            if watch.active is not None and watch.active.sent is not None:
                watch.active = session.left_at(watch.active, now)
                watch.attempt = Attempt(method, now)
            # A line costs as much as the rest of a refresh: at level info its confirmation is enough.
            tell = self._log.info if watch.edge is None else self._log.debug
            tell("refresh sent", call_id=watch.call_id, method=str(method))

    async def second_form(self, watch: Watch, attempt: Attempt) -> None:
        """Refresh with SDP too, in time to be answered, where the first form may never have left.

        By UPDATE: a re-INVITE without answer would keep Asterisk from sending BYE for half a minute.
        """
        due = forms.second_due(watch, attempt)
        if due is None or self._now() < due:
            return
        attempt.second_tried = True
        try:
            await self.send(watch, Method.UPDATE_SDP)
        except (AmiError, CannotRefresh) as error:
            self._asterisk.look_at(watch.channel)
            self._log.warning("other form could not be sent", call_id=watch.call_id, reason=str(error))
            return
        attempt.other_form = self._now()
        self._log.warning(
            "no sign that the refresh left Asterisk: tried the other form",
            call_id=watch.call_id,
            method=str(attempt.method),
        )

    async def _prepared(self, due: Sequence[Due]) -> list[tuple[Due, Method, list[refresh_actions.Action]]]:
        """What can be sent, and what Asterisk must be told for it."""
        for each in due:
            each.watch.attempt = None  # whatever was sent before, it was not this
        methods = [each.action.method for each in due if isinstance(each.action, Send)]
        prepared = await asyncio.gather(
            *[self._actions(each.watch, method) for each, method in zip(due, methods, strict=True)],
            return_exceptions=True,
        )
        ready: list[tuple[Due, Method, list[refresh_actions.Action]]] = []
        for each, method, actions in zip(due, methods, prepared, strict=True):
            if isinstance(actions, CannotRefresh):
                self._asterisk.look_at(each.watch.channel)
                self._not_sent(each, method, str(actions), OWN_WAIT)
            elif isinstance(actions, AmiError):
                self._not_sent(each, method, str(actions))
            elif isinstance(actions, BaseException):
                raise actions
            else:
                ready.append((each, method, actions))
        return ready

    async def _actions(self, watch: Watch, method: Method) -> list[refresh_actions.Action]:
        """What Asterisk must be told. Raises AmiError, or CannotRefresh."""
        if method is Method.UPDATE:
            if watch.number and await self._asterisk.connected_number(watch.channel):
                watch.number = ""
            return refresh_actions.by_connected_line(watch.channel, refresh_actions.fresh_tag(), watch.number)
        media = await self._asterisk.media(watch.channel)
        if GLARE in watch.session.refused:
            # Asterisk holds its own retry back for as long as we do, then finds that it would change nothing
            # and drops it, and with it every offer that was made meanwhile.
            return refresh_actions.by_repetition(watch.channel, media)
        return refresh_actions.with_sdp(watch.channel, media, method)

    def _not_sent(self, each: Due, method: Method, reason: str, wait: float = RETRY) -> None:
        """Asterisk could not be told: try again `wait` seconds later. What stays in the way is said once."""
        each.take_back(self._now() + wait)
        watch = each.watch
        tell = self._log.debug if watch.hindrance == reason else self._log.warning
        watch.hindrance = reason
        self._measures.ended(method, Outcome.NOT_SENT)
        tell("refresh could not be sent", call_id=watch.call_id, method=str(method), reason=reason)
