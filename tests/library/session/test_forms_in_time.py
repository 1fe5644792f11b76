"""How many forms of a refresh time out before a call is hung up: as many as fit, and never one alone."""

from __future__ import annotations

import pytest
from session_timer import Agreement, DialogTimer, Policy, Side, session
from session_timer.session import Ask, Expire, Send

from tests.library.session.sessions import begun, woken


@pytest.mark.requirement("REF-10-04", "D-02")
@pytest.mark.parametrize(
    ("interval", "side", "forms"),
    [
        *((12, Side.LOCAL, 2), (12, Side.REMOTE, 2)),
        *((30, Side.LOCAL, 3), (30, Side.REMOTE, 2)),
        *((90, Side.LOCAL, 3), (90, Side.REMOTE, 2)),
        *((1800, Side.LOCAL, 4), (1800, Side.REMOTE, 2)),
    ],
)
def test_a_third_refresh_of_ours_follows_where_it_is_over_before_the_interval(
    interval: int, side: Side, forms: int
) -> None:
    """Where a fifth of the packets is lost, two forms may be lost by chance; a driver may be late."""
    policy = Policy(floor=min(interval, 90))
    held, action, now = woken(begun(DialogTimer(Agreement(interval, side), peer_allows_update=True), policy))
    if side is Side.REMOTE:
        held, action = session.silent(held, now)
    sent, late = 0, min(0.5, interval / 120)
    while isinstance(action, Send):
        sent += 1
        held, action, now = woken(held)
        assert action == Ask()
        held, action = session.timed_out(held, now + late)
        if action is None:
            held, action, now = woken(held)
    assert isinstance(action, Expire)
    assert sent == forms
    assert now + late < interval


@pytest.mark.requirement("REF-10-04", "D-01", "D-02")
@pytest.mark.parametrize("interval", [12, 30, 90, 1800])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("away", [10.0, 500.0])
def test_a_refresh_that_our_side_held_back_is_judged_after_two_forms_all_the_same(
    interval: int, side: Side, away: float
) -> None:
    """A companion that was away when it was due: one form alone may be lost by chance.

    A dead peer's call goes on for no longer than the refresh was held back.
    """
    policy = Policy(floor=min(interval, 90))
    held = begun(DialogTimer(Agreement(interval, side), peer_allows_update=True), policy)
    assert held.wake is not None
    now = held.wake + away
    held, action = session.due(held, now)
    if action == Ask():
        held, action = session.silent(held, now)
    sent = 0
    while isinstance(action, Send):
        sent += 1
        held, action, now = woken(held)
        held, action = session.timed_out(held, now)
        if action is None:
            held, action, now = woken(held)
    assert isinstance(action, Expire)
    assert sent >= 2
    assert now <= interval + away
