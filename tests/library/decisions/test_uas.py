"""We answer: RFC 4028 section 9 and its Table 2."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_timer import Agreement, DialogTimer, Policy, RefreshRequest, Role, SessionExpires, Side, uas
from session_timer.minimum import Reject
from session_timer.uas import Accept

POLICY = Policy()
SUPPORTS = DialogTimer(peer_supports=True)


def asks(
    interval: int | None = 1800,
    refresher: Role | None = None,
    *,
    supports: bool = True,
    requires: bool = False,
    min_se: int | None = None,
    method: str = "INVITE",
) -> RefreshRequest:
    return RefreshRequest(
        method=method,
        session_expires=None if interval is None else SessionExpires.of(interval, refresher),
        min_se=min_se,
        supports_timer=supports,
        requires_timer=requires,
    )


def accepted(request: RefreshRequest, policy: Policy = POLICY, dialog: DialogTimer | None = None) -> Accept:
    decision = uas.answer(request, policy, dialog)
    assert isinstance(decision, Accept)
    return decision


def interval(request: RefreshRequest, policy: Policy = POLICY) -> int | None:
    shown = accepted(request, policy).session_expires
    return None if shown is None else shown.interval


def interval_in(dialog: DialogTimer, request: RefreshRequest, policy: Policy) -> int | None:
    shown = accepted(request, policy, dialog).session_expires
    return None if shown is None else shown.interval


@pytest.mark.requirement(
    "UAS-9-14", "UAS-9-13", "UAS-9-15", "UAS-9-16", "UAS-9-17", "UAC-7.1-12", "G-13", "G-14"
)
@pytest.mark.parametrize("prefer", list(Role))
@pytest.mark.parametrize("requires", [False, True])
@pytest.mark.parametrize(
    ("supports", "asked", "shown"),
    [
        (False, None, Role.UAS),
        (False, Role.UAC, Role.UAS),
        (False, Role.UAS, Role.UAS),
        (True, None, None),
        (True, Role.UAC, Role.UAC),
        (True, Role.UAS, Role.UAS),
    ],
)
def test_table_2(
    supports: bool, asked: Role | None, shown: Role | None, prefer: Role, requires: bool
) -> None:
    """`shown` None: the row that leaves the choice to the UAS."""
    policy = Policy(prefer_refresher=prefer)
    decision = accepted(asks(1800, asked, supports=supports, requires=requires), policy)
    expected = shown or prefer
    assert decision.session_expires == SessionExpires.of(1800, expected)
    assert decision.require_timer is supports
    agreed = decision.dialog.agreement
    assert agreed == Agreement(1800, Side.REMOTE if expected is Role.UAC else Side.LOCAL)


@pytest.mark.requirement("S61-8.2.4-01", "UAS-9-17")
def test_timer_is_not_required_of_a_uac_that_does_not_support_it() -> None:
    assert not accepted(asks(supports=False)).require_timer


@pytest.mark.requirement(
    "UAS-9-02", "UAS-9-03", "UAS-9-04", "R422-6-01", "R422-6-02", "MSE-5-05", "SEC-11-01", "DEF-2-02", "G-17"
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("dialog", [None, SUPPORTS, DialogTimer(Agreement(1800, Side.LOCAL))])
@pytest.mark.parametrize(("asked", "least"), [(299, 300), (5, 90), (89, 90), (0, 90)])
def test_too_small_an_interval_is_answered_422(
    asked: int, least: int, method: str, dialog: DialogTimer | None
) -> None:
    request = asks(asked, min_se=200, method=method)
    assert uas.answer(request, Policy(min_se=least), dialog) == Reject(422, least)


@pytest.mark.requirement("R422-6-01", "UAS-9-02", "MSE-5-03")
def test_422_looks_at_our_minimum_and_nothing_else() -> None:
    policy = Policy(min_se=300)
    assert interval(asks(300), policy) == 300
    assert interval(asks(95), POLICY) == 95
    assert interval(asks(400, min_se=90), policy) == 400
    assert isinstance(uas.answer(asks(None), policy), Accept)
    assert isinstance(uas.answer(asks(100, supports=False), policy), Accept)


@pytest.mark.requirement("UAS-9-01", "UAS-9-05", "UAS-9-10", "SE-4-05", "G-01")
@pytest.mark.parametrize("asked", [90, 91, 600, 1800, 86400])
def test_an_acceptable_interval_is_copied(asked: int) -> None:
    assert interval(asks(asked)) == asked
    assert accepted(asks(asked)).dialog.agreement == Agreement(asked, Side.REMOTE)


@pytest.mark.requirement("UAS-9-06", "G-01")
@pytest.mark.parametrize("asked", [86401, 4294967295])
def test_an_interval_of_more_than_a_day_is_reduced_to_one(asked: int) -> None:
    """RFC 4028 names no bound; a call that nobody looks at for 136 years is billed until then."""
    assert interval(asks(asked)) == 86400
    assert interval(asks(asked, min_se=86400)) == 86400
    assert interval(asks(asked, min_se=asked)) == asked


@pytest.mark.requirement("UAS-9-02")
def test_what_runs_already_is_never_too_small_whatever_the_settings_say_by_now() -> None:
    grown = Policy(min_se=600, default_expires=1800)
    running = DialogTimer(Agreement(200, Side.REMOTE), peer_supports=True)
    assert interval_in(running, asks(200, Role.UAC, method="UPDATE"), grown) == 200
    assert uas.answer(asks(199, Role.UAC, method="UPDATE"), grown, running) == Reject(422, 600)
    assert uas.answer(asks(200, Role.UAC), grown) == Reject(422, 600)
    alone = DialogTimer(Agreement.refreshed_alone(200))
    assert uas.answer(asks(200, Role.UAC), grown, alone) == Reject(422, 600)


@pytest.mark.requirement("UAS-9-06", "UAS-9-07", "UAS-9-08", "UAS-9-09", "MSE-5-01")
@pytest.mark.parametrize(
    ("asked", "min_se", "most", "granted"),
    [
        (3600, 600, 1800, 1800),
        (3600, 2400, 1800, 2400),
        (3600, None, 1800, 1800),
        (1800, 1800, 1800, 1800),
        (1200, None, 1800, 1200),
        (1801, 5000, 1800, 1801),
    ],
)
def test_reduced_but_never_below_min_se_and_never_raised(
    asked: int, min_se: int | None, most: int, granted: int
) -> None:
    assert interval(asks(asked, min_se=min_se), Policy(max_expires=most)) == granted


@pytest.mark.requirement("UAS-9-09")
def test_reduced_no_further_than_90() -> None:
    assert interval(asks(3600), Policy(max_expires=30)) == 90


@pytest.mark.requirement("UAS-9-10", "G-04")
@pytest.mark.parametrize(("asked", "granted"), [(100, 100), (299, 299), (90, 90), (89, None), (0, None)])
def test_a_uac_without_support_gets_what_it_asks_from_90_seconds_on(asked: int, granted: int | None) -> None:
    decision = accepted(asks(asked, supports=False), Policy(min_se=300))
    assert (decision.session_expires.interval if decision.session_expires else None) == granted
    assert decision.require_timer is False


@pytest.mark.requirement("G-04")
@pytest.mark.parametrize("asked", [5, 89, 100, 299])
def test_erratum_1687_is_an_option(asked: int) -> None:
    decision = accepted(asks(asked, supports=False), Policy(min_se=300, raise_small_interval=True))
    assert decision.session_expires == SessionExpires.of(300, Role.UAS)
    assert interval(asks(301, supports=False), Policy(min_se=300, raise_small_interval=True)) == 301


@pytest.mark.requirement("UAS-9-11", "UAS-9-12", "UAS-9-01", "UAS-9-13", "SE-4-04")
@pytest.mark.parametrize(("min_se", "granted"), [(None, 1800), (90, 1800), (2400, 2400)])
def test_we_may_ask_where_the_uac_supports_but_did_not(min_se: int | None, granted: int) -> None:
    decision = accepted(asks(None, min_se=min_se))
    assert decision.session_expires == SessionExpires.of(granted, Role.UAC)
    assert decision.require_timer
    quiet = accepted(asks(None, min_se=min_se), Policy(request_timer=False))
    assert quiet.session_expires is None
    assert quiet.dialog.agreement is None
    assert not quiet.require_timer


@pytest.mark.requirement("G-05", "S61-8.2.4-01", "SE-4-07")
def test_without_support_and_without_session_expires_nothing_shows() -> None:
    decision = accepted(asks(None, supports=False))
    assert decision.session_expires is None
    assert not decision.require_timer
    assert decision.dialog.agreement == Agreement(1800, Side.LOCAL, one_sided=True)
    off = accepted(asks(None, supports=False), Policy(one_sided=False))
    assert off.dialog.agreement is None


@pytest.mark.requirement("UAS-9-19", "G-06")
def test_a_bare_2xx_to_a_peer_that_knows_timers_switches_them_off() -> None:
    running = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True)
    by_the_letter = Policy(keep_after_bare_2xx=False)
    decision = accepted(asks(None, supports=False), by_the_letter, running)
    assert decision.session_expires is None
    assert decision.dialog.agreement is None


@pytest.mark.requirement("UAS-9-19", "G-06")
@pytest.mark.parametrize("refresher", list(Side))
def test_a_peer_that_leaves_the_timer_out_of_a_hold_is_refreshed_alone(refresher: Side) -> None:
    """It goes on counting by what was agreed before, and would end the call."""
    running = DialogTimer(Agreement(90, refresher), peer_supports=True)
    decision = accepted(asks(None, supports=False), POLICY, running)
    assert decision.session_expires is None
    assert decision.dialog.agreement == Agreement.refreshed_alone(90)


@pytest.mark.requirement("UAS-9-18", "UAS-9-20")
def test_the_2xx_replaces_interval_and_refresher() -> None:
    running = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True)
    decision = accepted(asks(600, Role.UAC), POLICY, running)
    assert decision.dialog.agreement == Agreement(600, Side.REMOTE)


@pytest.mark.requirement("UAC-7.4-14", "G-09", "S61-12.2-01")
@pytest.mark.parametrize(("refresher", "role"), [(Side.LOCAL, Role.UAS), (Side.REMOTE, Role.UAC)])
@pytest.mark.parametrize("prefer", list(Role))
@pytest.mark.parametrize("asked", [1800, None])
def test_a_refresh_without_refresher_leaves_the_role_where_it_is(
    refresher: Side, role: Role, prefer: Role, asked: int | None
) -> None:
    running = DialogTimer(Agreement(1800, refresher), peer_supports=True)
    decision = accepted(asks(asked), Policy(prefer_refresher=prefer), running)
    assert decision.session_expires == SessionExpires.of(1800, role)
    assert decision.dialog.agreement == Agreement(1800, refresher)


def test_a_refresh_that_only_shows_support_goes_on_with_the_interval_in_force() -> None:
    running = DialogTimer(Agreement(600, Side.REMOTE), peer_supports=True)
    decision = accepted(asks(None, min_se=300), POLICY, running)
    assert decision.dialog.agreement == Agreement(600, Side.REMOTE)


@pytest.mark.requirement("G-06", "UAS-9-11")
def test_a_peer_refreshed_one_sided_that_turns_out_to_know_timers_gets_a_real_one() -> None:
    alone = DialogTimer(Agreement(600, Side.LOCAL, one_sided=True))
    decision = accepted(asks(None), POLICY, alone)
    assert decision.dialog.agreement == Agreement(1800, Side.REMOTE)
    assert decision.dialog.peer_supports


@pytest.mark.requirement("UAC-7.4-02", "UAC-7.4-04", "G-16")
def test_min_se_of_every_received_refresh_is_remembered_upwards() -> None:
    first = accepted(asks(min_se=300)).dialog
    assert first.min_se == 300
    assert accepted(asks(min_se=200), POLICY, first).dialog.min_se == 300
    assert accepted(asks(min_se=400), POLICY, first).dialog.min_se == 400
    assert accepted(asks(), POLICY, first).dialog.min_se == 300


@pytest.mark.requirement("UAC-7.4-02")
def test_a_request_that_we_reject_teaches_too() -> None:
    request = asks(100, min_se=100)
    assert isinstance(uas.answer(request, Policy(min_se=300)), Reject)
    assert uas.remember(request, DialogTimer()) == DialogTimer(min_se=100, peer_supports=True)


@pytest.mark.requirement("UAC-7.4-13", "IANA-12-04")
def test_support_once_shown_is_known_for_good() -> None:
    first = accepted(asks(supports=True)).dialog
    assert first.peer_supports
    assert accepted(asks(supports=False), POLICY, first).dialog.peer_supports
    assert not accepted(asks(supports=False)).dialog.peer_supports


@pytest.mark.requirement("UAC-7.4-17", "UPD-4-03")
def test_the_latest_allow_counts() -> None:
    allows = replace(asks(), allows_update=True)
    known = accepted(allows).dialog
    assert known.peer_allows_update
    assert accepted(asks(), POLICY, known).dialog.peer_allows_update
    assert not accepted(replace(asks(), allows_update=False), POLICY, known).dialog.peer_allows_update


@pytest.mark.requirement("S61-8.2.2.3-01", "IANA-12-04")
def test_where_timers_are_off_a_requirement_is_refused_and_a_wish_ignored() -> None:
    off = Policy(enabled=False)
    assert uas.answer(asks(requires=True), off) == Reject(420)
    assert uas.answer(asks(5), off) == Accept(DialogTimer())
    running = DialogTimer(Agreement(1800, Side.LOCAL), min_se=300)
    assert uas.answer(asks(1800), off, running) == Accept(DialogTimer())


@pytest.mark.requirement("MSE-5-04")
def test_an_accept_has_no_place_for_min_se() -> None:
    assert not hasattr(accepted(asks(min_se=300)), "min_se")


@pytest.mark.requirement("G-07", "DEF-2-01")
def test_the_invites_2xx_wins_over_an_update_before_it() -> None:
    early = accepted(asks(600, Role.UAC, method="UPDATE")).dialog
    decision = accepted(asks(1800, Role.UAS), POLICY, early)
    assert decision.dialog.agreement == Agreement(1800, Side.LOCAL)


@pytest.mark.requirement("SE-4-03")
def test_only_the_lab_goes_below_90() -> None:
    lab = Policy(floor=4, min_se=4, default_expires=6)
    assert interval(asks(6), lab) == 6
    assert uas.answer(asks(3), lab) == Reject(422, 4)
