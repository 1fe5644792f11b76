"""The numbers of RFC 4028 sections 7.2, 9 and 10: when to refresh, when to give up."""

from __future__ import annotations

import pytest
from session_timer import Agreement, DialogTimer, Policy, Side, session
from session_timer.session.transitions import State

HALF_AND_DEADLINE = [
    (90, 45.0, 60.0),
    (96, 48.0, 64.0),
    (120, 60.0, 88.0),
    (127, 63.5, 95.0),
    (128, 64.0, 96.0),
    (180, 90.0, 148.0),
    (300, 150.0, 268.0),
    (600, 300.0, 568.0),
    (1800, 900.0, 1768.0),
    (3600, 1800.0, 3568.0),
    (4000, 2000.0, 3968.0),
    (86400, 43200.0, 86368.0),
]
BASE = 1_000_000.25


def held(
    interval: int, refresher: Side, policy: Policy | None = None, *, spread: float = 0.0
) -> session.Session:
    return session.begin(DialogTimer(Agreement(interval, refresher)), BASE, policy or Policy(), spread=spread)


@pytest.mark.requirement("UAC-7.2-14", "UAC-7.2-15", "UAC-7.2-16", "UAS-9-20", "UAS-9-21", "UAS-9-22")
@pytest.mark.parametrize(("interval", "half", "_deadline"), HALF_AND_DEADLINE)
def test_the_refresher_refreshes_at_half_the_interval(interval: int, half: float, _deadline: float) -> None:
    ours = held(interval, Side.LOCAL)
    assert ours.wake == BASE + half
    early, nothing = session.due(ours, BASE + half - 0.001)
    assert (early, nothing) == (ours, None)
    sent, action = session.due(ours, BASE + half)
    assert action == session.Send(session.Method.INVITE)
    assert sent.state is State.REFRESHING


@pytest.mark.requirement("REF-10-07", "REF-10-08", "EX-13-07", "D-06")
@pytest.mark.parametrize(("interval", "_half", "deadline"), HALF_AND_DEADLINE)
def test_without_a_probe_a_silent_peer_is_reported_at_the_deadline(
    interval: int, _half: float, deadline: float
) -> None:
    theirs = held(interval, Side.REMOTE, Policy(probe=False))
    assert theirs.wake == theirs.deadline == BASE + deadline
    asking, action = session.due(theirs, BASE + deadline)
    assert action == session.Ask()
    over, action = session.silent(asking, BASE + deadline)
    assert action == session.Expire(session.Reason.SILENT, hang_up=False)
    assert over.state is State.OVER


@pytest.mark.requirement("REF-10-07", "REF-10-08")
@pytest.mark.parametrize(("interval", "half", "_deadline"), HALF_AND_DEADLINE)
def test_the_probe_comes_after_the_peers_refresh_is_late_and_its_forms_end_with_the_interval(
    interval: int, half: float, _deadline: float
) -> None:
    theirs = held(interval, Side.REMOTE)
    assert theirs.wake is not None
    assert BASE + half < theirs.wake
    asking, _ = session.due(theirs, theirs.wake)
    probing, action = session.silent(asking, theirs.wake)
    assert isinstance(action, session.Send)
    assert probing.latest is not None
    assert theirs.wake <= probing.latest + 2.0


@pytest.mark.parametrize(("interval", "half", "_deadline"), HALF_AND_DEADLINE)
@pytest.mark.parametrize("spread", [0.0, 0.25, 0.999])
def test_calls_that_began_together_refresh_up_to_a_tenth_early(
    interval: int, half: float, _deadline: float, spread: float
) -> None:
    wake = held(interval, Side.LOCAL, spread=spread).wake
    assert wake is not None
    assert wake - BASE == pytest.approx(half * (1 - 0.1 * spread))


@pytest.mark.requirement("REF-10-08")
@pytest.mark.parametrize(
    ("guard", "interval", "seconds"),
    [
        (None, 1800, 32.0),
        (None, 90, 30.0),
        (1, 1800, 1.0),
        (100, 1800, 100.0),
        (900, 1800, 600.0),
        (40, 90, 30.0),
    ],
)
def test_the_guard_is_policy_up_to_a_third_of_the_interval(
    guard: int | None, interval: int, seconds: float
) -> None:
    assert Policy(expiry_guard=guard).guard(interval) == seconds
    assert held(interval, Side.REMOTE, Policy(expiry_guard=guard)).deadline == BASE + interval - seconds


@pytest.mark.requirement("SE-4-07", "UAC-7.2-09", "UAS-9-19")
def test_without_an_agreement_nothing_is_ever_due() -> None:
    off = session.begin(DialogTimer(peer_supports=True), BASE, Policy())
    assert (off.state, off.wake, off.deadline, off.interval) == (State.OFF, None, None, 0.0)
    assert session.due(off, BASE + 10**9) == (off, None)


@pytest.mark.requirement("SE-4-05")
def test_the_largest_interval_is_no_special_case() -> None:
    ours = held(2**32 - 1, Side.LOCAL)
    assert ours.wake == BASE + (2**32 - 1) / 2
    assert ours.deadline == BASE + 2**32 - 1 - 32


@pytest.mark.requirement("SEC-11-02", "G-12", "SE-4-03")
@pytest.mark.parametrize(("interval", "wake"), [(60, 30.0), (30, 15.0), (10, 15.0), (1, 15.0)])
def test_below_90_seconds_we_refresh_each_15_seconds_at_most_and_give_nobody_up_for_it(
    interval: int, wake: float
) -> None:
    ours, theirs = held(interval, Side.LOCAL), held(interval, Side.REMOTE)
    assert ours.wake == BASE + wake
    assert ours.deadline == theirs.deadline == BASE + 60
    assert theirs.wake is not None
    assert theirs.wake > BASE + wake


@pytest.mark.requirement("SE-4-03")
def test_a_lab_gives_up_as_early_as_its_floor_says() -> None:
    assert held(6, Side.REMOTE, Policy(floor=4)).deadline == BASE + 4
