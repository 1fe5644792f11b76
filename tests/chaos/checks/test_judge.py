"""The judge of `make chaos` notices a live call that was lost, a dead one that stood, and what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_timer import Record

from tests.chaos import judge
from tests.chaos.inside.account import Account
from tests.chaos.judge import Held, Tables

LIVE = Account(
    "a@peer", "theirs", mortal=False, interval=30, begun=0.0, answered=0.1, refreshed=90.0, refreshes=6
)
DEAD = Account(
    "d@peer", "theirs", mortal=True, interval=30, begun=0.0, answered=0.1, refreshed=90.0, silent=95.0
)
CHURN = Account("c@peer", "churn", mortal=False, interval=30, begun=80.0, answered=80.1, refreshed=80.1)
HELD = Held(began=100.0, ended=110.0, recovery=5.0)
NOBODY: frozenset[str] = frozenset()


def tables(*names: str) -> Tables:
    found = frozenset(names)
    return Tables(found, found, found)


def but(table: str, name: str, *others: str) -> Tables:
    """All tables have the others, and this one has ``name`` in place of them."""
    one, rest = frozenset({name} - {""}), frozenset(others)
    return Tables(
        channels=one if table == "channels" else rest,
        sessions=one if table == "sessions" else rest,
        records=one if table == "records" else rest,
    )


def test_a_round_in_which_nothing_is_wrong() -> None:
    dead = replace(DEAD, ended=119.0, by="bye")
    short = replace(CHURN, ended=88.0, by="peer", code=200)
    verdict = judge.judged([LIVE, dead, short], tables("a@peer"), HELD, 130.0, may_end=False)
    assert verdict.good


@pytest.mark.parametrize(
    ("by", "code"), [("bye", 0), ("gone", 481), ("peer", 481), ("peer", 404), ("peer", 408)]
)
def test_a_live_call_that_our_side_ended_is_lost(by: str, code: int) -> None:
    call = replace(LIVE, ended=105.0, by=by, code=code)
    verdict = judge.judged([call], tables(), HELD, 130.0, may_end=False)
    assert len(verdict.lost) == 1
    assert "a@peer" in verdict.lost[0]
    assert not verdict.good


@pytest.mark.parametrize("call", [LIVE, CHURN], ids=["long", "short"])
def test_where_the_fault_ends_calls_a_hang_up_of_ours_is_lost_all_the_same(call: Account) -> None:
    gone = replace(call, ended=115.0, by="peer", code=481)
    assert judge.lost([gone], HELD, may_end=True) == ()
    assert judge.ended_by_fault([gone]) == 1
    # Asterisk's own on its way down, and the companion's.
    assert judge.lost([replace(gone, by="bye", reason="Q.850;cause=0")], HELD, may_end=True) == ()
    assert len(judge.lost([replace(gone, by="bye", reason="Q.850;cause=102")], HELD, may_end=True)) == 1


def test_a_record_without_2xx_goes_by_itself_and_no_other_does() -> None:
    over = replace(DEAD, ended=119.0, by="bye")
    text = Record.without_2xx("tag", "clock", peer="p", far="f").encode()
    for kept, alone in ((text, True), (text.replace("-1000000000.000", "12.000"), False)):
        seen = Tables(
            frozenset({"a@peer"}),
            frozenset({"a@peer"}),
            frozenset({"a@peer", "d@peer"}),
            texts={"d@peer": kept},
        )
        assert judge.left([LIVE, over], seen) != ()
        assert judge.goes_by_itself([LIVE, over], seen) is alone
    assert not judge.goes_by_itself([LIVE, over], replace(seen, channels=frozenset({"a@peer", "d@peer"})))


def test_it_is_told_how_a_call_ended_that_was_lost_or_left_something() -> None:
    call = replace(LIVE, refreshed=90.0, ended=117.5, by="bye", code=200, reason="Q.850;cause=102")
    assert judge.lost([call], HELD, may_end=False)[0].endswith("cause=102, 27.5 s after its last refresh")
    short = replace(CHURN, ended=88.0, by="peer", code=500)
    assert judge.left([short], but("records", "c@peer")) == ("c@peer is over (by peer 500) and has a record",)


def test_a_peer_that_hung_up_itself_lost_nothing() -> None:
    assert judge.lost([replace(LIVE, ended=105.0, by="peer", code=200)], HELD, may_end=False) == ()
    assert judge.lost([replace(LIVE, ended=140.0, by="peer", code=0)], HELD, may_end=False) == ()


def test_a_call_that_was_set_up_while_the_fault_lasted_may_have_failed_half_way() -> None:
    call = replace(CHURN, begun=99.0, answered=101.0, ended=110.0, by="peer", code=481)
    assert judge.lost([call], HELD, may_end=False) == ()
    assert judge.lost([replace(call, begun=111.0, answered=111.1)], HELD, may_end=False) != ()


@pytest.mark.parametrize(("ended", "stands"), [(120.0, False), (137.9, False), (138.1, True), (None, True)])
def test_a_dead_call_may_stand_as_long_as_the_fault_held_it_back_and_no_longer(
    ended: float | None, *, stands: bool
) -> None:
    """Its interval was over at 120; the fault held back 15 seconds, and 3 are for looking."""
    call = replace(DEAD, ended=ended, by="bye" if ended else "")
    verdict = judge.judged([call], tables(), HELD, 200.0, may_end=False)
    assert bool(verdict.standing) is stands


def test_a_call_that_is_alive_never_stands_too_long() -> None:
    assert judge.overdue(LIVE, 1000.0) == 0.0
    assert judge.standing([LIVE], HELD, 1000.0) == ()


@pytest.mark.parametrize("table", ["channels", "sessions", "records"])
def test_what_a_table_still_has_of_a_call_that_is_over_stayed_behind(table: str) -> None:
    call = replace(DEAD, ended=119.0, by="bye")
    assert len(judge.left([call], but(table, "d@peer"))) == 1


@pytest.mark.parametrize("table", ["channels", "sessions", "records"])
def test_what_a_table_lacks_of_a_live_call_is_noticed(table: str) -> None:
    assert len(judge.left([LIVE], but(table, "", "a@peer"))) == 1


def test_a_record_is_kept_where_nobody_answered_the_bye() -> None:
    calls = [replace(DEAD, ended=100.0, by="fault"), replace(LIVE, ended=100.0, by="peer", code=0)]
    found = Tables(NOBODY, NOBODY, frozenset({"a@peer", "d@peer"}))
    assert judge.left(calls, found) == ()
    assert judge.kept_for_an_hour(calls, found) == 2


def test_an_exception_that_was_counted_is_wrong() -> None:
    assert judge.left([], replace(tables(), faults=1.0)) == ("1 exceptions were counted",)


def test_a_call_that_is_refused_when_all_is_whole_again_was_not_served() -> None:
    call = Account(
        "n@peer", "churn", mortal=False, interval=30, begun=116.0, ended=116.2, by="failed", code=503
    )
    assert len(judge.unserved([call], 115.0)) == 1
    assert judge.unserved([replace(call, begun=105.0)], 115.0) == ()
    assert not judge.judged([call], tables(), HELD, 130.0, may_end=False).good


def test_who_went_without_a_refresh_is_counted() -> None:
    assert judge.without_refresh([LIVE, replace(LIVE, longest=30.5), replace(DEAD, longest=99.0)]) == 1
