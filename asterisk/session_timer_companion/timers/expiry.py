"""The end of a call whose session has expired: a last look, then the hang-up, with a reason that shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from session_timer.session import SELF_ENDING, Expire

from session_timer_companion.ami.client import AmiError
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.control.holds import Holds
from session_timer_companion.edge.client import Found, RecordReply
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers.evidence import Evidence, why_not
from session_timer_companion.timers.tracked_call import RETRY, PendingAction, TrackedCall


class Expiry:
    """Hangs up, or reports, what sessions say is over."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        channels: AsteriskChannels,
        *,
        records: Callable[[list[TrackedCall]], Awaitable[list[RecordReply]]],
        evidence: Evidence,
        metrics: Metrics,
        log: CallLog,
        look_at: Callable[[str], None],
        ready: Callable[[], bool],
        holds: Holds,
    ) -> None:
        """`look_at` finds out, later, what became of a channel; `ready`: what is tracked is what there is."""
        self._channels = channels
        self._records = records
        self._evidence = evidence
        self._metrics = metrics
        self._log = log
        self._look_at = look_at
        self._ready = ready
        self._holds = holds
        self._now = asyncio.get_running_loop().time

    async def together(self, due: Sequence[PendingAction]) -> None:
        """End what has expired, if a last look shows nothing new: since the verdict others had their turn."""
        hang_up: list[tuple[PendingAction, Expire]] = []
        for each in due:
            assert isinstance(each.action, Expire)  # noqa: S101  # for the type checker
            if each.tracked.active is not each.before:
                continue  # a refresh was seen since
            if each.action.hang_up:
                hang_up.append((each, each.action))
            else:
                self._report(each.tracked, each.action)
        replies = await self._records([each.tracked for each, _ in hang_up])
        ends = [
            self._end(each, expired, reply) for (each, expired), reply in zip(hang_up, replies, strict=True)
        ]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _end(self, each: PendingAction, expired: Expire, reply: RecordReply) -> None:
        tracked = each.tracked
        refusal = await self._hung_up(each, expired, reply)
        if refusal:
            if not tracked.gone:
                self._look_at(tracked.channel)
                if tracked.active is each.before:
                    tracked.active = replace(each.before, wake=self._now() + RETRY)
                self._log.warning("hangup_put_off", call=tracked, reason=refusal)
            return
        # Asterisk has only told the channel, and one that is held up in an application may stand on. A call
        # that is not gone when even an unanswered BYE is over is judged, and hung up, anew.
        tracked.active = replace(each.before, wake=self._now() + SELF_ENDING)
        self._evidence.close_attempt(tracked, RefreshOutcome.UNANSWERED, "the call was hung up for it")
        self._metrics.expiries.labels(tracked.peer or GENERAL, expired.reason.name.lower(), "hung_up").inc()
        self._log.error(
            "hung_up",
            call=tracked,
            channel=tracked.channel,
            peer=tracked.peer or None,
            reason=expired.reason.name.lower(),
            because=str(expired.reason),
        )

    async def _hung_up(self, each: PendingAction, expired: Expire, reply: RecordReply) -> str:
        """Hang up, if record and channel still are what the verdict stands on; else what is against it."""
        tracked = each.tracked
        if not self._evidence.is_evidence(reply):
            return why_not(reply)
        if isinstance(reply, Found) and self._evidence.news(tracked, reply.record) is not None:
            return "the record has changed"
        try:
            if await self._channels.dialog_key(tracked.channel) != tracked.key:
                return "the channel has another call, or none"
            if tracked.gone or tracked.active is not each.before or not self._ready():
                return "the call has moved on"
            if held := self._holds.why(tracked.key):
                return held
            *_, last = await self._channels.carry_out(
                refresh_actions.hang_up(tracked.channel, expired.reason)
            )
        except AmiError as error:
            return str(error)
        return "" if last.ok else last.reason or "Asterisk refused"

    def _report(self, tracked: TrackedCall, expired: Expire) -> None:
        self._evidence.close_attempt(tracked, RefreshOutcome.UNANSWERED, "the session expired")
        tracked.since = self._now()
        tracked.active = None
        self._metrics.expiries.labels(tracked.peer or GENERAL, expired.reason.name.lower(), "reported").inc()
        self._log.error(
            "expiry_reported",
            call=tracked,
            reason=expired.reason.name.lower(),
            because=str(expired.reason),
        )
