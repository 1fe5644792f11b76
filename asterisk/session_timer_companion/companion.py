"""All the parts of one running companion, and how they start and stop together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Collection

import structlog

from session_timer_companion.ami.client import AmiLoginError, AmiUnavailable
from session_timer_companion.config import Configuration
from session_timer_companion.control.actions import OperatorActions
from session_timer_companion.control.operator import Operator
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.door import Door
from session_timer_companion.edge.host import Host
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.events.call_log import History
from session_timer_companion.events.hooks import Hooks
from session_timer_companion.metrics import Metrics
from session_timer_companion.timers.brake import MINUTE, HangUpBrake
from session_timer_companion.timers.expiry import HangUpRules
from session_timer_companion.tracking.edge_changes import ChangesReader
from session_timer_companion.tracking.leadership import Leadership
from session_timer_companion.tracking.tracker import CallTracker

HAND_OVER = 0.5
"""Seconds that a stop takes at most to give the lead up."""


class StartError(Exception):
    """The companion cannot start as it is configured: the reason, for a person.

    `for_good`: another start would fail as well, until somebody changes a setting.
    """

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Companion:
    """All the parts of one running companion."""

    def __init__(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self.configuration = configuration
        self.metrics = Metrics()
        self.metrics.know(peer.name for peer in configuration.shared.peers)
        kept = settings.history
        self.operator = Operator(History(kept.events, kept.ended), Hooks(settings.hooks))
        self.edges = EdgePool(edge_clients(configuration))
        self.brake = HangUpBrake(
            lambda: self.configuration.settings.brake.allowed(
                sum(len(each.by_key) for each in self.trackers)
            ),
            self._refreshed,
            self.metrics,
            structlog.get_logger(__name__),
        )
        rules = HangUpRules(self.brake, settings.cdr_field)
        self.trackers = [
            CallTracker(
                account,
                config=configuration.shared,
                key=configuration.key,
                edges=self.edges,
                pace=settings.pace,
                rules=rules,
                learn_peers=settings.learn_peers,
                metrics=self.metrics,
                operator=self.operator,
            )
            for account in settings.ami
        ]
        self.actions = OperatorActions(self.trackers, self.operator.holds, rules, self.metrics)
        self.leadership = Leadership(
            self.edges,
            lambda: self.trackers,
            by=own_name(configuration),
            interval=settings.poll_interval,
            metrics=self.metrics,
        )
        self.changes = ChangesReader(
            self.edges,
            lambda: self.trackers,
            leadership=self.leadership,
            digest=lambda: self.configuration.shared.digest(),  # noqa: PLW0108  # it may be reloaded
            metrics=self.metrics,
            interval=settings.poll_interval,
        )
        for tracker in self.trackers:
            self.metrics.leading.labels(tracker.name).set(1)

    @property
    def calls(self) -> int:
        """How many calls are tracked."""
        return sum(len(tracker.by_key) for tracker in self.trackers)

    @property
    def ready(self) -> bool:
        return all(tracker.ready for tracker in self.trackers)

    async def connect(self) -> None:
        """Log in to all Asterisks at once; one that does not answer or refuses us is tried again for ever.

        Raises `StartError` if every one of them refuses us.
        """
        # Clocks first: without them a record that is found at the start tells no age.
        await self.changes.read_all()
        refusals = await asyncio.gather(*[_refusal(tracker) for tracker in self.trackers])
        if all(refusals):
            raise StartError("\n".join(str(refusal) for refusal in refusals), for_good=True)

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait until every call of every Asterisk is tracked, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for tracker in self.trackers:
                    await tracker.in_sync.wait()

    def reload(self, configuration: Configuration) -> None:
        """Hold calls that come from now on to new profiles; running timers go on as they are."""
        self.configuration = configuration
        self.metrics.know(peer.name for peer in configuration.shared.peers)
        for tracker in self.trackers:
            tracker.config = configuration.shared

    def alive(self) -> bool:
        """Whether each connection that is up has heard from its Asterisk lately."""
        now = asyncio.get_running_loop().time()
        for tracker in self.trackers:
            account = tracker.ami.account
            answered = tracker.ami.answered_at
            if answered is not None and now - answered > 2 * (account.ping_interval + account.ping_timeout):
                return False
        return True

    def standing(self) -> str:
        """How it stands, in one line."""
        calls = self.calls
        away = ", ".join(tracker.name for tracker in self.trackers if not tracker.ready)
        told = f"{calls} call{'s' * (calls != 1)} tracked"
        if self.operator.holds.paused:
            told += "; paused by an operator"
        if self.brake.on:
            told += "; the brake is on, no call is hung up"
        elif self.brake.peers:
            told += f"; the brake is on for calls with {', '.join(self.brake.peers)}"
        if not all(tracker.driver.leading for tracker in self.trackers):
            told += "; standing by"
        return f"{told}; waiting for Asterisk {away}" if away else told

    def _refreshed(self, apart_from: Collection[str]) -> int:
        """How many calls with other peers than these have been refreshed within the last minute."""
        since = asyncio.get_running_loop().time() - MINUTE
        return sum(
            tracked.refreshes > 0 and tracked.since > since and tracked.far not in apart_from
            for tracker in self.trackers
            for tracked in tracker.by_key.values()
        )

    async def aclose(self) -> None:
        await self.changes.aclose()
        # An edge that is away is not waited for: the lead ends by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER):
                await self.leadership.give_up()
        for tracker in self.trackers:
            await tracker.aclose()
        await self.edges.close()
        await self.operator.hooks.aclose()


def edge_clients(configuration: Configuration) -> list[EdgeClient]:
    """The edges of a configuration."""
    key, wait = configuration.key, configuration.settings.door_timeout
    if key is None:
        return []
    return [
        EdgeClient(place.name, Door(place.door, key, wait, place.ca_file), place.stand_ins, Host(place.door))
        for place in configuration.edges
    ]


def own_name(configuration: Configuration) -> str:
    """What this companion calls itself to the edges: the same after a restart, and no other's name."""
    http = configuration.settings.http
    return f"{socket.gethostname()}:{http.port if http.enabled else os.getpid()}"


async def _refusal(tracker: CallTracker) -> AmiLoginError | None:
    """Log in to one Asterisk, or go on trying; why it refuses us, if it does."""
    try:
        await tracker.ami.connect()
    except AmiLoginError as error:
        tracker.ami.start()
        return error
    except AmiUnavailable:
        tracker.ami.start()
    return None
