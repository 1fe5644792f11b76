"""Makes Asterisk send refreshes, and keeps apart what was sent and what was not.

If Asterisk did not send a refresh, the peer's silence means nothing. The session keeps its state and the
refresh is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from session_timer import session
from session_timer.answers import OWN_WAIT
from session_timer.session import Method, Send

from session_timer_companion.ami.client import AmiError, AmiRefused
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.tracked_call import (
    RETRY,
    Attempt,
    PendingAction,
    TrackedCall,
    second_form_due,
)

GLARE = 491
"""What a peer answers that has a request of its own under way (RFC 3261 14.2)."""

_Prepared = tuple[PendingAction, Method, list[refresh_actions.Action]]


class RefreshSender:
    """Sends what sessions want sent, that of many calls in one go."""

    def __init__(
        self,
        channels: AsteriskChannels,
        metrics: Metrics,
        log: CallLog,
        look_at: Callable[[str], None],
    ) -> None:
        """`look_at` finds out, later, what became of a channel."""
        self._channels = channels
        self._metrics = metrics
        self._log = log
        self._look_at = look_at
        self._now = asyncio.get_running_loop().time

    async def send(self, tracked: TrackedCall, method: Method) -> None:
        """Send one refresh now, whatever the scheduler says. Raises AmiError or CannotRefresh."""
        actions = await self._actions(tracked, method)
        for reply in await self._channels.carry_out(actions):
            if not reply.ok:
                raise AmiRefused("Setvar", reply.reason)

    async def together(self, due: Sequence[PendingAction]) -> None:
        """Send the refreshes that are due."""
        ready = await self._prepared([each for each in due if not self._adopted(each)])
        if not ready:
            return
        try:
            actions = [action for _, _, some in ready for action in some]
            replies = iter(await self._channels.carry_out(actions))
        except AmiError as error:
            for each, method, _ in ready:
                self._not_sent(each, method, str(error))
            return
        now = self._now()
        for each, method, some in ready:
            refusals = [reply.reason for _ in some if not (reply := next(replies)).ok]
            tracked = each.tracked
            if refusals:
                self._look_at(tracked.channel)
                self._not_sent(each, method, refusals[0])
                continue
            tracked.hindrance = ""
            if method is Method.UPDATE:
                tracked.number = ""
            # Where a refresh of the peer came in between, nobody waits for what came of ours.
            if tracked.active is not None and tracked.active.sent is not None:
                tracked.active = session.left_at(tracked.active, now)
                tracked.attempt = Attempt(method, now)
            # A line costs as much as the rest of a refresh: at level info its confirmation is enough.
            log = self._log.info if tracked.edge is None else self._log.debug
            log("refresh_sent", call=tracked, method=method.name)

    async def second_form(self, tracked: TrackedCall, attempt: Attempt) -> None:
        """Refresh with SDP too, in time to be answered, where the first form may never have left.

        By UPDATE: a re-INVITE without response would keep Asterisk from sending BYE for half a minute.
        """
        due = second_form_due(tracked, attempt)
        if due is None or self._now() < due:
            return
        attempt.second_tried = True
        try:
            await self.send(tracked, Method.UPDATE_SDP)
        except (AmiError, CannotRefresh) as error:
            self._look_at(tracked.channel)
            self._log.warning("second_form_not_sent", call=tracked, reason=str(error))
            return
        attempt.other_form = self._now()
        self._log.warning("second_form_sent", call=tracked, method=attempt.method.name)

    @staticmethod
    def _adopted(each: PendingAction) -> bool:
        """Where an operator's refresh is under way it is the one that was due, and no other follows it."""
        attempt, active = each.tracked.attempt, each.tracked.active
        if attempt is None or attempt.reported is None or active is None or active.sent is None:
            return False
        each.tracked.active = session.left_at(active, attempt.sent)
        return True

    async def _prepared(self, due: Sequence[PendingAction]) -> list[_Prepared]:
        """What can be sent, and what Asterisk must be told for it."""
        for each in due:
            each.tracked.attempt = None  # whatever was sent before, it was not this
        methods = [each.action.method for each in due if isinstance(each.action, Send)]
        prepared = await asyncio.gather(
            *[self._actions(each.tracked, method) for each, method in zip(due, methods, strict=True)],
            return_exceptions=True,
        )
        ready: list[_Prepared] = []
        for each, method, actions in zip(due, methods, prepared, strict=True):
            if isinstance(actions, CannotRefresh):
                self._look_at(each.tracked.channel)
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
            if tracked.number and await self._channels.connected_number(tracked.channel):
                tracked.number = ""
            return refresh_actions.by_connected_line(
                tracked.channel, refresh_actions.fresh_tag(), tracked.number
            )
        media = await self._channels.media(tracked.channel)
        if GLARE in tracked.current_session().refused:
            # Asterisk holds its own retry back for as long as we do, then finds that it would change nothing
            # and drops it, and with it every offer that was made meanwhile.
            return refresh_actions.by_repetition(tracked.channel, media)
        return refresh_actions.with_sdp(tracked.channel, media, method)

    def _not_sent(self, each: PendingAction, method: Method, reason: str, wait: float = RETRY) -> None:
        """Asterisk could not be told: try again `wait` seconds later. A reason that stays is logged once."""
        each.take_back(self._now() + wait)
        tracked = each.tracked
        log = self._log.debug if tracked.hindrance == reason else self._log.warning
        tracked.hindrance = reason
        self._metrics.ended(tracked.peer, method, RefreshOutcome.NOT_SENT)
        log("refresh_not_sent", call=tracked, method=method.name, reason=reason)
