"""Decisions over any facts: what proxies may do to a request, what a 422 may cost, what a clock tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_timer import (
    LARGEST_INTERVAL,
    Agreement,
    DialogTimer,
    Policy,
    RefreshRequest,
    RefreshResponse,
    Role,
    SessionExpires,
    Side,
    minimum,
    proxy,
    uac,
    uas,
)
from session_timer.clock import ClockReading, learn_clock

SECONDS = st.sampled_from([90, 91, 120, 300, 600, 1800, 3600, LARGEST_INTERVAL])
ROLES = st.none() | st.sampled_from(Role)
REQUESTS = st.builds(
    RefreshRequest,
    method=st.sampled_from(["INVITE", "UPDATE"]),
    session_expires=st.none() | st.builds(SessionExpires.of, st.sampled_from([1, 50, 89]) | SECONDS, ROLES),
    min_se=st.none() | SECONDS,
    supports_timer=st.booleans(),
    requires_timer=st.booleans(),
    allows_update=st.none() | st.booleans(),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    min_se = draw(SECONDS)
    default = max(min_se, draw(SECONDS))
    return Policy(
        enabled=draw(st.booleans()),
        default_expires=default,
        min_se=min_se,
        max_expires=draw(st.none() | SECONDS.map(lambda longest: max(default, longest))),
        prefer_refresher=draw(st.sampled_from(Role)),
        request_timer=draw(st.booleans()),
        one_sided=draw(st.booleans()),
        raise_small_interval=draw(st.booleans()),
    )


def as_forwarded(request: RefreshRequest, change: proxy.Forward) -> RefreshRequest:
    return RefreshRequest(
        request.method,
        request.session_expires if change.session_expires is None else change.session_expires,
        request.min_se if change.min_se is None else change.min_se,
        request.supports_timer,
        request.requires_timer or change.require_timer,
        request.allows_update,
    )


@pytest.mark.requirement(
    *(f"PRX-8.1-{number:02}" for number in (3, 4, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17, 18, 19, 21)),
    "R422-6-01",
    "SEC-11-01",
)
@given(REQUESTS, st.lists(policies(), min_size=1, max_size=4))
def test_along_a_path_min_se_only_rises_and_the_interval_only_falls_but_to_min_se(
    request: RefreshRequest, path: list[Policy]
) -> None:
    for policy in path:
        decision = proxy.forward(request, policy)
        if isinstance(decision, minimum.Reject):
            assert (decision.code, decision.min_se) == (422, policy.min_se)
            assert request.supports_timer
            assert request.session_expires is not None
            assert request.session_expires.interval < policy.min_se
            return
        change, remembered = decision
        after = as_forwarded(request, change)
        assert (after.min_se or 0) >= (request.min_se or 0)
        if request.supports_timer:
            assert after.min_se == request.min_se
        before = request.session_expires
        if after.session_expires is None:
            assert before is None
        else:
            least = max(after.min_se or 0, 90)
            assert after.session_expires.refresher == (before.refresher if before else None)
            if before is None:
                assert after.session_expires.interval >= least
                assert after.session_expires.params == ()
            elif policy.enabled:
                assert after.session_expires.interval >= least
                assert after.session_expires.interval <= max(before.interval, least)
        assert remembered.uac_supports == request.supports_timer
        if policy.enabled:
            expires = after.session_expires
            assert remembered.interval == (expires.interval if expires else None)
        request = after


RESPONSES = st.builds(
    RefreshResponse,
    code=st.sampled_from([200, 202]),
    session_expires=st.none() | st.builds(SessionExpires.of, st.integers(1, 7200), ROLES),
    supports_timer=st.booleans(),
    requires_timer=st.booleans(),
)


@pytest.mark.requirement(
    "PRX-8.2-02", "PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "PRX-8.2-06", "PRX-8.2-11", "DEF-2-01"
)
@given(st.none() | SECONDS, st.booleans(), RESPONSES, st.sampled_from(Side))
def test_proxy_completes_a_2xx_only_for_a_uac_that_knows_timers_and_was_asked_for_one(
    interval: int | None,
    supports: bool,
    response: RefreshResponse,
    sender: Side,
) -> None:
    done = proxy.complete(proxy.Remembered(interval, supports), response, sender)
    assert done.require_timer == (done.session_expires is not None)
    if response.session_expires is not None:
        assert done.session_expires is None
        assert done.dialog.agreement is not None
        assert done.dialog.agreement.interval == response.session_expires.interval
    elif interval is not None and supports:
        assert done.session_expires == SessionExpires.of(interval, Role.UAC)
        assert done.dialog.agreement == Agreement(interval, sender)
    else:
        assert done.session_expires is None
        assert done.dialog.agreement is None


@pytest.mark.requirement(
    *(f"UAS-9-{number:02}" for number in (2, 3, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17)), "S61-8.2.4-01"
)
@given(REQUESTS, policies(), st.none() | st.builds(Agreement, SECONDS, st.sampled_from(Side)))
def test_a_2xx_of_ours_is_lawful_whatever_is_asked(
    request: RefreshRequest, policy: Policy, agreement: Agreement | None
) -> None:
    dialog = DialogTimer(agreement, peer_supports=True) if agreement else None
    asked = request.session_expires
    decision = uas.answer(request, policy, dialog)
    if isinstance(decision, minimum.Reject):
        if decision.code == 422:
            assert request.supports_timer
            assert asked is not None
            assert asked.interval < policy.min_se == decision.min_se
        else:
            assert (decision.code, policy.enabled) == (420, False)
        return
    shown = decision.session_expires
    if shown is None:
        assert not decision.require_timer
        return
    assert shown.interval >= 90
    assert decision.require_timer == request.supports_timer
    if asked is None:
        assert request.supports_timer
        assert shown.interval >= (request.min_se or 0)
    elif shown.interval > asked.interval:
        assert policy.raise_small_interval
        assert not request.supports_timer
    elif shown.interval < asked.interval:
        assert shown.interval >= (request.min_se or 0)
    if not request.supports_timer:
        assert shown.refresher is Role.UAS
    elif asked is not None and asked.refresher is not None:
        assert shown.refresher is asked.refresher
    assert shown.refresher is not None
    assert decision.dialog.agreement == Agreement(shown.interval, Side.of(shown.refresher, Side.REMOTE))


@pytest.mark.requirement("UAC-7.3-01", "REF-10-06", "UAC-7.4-09")
@given(policies(), st.lists(st.none() | st.integers(90, LARGEST_INTERVAL), min_size=10, max_size=10))
def test_422_loops_end_and_every_retry_asks_for_more(policy: Policy, told: list[int | None]) -> None:
    policy = replace(policy, enabled=True)
    min_se: int | None = None
    shown: list[int] = []
    for retries, next_told in enumerate(told):
        sent = uac.request(policy, None, min_se)
        assert sent.session_expires is None or sent.session_expires.interval >= (sent.min_se or 90)
        shown.append(sent.min_se or 0)
        min_se = uac.retry_with(RefreshResponse(422, min_se=next_told), sent, retries)
        if min_se is None:
            break
    assert min_se is None
    assert len(shown) <= 1 + uac.MOST_422_RETRIES
    assert shown == sorted(set(shown))


READINGS = st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(0.0, 3.0)), min_size=1, max_size=40)


def learned(readings: list[tuple[float, float]], offset: float, start: float) -> ClockReading | None:
    """What a reader knows after these readings, each some time after the one before and some time old."""
    known: ClockReading | None = None
    now = start
    for pause, age in readings:
        now += pause
        known = learn_clock(known, now - age + offset, now)
    return known


@given(READINGS, st.floats(-1e6, 1e6))
def test_a_clock_is_known_as_well_as_its_freshest_reading(
    readings: list[tuple[float, float]], offset: float
) -> None:
    known = learned(readings, offset, 1000.0)
    assert known is not None
    assert -1e-6 <= offset - known.offset <= max(age for _, age in readings) + 1e-6
    if sum(pause for pause, _ in readings) <= 60.0:
        assert offset - known.offset <= min(age for _, age in readings) + 1e-6


@given(READINGS, st.floats(-1e6, 1e6), st.lists(st.floats(0.5, 500.0), min_size=1, max_size=20))
def test_a_clock_that_stopped_keeps_its_offset(
    readings: list[tuple[float, float]], offset: float, pauses: list[float]
) -> None:
    before = learned(readings, offset, 1000.0)
    assert before is not None
    now = before.learned
    after: ClockReading | None = before
    for pause in pauses:
        now += pause
        after = learn_clock(after, before.reading, now)
    assert after == before


@given(READINGS, st.floats(-1e5, 1e5), st.integers(-(10**5), 10**5))
def test_what_the_readers_own_clock_shows_makes_no_difference(
    readings: list[tuple[float, float]], offset: float, shift: int
) -> None:
    here = learned(readings, offset, 1000.0)
    there = learned(readings, offset - shift, 1000.0 + shift)
    assert here is not None
    assert there is not None
    age_here = 1000.0 + here.offset
    age_there = 1000.0 + shift + there.offset
    assert age_here == pytest.approx(age_there, abs=1e-3)
