"""All the parts of one running companion, and how they start and stop together."""

from __future__ import annotations

import asyncio
import contextlib

from session_timer_companion.ami.client import AmiLoginError, AmiUnavailable
from session_timer_companion.config import Configuration
from session_timer_companion.edge.clocks import Clocks
from session_timer_companion.edge.pool import Edges
from session_timer_companion.metrics import Measures
from session_timer_companion.tracking.edge_changes import ChangesReader
from session_timer_companion.tracking.tracker import Keeper


class StartError(Exception):
    """The companion cannot start as it is configured: the reason, for a person."""


class Companion:
    """All the parts of one running companion."""

    def __init__(self, configuration: Configuration) -> None:
        settings = configuration.settings
        self.configuration = configuration
        self.measures = Measures()
        self.clocks = Clocks()
        self.edges = Edges(configuration.shared.edge.rpc, settings.rpc_timeout, self.clocks)
        self.keepers = [
            Keeper(
                account,
                config=configuration.shared,
                alone=server.alone,
                edges=self.edges,
                clocks=self.clocks,
                measures=self.measures,
            )
            for account, server in zip(configuration.accounts, settings.ami, strict=True)
        ]
        self.changes = ChangesReader(
            self.edges, self.clocks, lambda: self.keepers, self.measures, settings.poll_interval
        )

    @property
    def ready(self) -> bool:
        return all(keeper.ready for keeper in self.keepers)

    async def connect(self) -> None:
        """Log in to all Asterisks at once; one that does not answer or refuses us is tried again for ever.

        Raises `StartError` if every one of them refuses us.
        """
        # Clocks first: without them a record that is found at the start tells no age.
        await self.changes.read_all()
        refusals = await asyncio.gather(*[_refusal(keeper) for keeper in self.keepers])
        if all(refusals):
            raise StartError("\n".join(str(refusal) for refusal in refusals))

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait until every call of every Asterisk is under watch, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for keeper in self.keepers:
                    await keeper.in_step.wait()

    def reload(self, configuration: Configuration) -> None:
        """Hold calls that come from now on to new profiles; running timers go on as they are."""
        self.configuration = configuration
        for keeper in self.keepers:
            keeper.config = configuration.shared

    def alive(self) -> bool:
        """Whether each connection that is up has heard from its Asterisk lately."""
        now = asyncio.get_running_loop().time()
        for keeper in self.keepers:
            account = keeper.ami.account
            answered = keeper.ami.answered_at
            if answered is not None and now - answered > 2 * (account.ping_interval + account.ping_timeout):
                return False
        return True

    def standing(self) -> str:
        """How it stands, in one line."""
        calls = sum(len(keeper.by_key) for keeper in self.keepers)
        away = ", ".join(keeper.name for keeper in self.keepers if not keeper.ready)
        told = f"{calls} call{'s' * (calls != 1)} under watch"
        return f"{told}; waiting for Asterisk {away}" if away else told

    async def aclose(self) -> None:
        await self.changes.aclose()
        for keeper in self.keepers:
            await keeper.aclose()
        self.edges.close()


async def _refusal(keeper: Keeper) -> AmiLoginError | None:
    """Log in to one Asterisk, or go on trying; why it refuses us, if it does."""
    try:
        await keeper.ami.connect()
    except AmiLoginError as error:
        keeper.ami.start()
        return error
    except AmiUnavailable:
        keeper.ami.start()
    return None
