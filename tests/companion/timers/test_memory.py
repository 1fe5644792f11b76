"""What a tracked call costs: there may be 100,000. `make bench-companion` measures the whole process."""

from __future__ import annotations

import gc
import tracemalloc
import uuid

from session_timer import Agreement, DialogTimer, Policy, Side, record
from session_timer_companion.channels import calls
from session_timer_companion.events.call_log import History
from session_timer_companion.timers.scheduler import Scheduler
from session_timer_companion.timers.tracked_call import TrackedCall, shared, terms

CALLS = 2_000
MOST = 630
"""Bytes, as Python counts them; what its allocator and the C library round up comes on top."""


async def test_a_call_costs_little_ids_numbers_and_history_included() -> None:
    scheduler = Scheduler(lambda _calls, _lag: None, lambda _error: None)
    history = History(events=24, ended=1)
    by_key: dict[str, TrackedCall] = {}
    by_channel: dict[str, TrackedCall] = {}
    policy = Policy()
    for warm in (True, False):  # what all calls share is there before
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1 if warm else CALLS):
            key = record.key(str(uuid.uuid4()), str(uuid.uuid4()), uuid.uuid4().hex[:16])
            it = TrackedCall(
                channel=f"PJSIP/carrier-{number:08x}",
                key=key,
                terms=terms(None, policy, "carrier"),
                dialog=shared(DialogTimer(Agreement(1800, Side.LOCAL), peer_allows_update=True)),
                since=1_000.0 + number / 7,
                refreshes=4,
                numbers_utf8=calls.both(f"+49301{number:07}", "+49891234567"),
            )
            it.history = history.add(it.history, it.since, "armed", {"interval": 1800})
            for refresh in range(4):
                at = it.since + 900.0 * refresh
                it.history = history.add(it.history, at, "refresh_sent", {"method": "UPDATE"})
                it.history = history.add(it.history, at, "refresh_confirmed", {"method": "UPDATE"})
            scheduler.put(it, 2_000.0 + number * 18.0 / CALLS)
            by_key[key] = by_channel[it.channel] = it
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (after - before) / CALLS < MOST
