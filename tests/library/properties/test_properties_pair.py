"""Two user agents of ours under any sequence of events: what must hold whatever happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from session_timer import ABSOLUTE_MINIMUM, ExpiryAction, Policy, Role, SessionExpires, parse_min_se

from tests.library.simulation.user_agents import Pair, UserAgent
from tests.library.simulation.wire import Message

LONG_INTERVALS = [180, 300, 600, 1800]
INTERVALS = [90, 91, 96, 120, 127, 128, *LONG_INTERVALS]
GRACE = 17.0
"""Seconds a last form that left late has beyond the interval, and a message its way."""


@st.composite
def policies(draw: st.DrawFn, *, reports: bool = True, intervals: Sequence[int] = INTERVALS) -> Policy:
    """Any settings that the configuration accepts of an end that takes part in session timers."""
    min_se = draw(st.sampled_from(intervals))
    default = max(min_se, draw(st.sampled_from(intervals)))
    longest = draw(st.none() | st.sampled_from(intervals))
    return Policy(
        default_expires=default,
        min_se=min_se,
        max_expires=None if longest is None else max(default, longest),
        prefer_refresher=draw(st.sampled_from(Role)),
        offer_refresher=draw(st.booleans()),
        use_update=draw(st.booleans()),
        request_timer=draw(st.booleans()),
        one_sided=draw(st.booleans()),
        raise_small_interval=draw(st.booleans()),
        expiry=draw(st.sampled_from(ExpiryAction)) if reports else ExpiryAction.HANG_UP,
        expiry_guard=draw(st.none() | st.integers(1, 60)),
        probe=draw(st.booleans()),
        hang_up_refused=draw(st.booleans()) if reports else False,
    )


def shown_interval(message: Message) -> int | None:
    rows = message.rows("Session-Expires")
    return SessionExpires.parse(rows[0]).interval if rows else None


def shown_min_se(message: Message) -> int | None:
    rows = message.rows("Min-SE")
    return parse_min_se(rows[0]) if rows else None


class TwoEnds(RuleBasedStateMachine):
    """A call over a wire that gets better and worse; either end may refresh, hang up or lose power."""

    @initialize(
        caller=policies(),
        callee=policies(),
        path=st.none() | policies(),
        seed=st.integers(0, 2**32),
        no_update=st.sampled_from(["", "caller", "callee"]),
    )
    def call(self, caller: Policy, callee: Policy, path: Policy | None, seed: int, no_update: str) -> None:
        self.pair = Pair(caller, callee, path=path, seed=seed)
        for end in self.pair.ends:
            end.allows_update = end.name != no_update
        self.died: float | None = None
        self.seen = 0
        self.requests: dict[tuple[str, str, int], Message] = {}
        self.agreed: set[int] = set()
        self.answered = False
        self.refreshers: set[str] = set()
        assert self.pair.call()

    def end(self, *, caller: bool) -> UserAgent:
        return self.pair.caller if caller else self.pair.callee

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 8.0, 32.0, 45.0, 200.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.pair.run(seconds)

    @rule(caller=st.booleans())
    def time_passes_until_it_is_due(self, caller: bool) -> None:
        session = self.end(caller=caller).session
        if session is not None and session.wake is not None:
            self.pair.run(max(0.0, session.wake - self.pair.clock.now))

    @rule(caller=st.booleans(), method=st.sampled_from(["INVITE", "UPDATE"]))
    def refreshes_for_another_reason(self, caller: bool, method: str) -> None:
        self.end(caller=caller).refresh(method)

    @rule(loss=st.sampled_from([0.0, 0.2, 0.6]), longest=st.sampled_from([0.0, 0.3, 1.0]))
    def the_wire_changes(self, loss: float, longest: float) -> None:
        self.pair.wire.loss = loss
        self.pair.wire.delay = (0.0, longest)

    @rule(cut=st.booleans())
    def the_wire_is_cut_or_mended(self, cut: bool) -> None:
        self.pair.wire.cut = cut

    @rule(caller=st.booleans())
    def hangs_up(self, caller: bool) -> None:
        self.end(caller=caller).hang_up("the user did")

    @rule(caller=st.booleans())
    def loses_power(self, caller: bool) -> None:
        if self.died is None:
            self.died = self.pair.clock.now
            self.end(caller=caller).die()

    @invariant()
    def ends_that_saw_the_same_last_2xx_agree(self) -> None:
        caller, callee = self.pair.ends
        if caller.latest == callee.latest:
            assert caller.refresher == callee.refresher
            assert caller.interval == callee.interval

    @invariant()
    def the_role_stays_where_it_is(self) -> None:
        self.refreshers |= {end.refresher for end in self.pair.ends if end.refresher is not None}
        assert len(self.refreshers) <= 1

    @invariant()
    def intervals_are_lawful_on_the_wire(self) -> None:
        for _, message in self.pair.wire.log[self.seen :]:
            transaction = message.sender, message.method, message.cseq
            interval, min_se = shown_interval(message), shown_min_se(message)
            if message.code is None:
                assert interval is None or interval >= max(ABSOLUTE_MINIMUM, min_se or 0)
                if self.answered and transaction not in self.requests:
                    # In a dialog nobody invents an interval: it is one that a 2xx set, or Min-SE.
                    assert interval is None or interval == min_se or interval in self.agreed
                self.requests.setdefault(transaction, message)
            elif message.code == 422:
                assert min_se is not None
                assert min_se >= ABSOLUTE_MINIMUM
            elif interval is not None:
                asked = self.requests[transaction]
                assert min_se is None
                assert interval >= max(ABSOLUTE_MINIMUM, shown_min_se(asked) or 0)
                self.agreed.add(interval)
                asked_interval = shown_interval(asked)
                # Who adds the header may name any value; who finds one may not raise it.
                assert asked_interval is None or interval <= asked_interval
            self.answered = self.answered or message.code == 200
        self.seen = len(self.pair.wire.log)

    @invariant()
    def whoever_survives_the_other_is_done_within_the_interval(self) -> None:
        if self.died is None:
            return
        for end in self.pair.ends:
            if not end.alive or end.ended or end.expired or end.interval is None or end.session is None:
                continue
            # A peer that refused to be refreshed just before it died is kept for one interval more.
            intervals = 2 if end.session.refused or end.session.since > self.died + GRACE else 1
            assert self.pair.clock.now <= self.died + intervals * end.interval + GRACE

    def teardown(self) -> None:
        if hasattr(self, "pair") and self.died is not None:
            for _ in range(100):
                self.pair.run(40.0)
                self.whoever_survives_the_other_is_done_within_the_interval()

    @invariant()
    def what_is_over_stays_silent(self) -> None:
        for end in self.pair.ends:
            if end.expired is not None:
                assert end.session is not None
                assert end.session.wake is None


TestTwoEnds = pytest.mark.requirement(
    "UAC-7.2-14", "UAC-7.4-09", "UAC-7.4-11", "UAS-9-10", "UAS-9-12", "REF-10-02", "REF-10-04"
)(TwoEnds.TestCase)


@st.composite
def busy_calls(draw: st.DrawFn) -> tuple[Pair, list[tuple[float, bool, str]]]:
    """A pair on a harsh but passable wire, and changes by its ends: after how many intervals, who, how."""
    lost_copies = draw(st.integers(0, 2))
    # Below 128 seconds there is no time for lost copies, a 422 and a 491, all in one round.
    settings = policies(reports=False, intervals=LONG_INTERVALS if lost_copies else INTERVALS)
    pair = Pair(
        draw(settings), draw(settings), path=draw(st.none() | settings), seed=draw(st.integers(0, 2**32))
    )
    pair.wire.lost_copies = lost_copies
    pair.wire.delay = (0.0, draw(st.floats(0.0, 0.2)))
    change = st.tuples(st.floats(0.001, 1.2), st.booleans(), st.sampled_from(["INVITE", "UPDATE"]))
    return pair, draw(st.lists(change, max_size=8))


@pytest.mark.requirement("UAC-7.2-15", "UAC-7.2-17", "UAS-9-21", "REF-10-07")
@given(busy_calls())
def test_live_pair_never_expires_when_refreshes_get_through_in_time(
    busy: tuple[Pair, list[tuple[float, bool, str]]],
) -> None:
    pair, changes = busy
    assert pair.call()
    interval = pair.caller.interval or 1800
    for intervals, by_caller, method in changes:
        pair.run(intervals * interval)
        (pair.caller if by_caller else pair.callee).refresh(method)
    pair.run(5 * interval)
    for end in pair.ends:
        assert not end.ended
        assert end.expired is None


@given(caller=policies(reports=False), callee=policies(reports=False), caller_dies=st.booleans())
@pytest.mark.requirement("REF-10-04", "REF-10-07", "REF-10-08", "EX-13-07", "EX-13-08")
def test_dead_peer_ends_by_the_end_of_the_interval(caller: Policy, callee: Policy, caller_dies: bool) -> None:
    pair = Pair(replace(caller, request_timer=True), callee)
    assert pair.call()
    dead, left = pair.ends if caller_dies else reversed(pair.ends)
    session = left.session
    assert session is not None
    deadline, expires = session.deadline, session.expires
    assert deadline is not None
    assert expires is not None
    dead.die()
    if left.refresher != left.name:
        # Two forms are probed with, of which the first may be over a moment before the deadline.
        pair.run(deadline - left.policy.answer_time(session.interval) - pair.clock.now)
        assert not left.ended
    pair.run(expires - pair.clock.now)
    if left.refresher == left.name or left.policy.probe:
        assert left.ended
    else:
        assert left.expired is not None
        assert not left.ended


@given(policies(), policies(), st.none() | policies())
@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-03", "UAC-7.4-05", "R422-6-02")
def test_calls_get_through_422_of_proxy_and_callee(
    caller: Policy, callee: Policy, path: Policy | None
) -> None:
    pair = Pair(caller, callee, path=path)
    assert pair.call()
    invites = [message for _, message in pair.wire.log if message.code is None]
    assert len(invites) <= 3
    told = [min_se for message in invites if (min_se := shown_min_se(message)) is not None]
    assert told == sorted(told)
