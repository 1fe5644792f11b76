"""`tests.library.simulation.user_agents`: calls between two user agents of ours, told as stories."""

from __future__ import annotations

import doctest
from itertools import pairwise

import pytest
from session_timer import ExpiryAction, Policy, Role, session
from session_timer.session.transitions import State

from tests.library.simulation import user_agents
from tests.library.simulation.user_agents import Pair
from tests.library.simulation.wire import FakeClock, Message


def sent(pair: Pair, method: str, code: int | None = None) -> list[tuple[float, Message]]:
    return [
        (at, message) for at, message in pair.wire.log if (message.method, message.code) == (method, code)
    ]


def test_the_documentation_of_the_module_is_true() -> None:
    results = doctest.testmod(user_agents)
    assert results.attempted >= 6
    assert results.failed == 0


def test_clock_runs_what_was_planned_in_its_order_and_stops_where_told() -> None:
    clock, seen = FakeClock(10.0), list[tuple[str, float]]()
    clock.at(12.0, lambda: seen.append(("second", clock.now)))
    clock.at(11.0, lambda: clock.at(5.0, lambda: seen.append(("first", clock.now))))
    clock.at(99.0, lambda: seen.append(("never", clock.now)))
    clock.run(3.0)
    assert seen == [("first", 11.0), ("second", 12.0)]
    assert clock.now == 13.0


@pytest.mark.requirement("UAC-7.2-16", "UAC-7.4-11", "UAC-7.4-16", "UAC-7.4-18")
def test_the_refresher_sends_update_at_half_the_interval_and_stays_the_refresher() -> None:
    pair = Pair(Policy(prefer_refresher=Role.UAC))
    assert pair.call()
    pair.run(4000)
    updates = sent(pair, "UPDATE")
    assert 4 <= len(updates) <= 5
    assert all(message.sender == "caller" for _, message in updates)
    assert {row for _, message in updates for row in message.rows("Session-Expires")} == {
        "1800;refresher=uac"
    }
    gaps = [later - at for (at, _), (later, _) in pairwise(updates)]
    assert all(810 <= gap <= 900 for gap in gaps)


@pytest.mark.requirement("UAS-9-21", "UAC-7.4-11", "S61-12.2-01")
def test_a_callee_that_refreshes_is_the_uac_of_its_refresh() -> None:
    pair = Pair(callee=Policy(prefer_refresher=Role.UAS))
    assert pair.call()
    assert pair.caller.refresher == pair.callee.refresher == "callee"
    pair.run(900)
    ((_, update),) = sent(pair, "UPDATE")
    assert update.sender == "callee"
    assert update.rows("Session-Expires") == ["1800;refresher=uac"]
    pair.caller.refresh("INVITE")
    pair.run(1)
    _, hold = sent(pair, "INVITE")[-1]
    assert hold.rows("Session-Expires") == ["1800;refresher=uas"]
    assert pair.caller.refresher == "callee"


@pytest.mark.requirement("UAC-7.4-16", "UPD-4-03", "UPD-5.1-02")
def test_a_peer_without_update_is_refreshed_by_invite() -> None:
    pair = Pair()
    pair.callee.allows_update = False
    assert pair.call()
    pair.run(1000)
    assert not sent(pair, "UPDATE")
    assert len(sent(pair, "INVITE")) == 2


@pytest.mark.requirement("EX-13-01", "EX-13-02", "EX-13-03", "UAC-7.4-06")
def test_the_caller_meets_422_of_proxy_and_callee_and_forgets_min_se_with_the_dialog() -> None:
    pair = Pair(
        Policy(default_expires=90),
        Policy(min_se=4000, default_expires=4000),
        path=Policy(min_se=3600, default_expires=3600),
    )
    assert pair.call()
    shown = [(message.rows("Session-Expires"), message.rows("Min-SE")) for _, message in sent(pair, "INVITE")]
    assert shown == [(["90"], []), (["3600"], ["3600"]), (["4000"], ["4000"])]
    pair.run(2001)
    _, update = sent(pair, "UPDATE")[0]
    assert update.rows("Min-SE") == []
    assert update.rows("Session-Expires") == ["4000;refresher=uac"]


@pytest.mark.requirement("UAC-7.3-01", "PRX-8.1-05", "PRX-8.1-06")
def test_min_se_keeps_a_proxy_from_reducing_what_the_callee_must_refuse() -> None:
    """The caller's interval was large enough; what the callee saw of it was not."""
    pair = Pair(
        Policy(default_expires=600), Policy(min_se=600), path=Policy(default_expires=300, max_expires=300)
    )
    assert pair.call()
    shown = [(message.rows("Session-Expires"), message.rows("Min-SE")) for _, message in sent(pair, "INVITE")]
    assert shown == [(["600"], []), (["600"], ["600"])]
    pair.run(6000)
    assert not pair.caller.ended
    assert not pair.callee.ended


@pytest.mark.requirement("PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "UAC-7.2-04")
def test_a_proxy_asks_the_caller_to_refresh_where_the_callee_knows_no_timers() -> None:
    pair = Pair(Policy(request_timer=False), Policy(enabled=False), path=Policy(default_expires=600))
    assert pair.call()
    assert (pair.caller.interval, pair.caller.refresher) == (600, "caller")
    assert pair.callee.interval is None
    pair.run(650)
    assert len(sent(pair, "INVITE")) + len(sent(pair, "UPDATE")) == 3


@pytest.mark.requirement("UAC-7.2-08")
def test_a_caller_refreshes_alone_where_nobody_else_knows_timers() -> None:
    pair = Pair(callee=Policy(enabled=False))
    assert pair.call()
    assert (pair.caller.interval, pair.caller.refresher) == (1800, "caller")
    pair.callee.die()
    pair.run(1800)
    assert pair.caller.ended == session.Reason.UNANSWERED


@pytest.mark.requirement("REF-10-07", "REF-10-08", "EX-13-07", "EX-13-08")
@pytest.mark.parametrize(("interval", "deadline"), [(4000, 3968), (1800, 1768), (96, 64), (90, 60)])
def test_a_dead_refresher_is_given_up_between_the_deadline_and_the_end_of_the_interval(
    interval: int, deadline: int
) -> None:
    pair = Pair(Policy(default_expires=interval))
    assert pair.call()
    pair.caller.die()
    pair.run(deadline - 0.01)
    assert not pair.callee.ended
    pair.run(interval - deadline)
    assert pair.callee.expired == session.Expire(session.Reason.SILENT, hang_up=True)
    ((at, _),) = sent(pair, "BYE")[:1]
    assert deadline <= at < interval


@pytest.mark.requirement("D-06")
def test_without_a_probe_a_silent_refresher_is_only_reported() -> None:
    pair = Pair(Policy(default_expires=90), Policy(probe=False))
    assert pair.call()
    pair.caller.die()
    pair.run(61)
    assert pair.callee.expired == session.Expire(session.Reason.SILENT, hang_up=False)
    assert not pair.callee.ended


def test_a_live_but_silent_refresher_is_found_by_a_probe() -> None:
    """The caller's driver is stuck: nothing refreshes, but the probe is answered."""
    pair = Pair()
    assert pair.call()
    assert pair.caller.session is not None
    pair.caller.session = None
    pair.run(1769)
    assert not pair.callee.ended
    ((at, probe),) = sent(pair, "UPDATE")
    assert (at, probe.sender) == (1744, "callee")


@pytest.mark.requirement("REF-10-04", "UPD-5.3-02")
def test_a_restarted_peer_answers_481_and_the_call_ends() -> None:
    pair = Pair()
    assert pair.call()
    pair.callee.dialog = pair.callee.session = None
    pair.run(900)
    assert pair.caller.ended == session.Reason.GONE


def test_silence_after_a_refused_refresh_is_silence() -> None:
    """A proxy that refuses a request must not keep a dead peer's call alive."""
    pair = Pair(Policy(default_expires=180))
    assert pair.call()
    transmit = pair.callee.receive

    def challenge_then_die(message: Message) -> None:
        if pair.callee.alive and message.method == "UPDATE":
            pair.callee.die()
            answer = Message(message.method, message.cseq, message.sender, code=420)
            pair.wire.carry(answer, pair.caller.receive)
        transmit(message)

    pair.callee.receive = challenge_then_die  # type: ignore[method-assign]
    pair.run(180)
    assert pair.caller.ended


@pytest.mark.requirement("S61-14.1-04", "UPD-5.3-03")
def test_crossing_invites_get_491_and_both_calls_go_on() -> None:
    pair = Pair(Policy(use_update=False), Policy(use_update=False))
    pair.wire.delay = (0.2, 0.2)
    assert pair.call()
    pair.caller.refresh("INVITE")
    pair.callee.refresh("INVITE")
    pair.run(1)
    assert len(sent(pair, "INVITE", 491)) == 2
    pair.run(6000)
    assert not pair.caller.ended
    assert not pair.callee.ended


def test_a_refresh_that_is_due_during_another_invite_waits_for_it() -> None:
    pair = Pair(Policy(use_update=False, default_expires=180), Policy())
    assert pair.call()
    assert pair.caller.session is not None
    assert pair.caller.session.wake is not None
    pair.run(pair.caller.session.wake - pair.clock.now - 1)
    pair.wire.lost_copies = 3
    pair.caller.refresh("INVITE")
    pair.run(2)
    assert pair.caller.session.state is State.WAITING
    assert len({message for _, message in sent(pair, "INVITE")}) == 2
    pair.wire.lost_copies = 0
    pair.run(600)
    assert not pair.caller.ended


@pytest.mark.requirement("S61-8.1.3-01")
def test_requests_are_repeated_for_32_seconds_and_then_count_as_408() -> None:
    pair = Pair()
    pair.callee.die()
    assert not pair.call()
    assert pair.caller.ended == "INVITE was answered 408"
    assert [at for at, _ in sent(pair, "INVITE")] == [
        0,
        0.5,
        1.5,
        3.5,
        7.5,
        11.5,
        15.5,
        19.5,
        23.5,
        27.5,
        31.5,
    ]


def test_a_request_that_was_overtaken_gets_500() -> None:
    pair = Pair()
    assert pair.call()
    pair.callee.receive(Message("UPDATE", 9, "caller"))
    pair.callee.receive(Message("UPDATE", 8, "caller"))
    pair.run(0)
    assert [message.cseq for _, message in sent(pair, "UPDATE", 500)] == [8]


def test_a_malformed_session_expires_gets_400() -> None:
    pair = Pair()
    assert pair.call()
    pair.callee.receive(Message("UPDATE", 9, "caller", (("Session-Expires", "soon"),)))
    assert sent(pair, "UPDATE", 400)


def test_update_where_it_is_not_allowed_gets_405_and_invite_takes_over() -> None:
    pair = Pair()
    assert pair.call()
    pair.callee.allows_update = False
    pair.run(900)
    assert len(sent(pair, "UPDATE", 405)) == 1
    assert len(sent(pair, "INVITE", 200)) == 2


def test_policy_may_only_report_an_expired_session() -> None:
    pair = Pair(Policy(default_expires=180), Policy(expiry=ExpiryAction.REPORT))
    assert pair.call()
    pair.caller.die()
    pair.run(180)
    assert pair.callee.expired is not None
    assert not pair.callee.expired.hang_up
    assert not pair.callee.ended
    assert not sent(pair, "BYE")


def test_without_evidence_the_call_stays_until_its_own_transaction_says_otherwise() -> None:
    pair = Pair(Policy(default_expires=180))
    pair.callee.blind = True
    assert pair.call()
    pair.caller.session = None
    pair.run(180)
    assert not pair.callee.ended
    assert sent(pair, "UPDATE", 200)


def test_a_cut_wire_loses_what_is_on_its_way() -> None:
    pair = Pair()
    pair.wire.delay = (1.0, 1.0)
    pair.caller.invite()
    pair.run(0.4)
    pair.wire.cut = True
    pair.run(1.0)
    pair.wire.cut = False
    assert pair.callee.dialog is None
    pair.run(5.0)
    assert pair.callee.dialog is not None


def test_the_same_seed_gives_the_same_story() -> None:
    def story(seed: int) -> list[tuple[float, Message]]:
        pair = Pair(seed=seed)
        pair.wire.loss, pair.wire.delay = 0.3, (0.0, 1.0)
        pair.call()
        pair.run(4000)
        return pair.wire.log

    assert story(7) == story(7)
    assert story(7) != story(8)
