"""The end of a call whose session has expired: a last look, then the hang-up, with a reason that shows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog
from session_timer import record
from session_timer.session import SELF_ENDING, Expire

from session_timer_companion.ami.client import AmiError, AmiMessage
from session_timer_companion.channels import refresh_actions
from session_timer_companion.edge.client import Found, RecordReply
from session_timer_companion.metrics import Metrics, RefreshOutcome
from session_timer_companion.timers.due import RETRY, PendingAction
from session_timer_companion.timers.evidence import Evidence, why_not
from session_timer_companion.timers.tracked_call import TrackedCall


class Asterisk(Protocol):
    """What an end needs of Asterisk."""

    @property
    def ready(self) -> bool:
        """Its calls are the ones that are tracked."""

    async def pipelined(self, actions: Sequence[refresh_actions.Action]) -> list[AmiMessage]:
        """Carry out actions in their order. Raises AmiError."""

    def look_at(self, channel: str) -> None:
        """Find out, later, what became of a channel."""


class Expiry:
    """Hangs up, or reports, what sessions say is over."""

    def __init__(  # its surroundings, each by name
        self,
        asterisk: Asterisk,
        *,
        records: Callable[[list[TrackedCall]], Awaitable[list[RecordReply]]],
        evidence: Evidence,
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._asterisk = asterisk
        self._records = records
        self._evidence = evidence
        self._metrics = metrics
        self._log = log
        self._now = asyncio.get_running_loop().time

    async def together(self, due: Sequence[PendingAction]) -> None:
        """End what has expired, if a last look shows nothing new: since the verdict others had their turn."""
        hang_up: list[tuple[PendingAction, Expire]] = []
        for each in due:
            assert isinstance(each.action, Expire)  # noqa: S101  # for the type checker
            if each.tracked.active is not each.before:
                continue  # a refresh was heard of since
            if each.action.hang_up:
                hang_up.append((each, each.action))
            else:
                self._report(each.tracked, each.action)
        answers = await self._records([each.tracked for each, _ in hang_up])
        ends = [
            self._end(each, expired, answer) for (each, expired), answer in zip(hang_up, answers, strict=True)
        ]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _end(self, each: PendingAction, expired: Expire, answer: RecordReply) -> None:
        tracked = each.tracked
        refusal = await self._hung_up(each, expired, answer)
        if refusal and not tracked.gone:
            self._asterisk.look_at(tracked.channel)
            if tracked.active is each.before:
                tracked.active = replace(each.before, wake=self._now() + RETRY)
            self._log.warning("not hung up yet", call_id=tracked.call_id, reason=refusal)
        if refusal:
            return
        # Asterisk has only told the channel, and one that is held up in an application may stand on. A call
        # that is not gone when even an unanswered BYE is over is judged, and hung up, anew.
        tracked.active = replace(each.before, wake=self._now() + SELF_ENDING)
        self._count_unanswered(tracked)
        self._metrics.expiries.labels(str(expired.reason), "hung up").inc()
        self._log.error(
            "session expired: hung up",
            call_id=tracked.call_id,
            channel=tracked.channel,
            reason=str(expired.reason),
        )

    async def _hung_up(self, each: PendingAction, expired: Expire, answer: RecordReply) -> str:
        """Hang up, if record and channel still are what the verdict stands on; else what is against it."""
        tracked = each.tracked
        if not self._evidence.is_evidence(answer):
            return why_not(answer)
        if isinstance(answer, Found) and self._evidence.news(tracked, answer.record) is not None:
            return "the record has changed"
        try:
            told = await self._asterisk.pipelined(refresh_actions.ask_dialog(tracked.channel))
            if record.key(*[value.text("value") for value in told]) != tracked.key:
                return "the channel has another call, or none"
            if tracked.gone or tracked.active is not each.before or not self._asterisk.ready:
                return "the call has moved on"
            *_, last = await self._asterisk.pipelined(
                refresh_actions.hang_up(tracked.channel, expired.reason)
            )
        except AmiError as error:
            return str(error)
        return "" if last.ok else last.reason or "Asterisk refused"

    def _report(self, tracked: TrackedCall, expired: Expire) -> None:
        self._count_unanswered(tracked)
        tracked.since = self._now()
        tracked.active = None
        self._metrics.expiries.labels(str(expired.reason), "reported").inc()
        self._log.error(
            "session expired; the profile says only to report it",
            call_id=tracked.call_id,
            reason=str(expired.reason),
        )

    def _count_unanswered(self, tracked: TrackedCall) -> None:
        attempt, tracked.attempt = tracked.attempt, None
        if attempt is not None:
            self._metrics.ended(attempt.method, RefreshOutcome.UNANSWERED)
