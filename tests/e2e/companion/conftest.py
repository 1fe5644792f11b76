"""What one module's faults have taught the companion of a peer is no part of the next module."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.killed_parts import kill, start
from tests.lab.peers.refreshed_calls import BY_REINVITE, BY_THEM, BY_UPDATE
from tests.lab.stack import Stack

LEARNED = ("event=update_swallowed", "event=unasked_ignored")
"""It holds for a day: on a busy machine a late answer is enough, and every later UPDATE is a re-INVITE."""


@pytest.fixture(autouse=True, scope="module")
def nothing_learned_of_the_peers(stack: Stack, companion: Companion) -> Iterator[None]:
    """Where the companion has learned something of the lab's usual peers it starts anew after the module."""
    begun = datetime.now(UTC).isoformat()
    yield
    usual = [f" far={stack.address(host)} " for host in (BY_UPDATE, BY_REINVITE, BY_THEM)]
    written = stack.log_lines("companion", since=begun)
    if any(event in line and peer in line for line in written for event in LEARNED for peer in usual):
        kill(stack, "companion")
        start(stack, "companion")
        companion.ready()
