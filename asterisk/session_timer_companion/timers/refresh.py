"""Makes Asterisk send refreshes, and keeps apart what was sent and what was not.

If Asterisk did not send a refresh, the peer's silence means nothing. The session keeps its state and the
refresh is tried again. Nothing is sent through an edge that is known to be down, because Asterisk would end
the call for it. Where only its door is silent, that holds while there is time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from session_timer import session
from session_timer.session import Method, Send

from session_timer_companion.ami.client import AmiError, AmiRefused
from session_timer_companion.api import RefreshOutcome
from session_timer_companion.channels import refresh_actions
from session_timer_companion.channels.asterisk_channels import AsteriskChannels
from session_timer_companion.channels.refresh_actions import CannotRefresh
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.events.call_log import CallLog
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers import orders
from session_timer_companion.timers.orders import Breaker
from session_timer_companion.timers.tracked_call import (
    UNHINDERED,
    Attempt,
    Hindrance,
    PendingAction,
    TrackedCall,
)

DAY = 86_400.0
"""Seconds that it holds."""

MOST = 10_000
"""Peers of which something is remembered."""


class LearnedPeers:
    """By where a peer is (`Record.far`). Times are in seconds of the event loop's clock."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._until: OrderedDict[str, float] = OrderedDict()
        self._unasked: OrderedDict[str, float] = OrderedDict()
        self._now = asyncio.get_running_loop().time

    def left(self) -> dict[str, float]:
        """Each peer that swallows UPDATE, and for how many seconds more it gets re-INVITE."""
        now = self._now()
        return {far: until - now for far, until in self._until.items() if until > now}

    def swallows_update(self, far: str) -> bool:
        """Whether a refresh by UPDATE would not be answered from there."""
        return self._now() < self._until.get(far, 0.0)

    def ignores_unasked(self, far: str) -> bool:
        """Whether a peer there that has agreed to no session timer would not answer a refresh."""
        return self._now() < self._unasked.get(far, 0.0)

    def learn(self, far: str) -> bool:
        """An UPDATE timed out and a re-INVITE was answered. Returns whether that is news."""
        return self._keep(self._until, far)

    def learn_unasked(self, far: str) -> bool:
        """No form of a refresh was answered, and the peer's media flows. Returns whether that is news."""
        return self._keep(self._unasked, far)

    def _keep(self, table: OrderedDict[str, float], far: str) -> bool:
        if not far or not self._enabled:
            return False
        news = self._now() >= table.get(far, 0.0)
        table[far] = self._now() + DAY
        table.move_to_end(far)
        if len(table) > MOST:
            table.popitem(last=False)
        return news


OUTAGE = 300.0
"""Seconds past its last moment for which a refresh is held back while its edge is known to be down, or one
session interval where that is longer. The design bears an outage of five minutes. Without an end a mistake of
ours about an edge would keep every call without a refresh for ever."""

STALE = 0.5
"""Seconds after which what was seen of an edge is looked at again before anything is sent."""

GLARE = 491
"""What a peer answers that has a request of its own under way (RFC 3261 14.2)."""

_BY_UPDATE = (Method.UPDATE, Method.UPDATE_SDP)
_DIGITS = "PJSIP_DTMF_MODE()"


class _Prepared(NamedTuple):
    """A refresh that can be sent, and what Asterisk must be told for it."""

    each: PendingAction
    method: Method
    actions: list[refresh_actions.Action]


class RefreshSender:
    """Sends what sessions want sent, that of many calls in one go."""

    def __init__(  # noqa: PLR0913  # its surroundings, each by name
        self,
        channels: AsteriskChannels,
        *,
        breaker: Breaker,
        learned: LearnedPeers,
        metrics: Metrics,
        log: CallLog,
        look_at: Callable[[str], None],
        may_send: Callable[[TrackedCall], bool],
        is_down: Callable[[EdgeClient], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """`look_at` finds out, later, what became of a channel; `spawn` runs something in the background.

        `may_send` says whether a refresh may be sent for this call at the moment, `is_down` whether what is
        sent through an edge goes nowhere.
        """
        self.held: dict[EdgeClient, set[TrackedCall]] = {}
        """Calls whose refresh is held back because their edge is down."""
        self._channels = channels
        self._breaker = breaker
        self._learned = learned
        self._metrics = metrics
        self._log = log
        self._look_at = look_at
        self._may_send = may_send
        self._is_down = is_down
        self._spawn = spawn
        self._now = asyncio.get_running_loop().time
        self._digits: dict[TrackedCall, str] = {}
        """How digits were sent before a pair of orders that would change nothing was broken off."""

    async def send(self, tracked: TrackedCall, method: Method) -> Method:
        """Send one refresh now, whatever the scheduler says; returns its form.

        Raises AmiError or CannotRefresh.
        """
        actions, method = await self._actions(tracked, method)
        for reply in await self._channels.carry_out(actions):
            if not reply.ok:
                self._restore(tracked, actions)
                raise AmiRefused("Setvar", reply.reason)
        return method

    async def together(self, due: Sequence[PendingAction]) -> None:
        """Send the refreshes that are due."""
        now = self._now()
        ready = await self._prepared([each for each in due if self._is_to_be_sent(each, now)])
        if self._now() - now > STALE:  # Asterisk is slow, and an edge may have died meanwhile
            edges = {each.tracked.edge for each, _, _ in ready if each.tracked.edge is not None}
            await asyncio.gather(*[edge.look() for edge in edges])
        now = self._now()
        ready = [each for each in ready if not self._is_held(each.each, now)]
        if not ready:
            return
        try:
            actions = [action for each in ready for action in each.actions]
            replies = iter(await self._channels.carry_out(actions))
        except AmiError as error:
            for each, method, some in ready:
                self._restore(each.tracked, some)
                self._not_sent(each, method, str(error))
            return
        now = self._now()
        for each, method, some in ready:
            refusals = [reply.reason for _ in some if not (reply := next(replies)).ok]
            tracked = each.tracked
            if refusals:
                self._restore(tracked, some)
                self._breaker.refused(refusals[0], now)
                self._not_sent(each, method, refusals[0])
                continue
            self._breaker.carried_out()
            self.forget(tracked)
            tracked.hindrance = UNHINDERED
            # Where a refresh of the peer came in between, nobody waits for what came of ours.
            if tracked.active is not None and tracked.active.sent is not None:
                tracked.active = session.left_at(tracked.active, now)
                tracked.attempt = Attempt(method, now)
            # A line costs as much as the rest of a refresh: at level info its confirmation is enough.
            log = self._log.info if tracked.edge is None else self._log.debug
            log("refresh_sent", call=tracked, method=method.name)

    def forget(self, tracked: TrackedCall) -> None:
        """Nothing of this call is held back any more."""
        if tracked.edge is not None and tracked.edge in self.held:
            self.held[tracked.edge].discard(tracked)

    def _is_to_be_sent(self, each: PendingAction, now: float) -> bool:
        tracked, before = each.tracked, each.before
        if self._adopted(each):
            return False
        if not self._may_send(tracked):
            each.take_back(now)  # held back, or another companion leads, since it was decided
            return False
        if tracked.policy.observe:
            self._observed(each)
            return False
        if tracked.unasked and self._learned.ignores_unasked(tracked.far):
            tracked.since, tracked.active = now, None
            return False
        if self._is_held(each, now):
            return False
        if not self._breaker.admits(now):
            each.take_back(orders.next_try(8, now, before.latest))
            return False
        return True

    def _is_held(self, each: PendingAction, now: float) -> bool:
        """Whether this refresh is held back because its edge is away; if so, until when is noted."""
        tracked, latest = each.tracked, each.before.latest
        edge = tracked.edge
        if edge is None or edge.up is not False or latest is None:
            return False
        until = latest
        if now >= latest and self._is_down(edge):
            until = latest + max(each.before.interval, OUTAGE)
        if now >= until:
            return False
        each.take_back(until)
        self.held.setdefault(edge, set()).add(tracked)
        if tracked.hindrance.reason != edge.reason:
            tracked.hindrance = replace(tracked.hindrance, reason=edge.reason)
            self._log.info("refresh_held", call=tracked, edge=edge.name, reason=edge.reason)
        return True

    @staticmethod
    def _adopted(each: PendingAction) -> bool:
        """Where an operator's refresh is under way it is the one that was due, and no other follows it."""
        attempt, active = each.tracked.attempt, each.tracked.active
        if attempt is None or attempt.reported is None or active is None or active.sent is None:
            return False
        each.tracked.active = session.left_at(active, attempt.sent)
        return True

    def _observed(self, each: PendingAction) -> None:
        """Say what would have been done. What comes of a refresh that is not sent cannot be known."""
        tracked = each.tracked
        assert isinstance(each.action, Send)  # noqa: S101  # for the type checker
        self._log.info("would_refresh", call=tracked, method=each.action.method.name)
        tracked.since = self._now()
        tracked.active = None

    async def _prepared(self, due: Sequence[PendingAction]) -> list[_Prepared]:
        """What can be sent, and what Asterisk must be told for it."""
        for each in due:
            each.tracked.attempt = None  # whatever was sent before, it was not this
        methods = [self._method(each) for each in due]
        prepared = await asyncio.gather(
            *[self._actions(each.tracked, method) for each, method in zip(due, methods, strict=True)],
            return_exceptions=True,
        )
        ready: list[_Prepared] = []
        for each, wanted, outcome in zip(due, methods, prepared, strict=True):
            if isinstance(outcome, CannotRefresh | AmiError):
                self._not_sent(each, wanted, str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                actions, method = outcome
                ready.append(_Prepared(each, method, actions))
        return ready

    def _method(self, each: PendingAction) -> Method:
        """The form to send: by re-INVITE where the peer is known to swallow UPDATE."""
        assert isinstance(each.action, Send)  # noqa: S101  # for the type checker
        tracked = each.tracked
        if each.action.method not in _BY_UPDATE or not self._learned.swallows_update(tracked.far):
            return each.action.method
        if tracked.active is not None:
            failed = tuple(dict.fromkeys((*tracked.active.failed, *_BY_UPDATE)))
            tracked.active = replace(tracked.active, failed=failed)
        return Method.INVITE

    async def _actions(
        self, tracked: TrackedCall, method: Method
    ) -> tuple[list[refresh_actions.Action], Method]:
        """What Asterisk must be told, and the form that comes of it. Raises AmiError, or CannotRefresh."""
        if method is Method.UPDATE:
            number = ""
            connected = tracked.terms.connected
            if not connected:
                numbers = await self._channels.numbers(tracked.channel)
                connected = bool(numbers.connected)
                tracked.terms = replace(tracked.terms, connected=connected)
                number = "" if connected else numbers.to_set
            if connected or number:
                tag = refresh_actions.fresh_tag()
                return refresh_actions.by_connected_line(tracked.channel, tag, number), method
            # Without a number there is no connected line, and none is made up: a refresh with SDP will do.
            method = Method.UPDATE_SDP
        media = await self._channels.media(tracked.channel)
        media = replace(media, digits=self._digits.get(tracked, media.digits))
        if GLARE in tracked.current_session().refused:
            # Asterisk holds its own retry back for as long as we do, then finds that it would change nothing
            # and drops it, and with it every offer that was made meanwhile.
            return refresh_actions.by_repetition(tracked.channel, media), method
        actions = refresh_actions.with_sdp(tracked.channel, media, method, offers=self._channels.sends_offers)
        return actions, method

    def _not_sent(self, each: PendingAction, method: Method, reason: str) -> None:
        """Asterisk could not be told: try again, later each time. A reason that stays is logged once."""
        tracked = each.tracked
        known = tracked.hindrance.reason == reason
        tracked.hindrance = Hindrance(reason, tracked.hindrance.refusals + 1)
        each.take_back(orders.next_try(tracked.hindrance.refusals, self._now(), each.before.latest))
        if not known:
            self._look_at(tracked.channel)
        self._metrics.ended(tracked.peer, method, RefreshOutcome.NOT_SENT)
        log = self._log.debug if known else self._log.warning
        log("refresh_not_sent", call=tracked, method=method.name, reason=reason)

    def _restore(self, tracked: TrackedCall, actions: Sequence[refresh_actions.Action]) -> None:
        """Where the way to send digits may have been left in the middle of a change: set it right."""
        headers = actions[-1][1]
        if headers.get("Variable") == _DIGITS and tracked not in self._digits:
            self._digits[tracked] = headers["Value"]
            self._spawn(self._set_right(tracked, headers["Value"]))

    async def _set_right(self, tracked: TrackedCall, digits: str) -> None:
        refusals = 0
        try:
            while not tracked.gone:
                try:
                    (reply,) = await self._channels.carry_out(
                        refresh_actions.set_digits(tracked.channel, digits)
                    )
                    if reply.ok:
                        return
                except AmiError:
                    pass  # tried again below
                refusals += 1
                await asyncio.sleep(orders.next_try(refusals, 0.0, orders.LONGEST))
        finally:
            self._digits.pop(tracked, None)
