"""Makes Asterisk send refreshes, and keeps apart what was sent and what was not.

What Asterisk was not made to send is no evidence that a peer is silent: then the session stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from session_timer import session
from session_timer.answers import OWN_WAIT
from session_timer.session import Method, Send

from session_timer_companion.ami.client import AmiError, AmiMessage, AmiRefused
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.calls import Media
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.metrics import Metrics, RefreshOutcome
from session_timer_companion.timers import forms
from session_timer_companion.timers.due import RETRY, PendingAction
from session_timer_companion.timers.tracked_call import Attempt, TrackedCall

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


class RefreshSender:
    """Sends what sessions want sent, that of many calls in one go."""

    def __init__(
        self, asterisk: Asterisk, metrics: Metrics, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        self._asterisk = asterisk
        self._metrics = metrics
        self._log = log
        self._now = asyncio.get_running_loop().time

    async def send(self, tracked: TrackedCall, method: Method) -> None:
        """Send one refresh now, whatever the scheduler says. Raises AmiError or CannotRefresh."""
        actions = await self._actions(tracked, method)
        for answer in await self._asterisk.pipelined(actions):
            if not answer.ok:
                raise AmiRefused("Setvar", answer.reason)

    async def together(self, due: Sequence[PendingAction]) -> None:
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
            tracked = each.tracked
            if refusals:
                self._asterisk.look_at(tracked.channel)
                self._not_sent(each, method, refusals[0])
                continue
            tracked.hindrance = ""
            if method is Method.UPDATE:
                tracked.number = ""
            # Where a refresh of the peer came in between, ours needs no watching.
            if tracked.active is not None and tracked.active.sent is not None:
                tracked.active = session.left_at(tracked.active, now)
                tracked.attempt = Attempt(method, now)
            # A line costs as much as the rest of a refresh: at level info its confirmation is enough.
            tell = self._log.info if tracked.edge is None else self._log.debug
            tell("refresh sent", call_id=tracked.call_id, method=str(method))

    async def second_form(self, tracked: TrackedCall, attempt: Attempt) -> None:
        """Refresh with SDP too, in time to be answered, where the first form may never have left.

        By UPDATE: a re-INVITE without answer would keep Asterisk from sender BYE for half a minute.
        """
        due = forms.second_due(tracked, attempt)
        if due is None or self._now() < due:
            return
        attempt.second_tried = True
        try:
            await self.send(tracked, Method.UPDATE_SDP)
        except (AmiError, CannotRefresh) as error:
            self._asterisk.look_at(tracked.channel)
            self._log.warning("other form could not be sent", call_id=tracked.call_id, reason=str(error))
            return
        attempt.other_form = self._now()
        self._log.warning(
            "no sign that the refresh left Asterisk: tried the other form",
            call_id=tracked.call_id,
            method=str(attempt.method),
        )

    async def _prepared(
        self, due: Sequence[PendingAction]
    ) -> list[tuple[PendingAction, Method, list[refresh_actions.Action]]]:
        """What can be sent, and what Asterisk must be told for it."""
        for each in due:
            each.tracked.attempt = None  # whatever was sent before, it was not this
        methods = [each.action.method for each in due if isinstance(each.action, Send)]
        prepared = await asyncio.gather(
            *[self._actions(each.tracked, method) for each, method in zip(due, methods, strict=True)],
            return_exceptions=True,
        )
        ready: list[tuple[PendingAction, Method, list[refresh_actions.Action]]] = []
        for each, method, actions in zip(due, methods, prepared, strict=True):
            if isinstance(actions, CannotRefresh):
                self._asterisk.look_at(each.tracked.channel)
                self._not_sent(each, method, str(actions), OWN_WAIT)
            elif isinstance(actions, AmiError):
                self._not_sent(each, method, str(actions))
            elif isinstance(actions, BaseException):
                raise actions
            else:
                ready.append((each, method, actions))
        return ready

    async def _actions(self, tracked: TrackedCall, method: Method) -> list[refresh_actions.Action]:
        """What Asterisk must be told. Raises AmiError, or CannotRefresh."""
        if method is Method.UPDATE:
            if tracked.number and await self._asterisk.connected_number(tracked.channel):
                tracked.number = ""
            return refresh_actions.by_connected_line(
                tracked.channel, refresh_actions.fresh_tag(), tracked.number
            )
        media = await self._asterisk.media(tracked.channel)
        if GLARE in tracked.session.refused:
            # Asterisk holds its own retry back for as long as we do, then finds that it would change nothing
            # and drops it, and with it every offer that was made meanwhile.
            return refresh_actions.by_repetition(tracked.channel, media)
        return refresh_actions.with_sdp(tracked.channel, media, method)

    def _not_sent(self, each: PendingAction, method: Method, reason: str, wait: float = RETRY) -> None:
        """Asterisk could not be told: try again `wait` seconds later. What stays in the way is said once."""
        each.take_back(self._now() + wait)
        tracked = each.tracked
        tell = self._log.debug if tracked.hindrance == reason else self._log.warning
        tracked.hindrance = reason
        self._metrics.ended(method, RefreshOutcome.NOT_SENT)
        tell("refresh could not be sent", call_id=tracked.call_id, method=str(method), reason=reason)
