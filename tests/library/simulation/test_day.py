"""A day of two ends under a random schedule: no exception, and no call that lives is ended."""

from __future__ import annotations

from random import Random

import pytest
from session_timer import Policy, Role, session

from tests.library.simulation.user_agents import Pair, UserAgent

DAY = 24 * 3600.0
SCHEDULES = 10
LONGEST_CUT = 8.0
"""Seconds without a wire; what is repeated still gets through."""


def restart(end: UserAgent) -> None:
    """The timer begins anew from what is on record, as after a restart of the companion."""
    held = end.session
    assert held is not None
    assert end.dialog is not None
    if held.sent is None:
        end.session = session.begin(end.dialog, held.since, end.policy)


def drawn(draw: Random) -> Policy:
    interval = draw.choice([180, 300, 600, 1800])
    return Policy(
        default_expires=interval,
        prefer_refresher=draw.choice(list(Role)),
        use_update=draw.random() < 0.7,
        request_timer=draw.random() < 0.8,
        probe=draw.random() < 0.8,
    )


@pytest.mark.requirement("UAC-7.2-15", "UAC-7.2-17", "UAS-9-21", "REF-10-07")
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_call_lives_through_a_day(seed: int) -> None:
    draw = Random(seed)  # noqa: S311 - repeatable on purpose
    path = drawn(draw) if draw.random() < 0.3 else None
    pair = Pair(drawn(draw), drawn(draw), path=path, seed=seed)
    for end in pair.ends:
        end.allows_update = draw.random() < 0.8
    assert pair.call()
    happened = dict.fromkeys(("refresh", "both", "restart", "cut", "wire", "blind"), 0)
    while pair.clock.now < DAY:
        pair.run(draw.expovariate(1 / 120))
        what = draw.choice(list(happened))
        happened[what] += 1
        end = draw.choice(pair.ends)
        method = draw.choice(["INVITE", "UPDATE"])
        match what:
            case "refresh":
                end.refresh(method)
            case "both":
                for one in pair.ends:
                    one.refresh(method)
            case "restart":
                restart(end)
            case "cut":
                pair.wire.cut = True
                pair.run(draw.uniform(0.1, LONGEST_CUT))
                pair.wire.cut = False
            case "wire":
                pair.wire.lost_copies = draw.choice([0, 0, 1])
                pair.wire.delay = (0.0, draw.uniform(0.0, 0.2))
            case "blind":
                end.blind = not end.blind
        for one in pair.ends:
            assert not one.ended, (one.name, one.ended, pair.clock.now, happened)
            assert one.expired is None, (one.name, one.expired, pair.clock.now, happened)
    assert all(happened.values())
    interval = pair.caller.interval or pair.callee.interval
    refreshes = [message for _, message in pair.wire.log if message.code == 200]
    assert interval is None or len(refreshes) > DAY / interval
