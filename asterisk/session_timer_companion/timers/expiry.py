"""The end of a call whose session has expired: a last look, then the hang-up, with a reason that shows.

Since the verdict other calls had their turn. So the record must still show what the verdict stands on, the
channel must still have this call, no media of the peer may have come meanwhile, and the brake must be off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from session_timer import Outcome
from session_timer.session import SELF_ENDING, Expire, Reason

from session_timer_companion.ami.client import AmiError
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.control.operator import Holds
from session_timer_companion.edge.replies import Found, RecordReply, Shown
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import GENERAL, Metrics
from session_timer_companion.timers import orders
from session_timer_companion.timers.brake import HangUpBrake
from session_timer_companion.timers.evidence import Evidence, why_not
from session_timer_companion.timers.tracked_call import UNHINDERED, Hindrance, PendingAction, TrackedCall

MEDIA_GAP = 2.0
"""Seconds between two counts of the peer's RTP packets, at least."""

MEDIA_OLD = 120.0
"""Seconds after which a count is too old to be compared with."""

FLOWING = 3
"""Packets between two counts from which on media flows: one may be a keepalive."""

BRAKED = 30.0
"""Seconds after which a call is looked at again that the brake has kept."""


@dataclass(frozen=True, slots=True)
class HangUpRules:
    """What holds for all hang-ups."""

    brake: HangUpBrake
    cdr_field: str
    """The CDR variable that gets the reason; empty: none."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """A call that was to be hung up is not, for now."""

    reason: str
    wait: float | None = None
    """Seconds until it is looked at again; None: longer each time, and its channel is looked at too."""


class Ended(Enum):
    """What was done with a call whose session has expired."""

    HUNG_UP = auto()
    KEPT_FOR_MEDIA = auto()


class Expiry:
    """Hangs up, or reports, what sessions say is over."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        channels: AsteriskChannels,
        rules: HangUpRules,
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
        self._rules = rules
        self._records = records
        self._evidence = evidence
        self._metrics = metrics
        self._log = log
        self._look_at = look_at
        self._ready = ready
        self._holds = holds
        self._now = asyncio.get_running_loop().time
        self._packets: dict[TrackedCall, tuple[int, float]] = {}
        """How many RTP packets a peer had sent, and when that was read."""

    async def together(self, due: Sequence[tuple[PendingAction, Expire]]) -> None:
        """End what has expired, each call with its action, if a last look shows nothing new."""
        hang_up: list[tuple[PendingAction, Expire]] = []
        for each, expired in due:
            if each.tracked.active is not each.before:
                continue  # a refresh was seen since
            if expired.hang_up:
                hang_up.append((each, expired))
            else:
                self._report(each.tracked, expired)
        replies = await self._records([each.tracked for each, _ in hang_up])
        ends = [
            self._end(each, expired, reply) for (each, expired), reply in zip(hang_up, replies, strict=True)
        ]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def count_media(self, tracked_calls: Iterable[TrackedCall]) -> None:
        """Count what peers have sent so far, so that a verdict that may follow need not wait for it."""
        wanted = [tracked for tracked in tracked_calls if tracked.policy.media_is_evidence]
        await asyncio.gather(*[self._count(tracked) for tracked in wanted], return_exceptions=True)

    def forget(self, tracked: TrackedCall) -> None:
        """The call is over."""
        self._packets.pop(tracked, None)

    async def _end(self, each: PendingAction, expired: Expire, reply: RecordReply) -> None:
        tracked = each.tracked
        outcome = await self._tried(each, expired, reply)
        if isinstance(outcome, PutOff):
            self._put_off(each, outcome)
        elif outcome is Ended.KEPT_FOR_MEDIA:
            self._keep(tracked, expired)
        else:
            self._hung_up(each, expired)

    def _put_off(self, each: PendingAction, outcome: PutOff) -> None:
        """Look again later, unless the call has moved on meanwhile. The same reason is logged once."""
        tracked, known = each.tracked, each.tracked.hindrance
        if tracked.gone or tracked.active is not each.before:
            return
        now, refusals = self._now(), known.refusals
        if outcome.wait is None:
            refusals += 1
            wake = orders.next_try(refusals, now, None)
            self._look_at(tracked.channel)
        else:
            wake = now + outcome.wait
        tracked.active = replace(each.before, wake=wake)
        if tracked.attempt is not None:
            tracked.attempt.judged = True
        tracked.hindrance = Hindrance(outcome.reason, refusals)
        log = self._log.debug if known.reason == outcome.reason else self._log.warning
        log("hangup_put_off", call=tracked, reason=outcome.reason)

    def _hung_up(self, each: PendingAction, expired: Expire) -> None:
        """Asterisk has carried it out."""
        tracked = each.tracked
        if tracked.active is each.before:
            # It has only told the channel, and one that is held up in an application may stand on. A call
            # that is not gone when even an unanswered BYE is over is judged, and hung up, anew.
            tracked.active = replace(each.before, wake=self._now() + SELF_ENDING)
            tracked.hindrance = UNHINDERED
        self._evidence.close_attempt(tracked, RefreshOutcome.UNANSWERED, "the call was hung up for it")
        self._ended(tracked, expired, "hung_up")
        self._log.error(
            "hung_up",
            call=tracked,
            channel=tracked.channel,
            peer=tracked.peer or None,
            reason=str(expired.reason),
            because=expired.reason.text,
        )

    async def _tried(self, each: PendingAction, expired: Expire, reply: RecordReply) -> PutOff | Ended:
        """Hang up, if everything still is what the verdict stands on."""
        tracked = each.tracked
        reason = self._not_shown(each, expired, reply)
        if reason:
            return PutOff(reason)
        try:
            if tracked.policy.media_is_evidence and expired.reason is not Reason.REFUSED:
                flowing = await self._flowing(tracked)
                if flowing is None:
                    return PutOff("whether media of the peer comes is being counted", MEDIA_GAP)
                if flowing:
                    return Ended.KEPT_FOR_MEDIA
            if not await self._channels.has_dialog(tracked.channel, tracked.key):
                return PutOff("the channel has another call, or none")
            if tracked.gone or tracked.active is not each.before or not self._ready():
                return PutOff("the call has moved on")
            if held := self._holds.why(tracked.key):
                return PutOff(held, BRAKED)
            if braked := self._rules.brake.stops(self._now(), tracked.far):
                return PutOff(braked, BRAKED)
            hang_up = refresh_actions.hang_up(tracked.channel, expired.reason, self._rules.cdr_field)
            *_, last = await self._channels.carry_out(hang_up)
        except AmiError as error:
            return PutOff(str(error))
        if last.ok:
            return Ended.HUNG_UP
        self._rules.brake.not_done()
        return PutOff(last.reason or "Asterisk refused")

    def _not_shown(self, each: PendingAction, expired: Expire, reply: RecordReply) -> str:
        """Why the record does not show any more what the verdict stands on; empty if it does."""
        tracked = each.tracked
        if not isinstance(reply, Shown) or not self._evidence.is_evidence(reply):
            return why_not(reply)
        if isinstance(reply, Found) and self._evidence.news(tracked, reply) is not None:
            return "the record has changed"
        if expired.reason is Reason.REFUSED:
            ours = reply.record.ours
            return "" if ours is not None and ours.outcome is Outcome.REFUSED else "the record has changed"
        seen = self._evidence.seen(tracked, reply)
        if seen is None:
            return "no refresh of ours is under way"
        return "" if seen.what.ends_a_call else why_not(reply, seen)

    async def _flowing(self, tracked: TrackedCall) -> bool | None:
        """Whether media of the peer comes; None: that shows in a moment. Raises AmiError."""
        before = self._packets.get(tracked)
        now = self._now()
        if before is not None and now - before[1] < MEDIA_GAP:
            return None
        after = await self._count(tracked)
        fresh = before is not None and now - before[1] <= MEDIA_OLD
        if after is None:
            # Asterisk sees none: it may flow directly, or there is none. Yet where it has counted a moment
            # ago, it cannot say, and that shows nothing.
            return None if fresh else False
        if before is None or not fresh:
            return None
        # A count that went back began anew, as with another source: all of it has come since.
        return after - (before[0] if after >= before[0] else 0) >= FLOWING

    async def _count(self, tracked: TrackedCall) -> int | None:
        count = await self._channels.received_packets(tracked.channel)
        if count is not None and not tracked.gone:
            self._packets[tracked] = (count, self._now())
        return count

    def _keep(self, tracked: TrackedCall, expired: Expire) -> None:
        """Signalling is silent and media flows: somebody is talking. The interval begins anew."""
        self._evidence.close_attempt(tracked, RefreshOutcome.UNANSWERED, "media of the peer flows")
        self._evidence.learn_unasked(tracked)
        self._begin_anew(tracked)
        self._ended(tracked, expired, "media_flows")
        self._log.warning("kept_for_media", call=tracked, reason=str(expired.reason))

    def _report(self, tracked: TrackedCall, expired: Expire) -> None:
        self._evidence.close_attempt(tracked, RefreshOutcome.UNANSWERED, "the session expired")
        self._begin_anew(tracked)
        self._ended(tracked, expired, "reported")
        self._log.error(
            "expiry_reported",
            call=tracked,
            reason=str(expired.reason),
            because=expired.reason.text,
        )

    def _begin_anew(self, tracked: TrackedCall) -> None:
        tracked.since = self._now()
        tracked.active = None
        tracked.hindrance = UNHINDERED

    def _ended(self, tracked: TrackedCall, expired: Expire, action: str) -> None:
        self._packets.pop(tracked, None)
        self._metrics.expiries.labels(tracked.peer or GENERAL, str(expired.reason), action).inc()
