"""Several 2xx to one INVITE: a record each, few of them, and not for long."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Side
from session_timer.evidence import Shows, shows

from tests.kamailio.fakes.edge import OURS, Edge

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac", "Allow: INVITE, UPDATE")


@pytest.mark.parametrize("from_us", [False, True])
def test_of_many_that_answer_one_invite_few_are_kept_and_not_for_long(edge: Edge, *, from_us: bool) -> None:
    handled = edge.send(TIMER, from_us=from_us)
    for number in range(100):
        edge.answer(handled, 200, ("Session-Expires: 4294967295;refresher=uac",), to_tag=f"fork-{number}")
    table = edge.ksr.tables["session_timer"]
    assert len(table) == 12
    lives = sorted(row.ends - edge.ksr.now for row in table.values())
    assert lives[:11] == [96.0] * 11
    assert lives[11] <= 2 * 86400


def test_a_fork_that_goes_on_is_kept_as_long_as_any_other_call(edge: Edge) -> None:
    handled = edge.send(TIMER, from_us=True)
    for tag in ("one", "two"):
        edge.answer(handled, 200, TIMER, to_tag=tag)
    edge.ksr.now += 5
    edge.send(method="UPDATE", from_us=True, tags=(OURS, "two"))
    (row,) = (row for key, row in edge.ksr.tables["session_timer"].items() if "two" in key)
    assert row.ends == 1005 + 1800 + 3600


@pytest.mark.parametrize("answered", [False, True])
def test_a_fork_whose_first_request_comes_when_its_record_has_gone_is_judged_all_the_same(
    edge: Edge, *, answered: bool
) -> None:
    """Its ACK is no sign: a caller confirms each leg, also one that it ends at once (RFC 3261 13.2.2.4)."""
    handled = edge.send(TIMER, from_us=True)
    for tag in ("one", "two"):
        edge.answer(handled, 200, TIMER, to_tag=tag)
    edge.ksr.now += 900
    edge.ksr.expire(edge.timers.on_expired)
    assert edge.record(OURS, "two") is None
    refresh = edge.send(method="UPDATE", from_us=True, tags=(OURS, "two"))
    if answered:
        edge.answer(refresh, 200, TIMER)
        assert edge.known(OURS, "two").dialog.agreement == Agreement(1800, Side.LOCAL)
    else:
        assert edge.sure(edge.time_out(refresh)).code == 504
        assert shows(edge.known(OURS, "two"), 1899, lambda _clock, at: at).what is Shows.TIMED_OUT
