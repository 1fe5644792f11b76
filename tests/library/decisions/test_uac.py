"""We ask: RFC 4028 section 7."""

from __future__ import annotations

import pytest
from session_timer import Agreement, DialogTimer, Policy, RefreshResponse, Role, SessionExpires, Side, uac
from session_timer.uac import TimerHeaders

from tests.library.sip_rows import response

POLICY = Policy()
BY_THE_LETTER = Policy(keep_after_bare_2xx=False)
OURS = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True)
THEIRS = DialogTimer(Agreement(1800, Side.REMOTE), peer_supports=True)
ASKED = TimerHeaders(SessionExpires.of(1800))


def shows(interval: int, refresher: Role | None = None) -> RefreshResponse:
    return RefreshResponse(session_expires=SessionExpires.of(interval, refresher))


def told(min_se: int | None) -> RefreshResponse:
    return RefreshResponse(code=422, min_se=min_se)


@pytest.mark.requirement("UAC-7.1-01", "UAC-7.1-02", "UAC-7.1-06")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "BYE", "OPTIONS", "PRACK", "INFO", "CANCEL", "REFER"])
@pytest.mark.parametrize("policy", [POLICY, Policy(request_timer=False), Policy(require_timer=True)])
def test_every_request_but_ack_says_supported(method: str, policy: Policy) -> None:
    assert uac.shows_support(method, policy)
    assert not uac.shows_support("ACK", policy)


@pytest.mark.requirement("UAC-7.1-01")
def test_where_timers_are_off_nothing_is_said_asked_or_accepted() -> None:
    off = Policy(enabled=False, require_timer=True, min_se=300)
    assert not uac.shows_support("INVITE", off)
    assert uac.request(off) == uac.request(off, OURS) == TimerHeaders()
    assert uac.accept(TimerHeaders(), shows(600, Role.UAC), off) == DialogTimer()


@pytest.mark.requirement("UAC-7.1-05", "UAC-7.1-11", "SE-4-04", "SE-4-06", "UAC-7.1-08")
def test_initial_request_by_default() -> None:
    assert uac.request(POLICY) == TimerHeaders(SessionExpires.of(1800))
    assert str(uac.request(POLICY).session_expires) == "1800"


@pytest.mark.requirement("UAC-7.1-08", "UAC-7.1-02")
def test_initial_request_without_a_wish() -> None:
    assert uac.request(Policy(request_timer=False)) == TimerHeaders()


@pytest.mark.requirement("UAC-7.1-03", "UAC-7.1-04", "UAC-7.4-01")
@pytest.mark.parametrize("dialog", [None, OURS, THEIRS, DialogTimer(), DialogTimer(peer_supports=True)])
@pytest.mark.parametrize("require", [False, True])
@pytest.mark.parametrize("proxy_require", [False, True])
def test_the_tags_are_the_same_in_every_request(
    dialog: DialogTimer | None, require: bool, proxy_require: bool
) -> None:
    headers = uac.request(Policy(require_timer=require, proxy_require_timer=proxy_require), dialog)
    assert (headers.require_timer, headers.proxy_require_timer) == (require, proxy_require)


@pytest.mark.requirement("UAC-7.1-07", "UAC-7.1-09", "MSE-5-02")
@pytest.mark.parametrize(
    ("min_se", "expires", "told_min_se", "shown"),
    [
        (90, 1800, None, "1800"),
        (300, 1800, None, "1800 300"),
        (300, 200, None, "300 300"),
        (90, 1800, 3600, "3600 3600"),
        (90, 1800, 120, "1800 120"),
        (5000, 5000, 4000, "5000 5000"),
    ],
)
def test_min_se_of_an_initial_request(min_se: int, expires: int, told_min_se: int | None, shown: str) -> None:
    headers = uac.request(Policy(min_se=min_se, default_expires=expires), None, told_min_se)
    assert shown == " ".join(str(value) for value in (headers.session_expires, headers.min_se) if value)


@pytest.mark.requirement("UAC-7.1-10", "G-14")
@pytest.mark.parametrize("role", list(Role))
def test_naming_the_refresher_at_first_is_an_option(role: Role) -> None:
    headers = uac.request(Policy(offer_refresher=True, prefer_refresher=role))
    assert headers.session_expires == SessionExpires.of(1800, role)


@pytest.mark.requirement(
    "UAC-7.2-06", "UAC-7.2-07", "UAC-7.2-13", "DEF-2-01", "DEF-2-03", "UAC-7.2-11", "S61-12.2-01"
)
@pytest.mark.parametrize(("role", "side"), [(Role.UAC, Side.LOCAL), (Role.UAS, Side.REMOTE)])
@pytest.mark.parametrize("wish", [None, *Role])
@pytest.mark.parametrize("dialog", [None, OURS, THEIRS])
def test_the_2xx_decides_interval_and_refresher(
    role: Role, side: Side, wish: Role | None, dialog: DialogTimer | None
) -> None:
    sent = TimerHeaders(SessionExpires.of(1800, wish))
    assert uac.accept(sent, shows(600, role), POLICY, dialog).agreement == Agreement(600, side)


@pytest.mark.requirement("UAC-7.2-02", "UAC-7.2-04", "IANA-12-04")
def test_a_session_expires_that_we_did_not_ask_for_binds_us() -> None:
    answer = response(200, "Require: 100rel, TIMER", "x: 600;refresher=uac")
    dialog = uac.accept(TimerHeaders(), answer, Policy(request_timer=False))
    assert dialog.agreement == Agreement(600, Side.LOCAL)
    assert dialog.peer_supports


@pytest.mark.requirement("UAC-7.2-05", "G-03")
@pytest.mark.parametrize(
    ("wish", "side"), [(None, Side.LOCAL), (Role.UAC, Side.LOCAL), (Role.UAS, Side.REMOTE)]
)
@pytest.mark.parametrize("value", ["900", "900;refresher=both"])
def test_without_a_refresher_the_requests_counts_else_uac(wish: Role | None, side: Side, value: str) -> None:
    sent = TimerHeaders(SessionExpires.of(1800, wish))
    answer = response(200, f"Session-Expires: {value}")
    assert uac.accept(sent, answer, POLICY).agreement == Agreement(900, side)


@pytest.mark.requirement("UAC-7.2-03", "G-02")
@pytest.mark.parametrize("dialog", [None, OURS, DialogTimer()])
def test_required_timer_without_session_expires_is_no_timer(dialog: DialogTimer | None) -> None:
    after = uac.accept(ASKED, response(200, "Require: timer"), BY_THE_LETTER, dialog)
    assert after.agreement is None
    assert after.peer_supports


@pytest.mark.requirement("UAC-7.2-10", "G-02")
@pytest.mark.parametrize("line", ["Supported: timer", "Require: timer"])
@pytest.mark.parametrize("running", [OURS, THEIRS])
def test_a_peer_that_breaks_section_9_in_its_own_2xx_is_refreshed_alone(
    line: str, running: DialogTimer
) -> None:
    """It names ``timer`` and no Session-Expires: many such peers go on counting by what was agreed."""
    after = uac.accept(ASKED, response(200, line), POLICY, running)
    assert after.agreement == Agreement(1800, Side.LOCAL, one_sided=True)
    assert after.peer_supports
    assert uac.accept(ASKED, response(200, line), BY_THE_LETTER, running).agreement is None
    assert uac.accept(ASKED, response(200, line), POLICY).agreement is None


@pytest.mark.requirement("UAC-7.2-08", "UAC-7.2-10")
@pytest.mark.parametrize("line", ["Supported: timer", "Supported: 100rel"])
def test_what_was_never_agreed_on_the_wire_is_not_switched_off_by_a_bare_2xx(line: str) -> None:
    alone = DialogTimer(Agreement.refreshed_alone(1800))
    assert uac.accept(ASKED, response(200, line), POLICY, alone).agreement == Agreement.refreshed_alone(1800)


@pytest.mark.requirement("G-01", "SE-4-05")
@pytest.mark.parametrize(("most", "held"), [(None, 86400), (3600, 86400), (172800, 172800)])
def test_a_peer_that_names_136_years_is_looked_at_once_a_day(most: int | None, held: int) -> None:
    policy = Policy(max_expires=most)
    assert uac.accept(ASKED, shows(2**32 - 1, Role.UAS), policy).agreement == Agreement(held, Side.REMOTE)


@pytest.mark.requirement("UAC-7.2-08", "G-06")
def test_refreshing_alone_where_the_peer_knows_no_timers() -> None:
    bare = RefreshResponse()
    assert uac.accept(ASKED, bare, POLICY).agreement == Agreement(1800, Side.LOCAL, one_sided=True)
    assert uac.accept(ASKED, bare, Policy(one_sided=False)).agreement is None
    quiet = Policy(default_expires=600, request_timer=False)
    assert uac.accept(TimerHeaders(), bare, quiet).agreement == Agreement(600, Side.LOCAL, one_sided=True)


@pytest.mark.requirement("UAC-7.2-09", "UAC-7.2-10", "SE-4-07", "G-06")
@pytest.mark.parametrize("dialog", [OURS, THEIRS])
def test_a_bare_2xx_of_a_peer_that_knows_timers_switches_them_off(dialog: DialogTimer) -> None:
    after = uac.accept(ASKED, RefreshResponse(), POLICY, dialog)
    assert after.agreement is None
    assert after.peer_supports


@pytest.mark.requirement("G-06", "IANA-12-04")
def test_support_in_the_bare_2xx_itself_means_off() -> None:
    after = uac.accept(ASKED, RefreshResponse(supports_timer=True), POLICY)
    assert after == DialogTimer(peer_supports=True)


@pytest.mark.requirement("G-06", "UAC-7.2-08")
def test_refreshing_alone_goes_on_after_a_bare_2xx() -> None:
    alone = uac.accept(ASKED, RefreshResponse(), POLICY)
    headers = uac.request(POLICY, alone)
    assert headers.session_expires == SessionExpires.of(1800, Role.UAC)
    assert uac.accept(headers, RefreshResponse(), POLICY, alone) == alone


@pytest.mark.requirement("UAC-7.4-13")
@pytest.mark.parametrize(
    ("sent", "answer", "supports"),
    [
        (ASKED, shows(1800, Role.UAS), True),
        (ASKED, shows(1800, Role.UAC), False),
        (TimerHeaders(), shows(1800, Role.UAC), True),
        (ASKED, RefreshResponse(supports_timer=True), True),
        (ASKED, RefreshResponse(), False),
    ],
)
def test_whether_the_answer_shows_support(
    sent: TimerHeaders, answer: RefreshResponse, supports: bool
) -> None:
    """A proxy completes with refresher=uac what a peer without support left bare: that shows nothing."""
    assert uac.accept(sent, answer, POLICY).peer_supports is supports


@pytest.mark.requirement("UAC-7.2-01", "UAC-7.2-12")
def test_forks_have_timers_of_their_own() -> None:
    answers = (shows(1800, Role.UAC), shows(300, Role.UAS), RefreshResponse(supports_timer=True))
    forks = [uac.accept(ASKED, answer, POLICY).agreement for answer in answers]
    assert forks == [Agreement(1800, Side.LOCAL), Agreement(300, Side.REMOTE), None]


@pytest.mark.requirement("G-12", "SEC-11-02", "UAC-7.4-09")
@pytest.mark.parametrize(
    ("granted", "min_se", "refreshed"),
    [(10, None, 90), (60, 300, 300), (7200, None, 7200), (1800, 4000, 4000)],
)
def test_any_interval_of_a_2xx_is_accepted_and_the_next_refresh_is_lawful(
    granted: int, min_se: int | None, refreshed: int
) -> None:
    after = uac.accept(ASKED, shows(granted, Role.UAC), POLICY, DialogTimer(min_se=min_se))
    assert after.agreement == Agreement(granted, Side.LOCAL)
    assert uac.request(POLICY, after) == TimerHeaders(SessionExpires.of(refreshed, Role.UAC), min_se)


@pytest.mark.requirement("UAC-7.4-17", "UPD-4-03")
@pytest.mark.parametrize(
    ("known", "shown", "after"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_the_latest_allow_counts(known: bool, shown: bool | None, after: bool) -> None:
    dialog = uac.accept(
        ASKED, RefreshResponse(allows_update=shown), POLICY, DialogTimer(peer_allows_update=known)
    )
    assert dialog.peer_allows_update is after


@pytest.mark.requirement("UAC-7.3-01", "UAC-7.4-03", "DEF-2-04")
def test_a_retry_after_422_raises_both_headers() -> None:
    sent = uac.request(POLICY)
    min_se = uac.retry_with(told(3600), sent, retries=0)
    assert min_se == 3600
    assert uac.request(POLICY, None, min_se) == TimerHeaders(SessionExpires.of(3600), 3600)


@pytest.mark.requirement("UAC-7.3-01", "REF-10-06")
@pytest.mark.parametrize(
    ("answer", "sent", "retries"),
    [
        (told(None), ASKED, 0),
        (told(3600), TimerHeaders(SessionExpires.of(3600), 3600), 1),
        (told(90), TimerHeaders(SessionExpires.of(1800), 90), 1),
        (told(4000), TimerHeaders(SessionExpires.of(3600), 4000), 1),
        (told(9999), ASKED, uac.MOST_422_RETRIES),
    ],
)
def test_a_422_that_asks_for_nothing_new_is_not_retried(
    answer: RefreshResponse, sent: TimerHeaders, retries: int
) -> None:
    assert uac.retry_with(answer, sent, retries) is None


@pytest.mark.parametrize("sent", [TimerHeaders(), ASKED])
@pytest.mark.parametrize("min_se", [90, 120, 1800])
def test_a_422_to_a_request_without_min_se_can_be_met(sent: TimerHeaders, min_se: int) -> None:
    """A proxy may have reduced our interval to below what the next one wants; a Min-SE keeps it from that."""
    assert uac.retry_with(told(min_se), sent, 0) == min_se


@pytest.mark.requirement("UAC-7.4-02", "UAC-7.4-04")
def test_the_largest_min_se_on_the_dialog_is_sent() -> None:
    dialog = DialogTimer(Agreement(1800, Side.LOCAL), min_se=300, peer_supports=True)
    for min_se in (3600, 4000, 3700):
        dialog = uac.rejected(dialog, told(min_se))
    assert uac.request(POLICY, dialog) == TimerHeaders(SessionExpires.of(4000, Role.UAC), 4000)


@pytest.mark.requirement("UAC-7.4-05")
def test_without_a_dialog_each_retry_needs_more_than_the_last() -> None:
    sent = uac.request(POLICY, None, 3600)
    assert uac.retry_with(told(4000), sent, 1) == 4000
    assert uac.retry_with(told(3000), sent, 1) is None


@pytest.mark.requirement("UAC-7.4-06")
def test_the_min_se_from_before_the_dialog_is_forgotten_with_it() -> None:
    sent = uac.request(POLICY, None, 4000)
    dialog = uac.accept(sent, shows(4000, Role.UAC), POLICY)
    assert dialog.min_se is None
    assert uac.request(POLICY, dialog) == TimerHeaders(SessionExpires.of(4000, Role.UAC))


@pytest.mark.requirement("UAC-7.4-07")
def test_a_min_se_that_is_due_is_raised_to_our_own_minimum() -> None:
    dialog = DialogTimer(Agreement(1800, Side.LOCAL), min_se=4000, peer_supports=True)
    headers = uac.request(Policy(min_se=5000, default_expires=5000), dialog)
    assert headers == TimerHeaders(SessionExpires.of(5000, Role.UAC), 5000)


@pytest.mark.requirement("R422-6-01", "REF-10-02", "UPD-5.3-01", "S61-14.1-03")
@pytest.mark.parametrize("code", [401, 408, 422, 481, 488, 491, 500, 503])
def test_a_refusal_leaves_the_agreement(code: int) -> None:
    after = uac.rejected(OURS, RefreshResponse(code=code, min_se=4000 if code == 422 else None))
    assert after.agreement == OURS.agreement
    assert after.min_se == (4000 if code == 422 else None)


@pytest.mark.requirement("UAC-7.4-08", "UAC-7.4-09", "UAC-7.4-10", "UAC-7.2-17")
@pytest.mark.parametrize("wish", [90, 600, 7200])
def test_a_request_in_the_dialog_repeats_the_interval_in_force(wish: int) -> None:
    headers = uac.request(Policy(default_expires=wish), OURS)
    assert headers.session_expires == SessionExpires.of(1800, Role.UAC)


@pytest.mark.requirement("UAC-7.4-11", "S61-12.2-01", "G-09")
@pytest.mark.parametrize(("dialog", "role"), [(OURS, Role.UAC), (THEIRS, Role.UAS)])
@pytest.mark.parametrize("prefer", list(Role))
def test_a_request_in_the_dialog_keeps_the_refresher(dialog: DialogTimer, role: Role, prefer: Role) -> None:
    headers = uac.request(Policy(prefer_refresher=prefer), dialog)
    assert headers.session_expires == SessionExpires.of(1800, role)


@pytest.mark.requirement("UAC-7.2-09")
def test_switched_off_stays_off_when_we_send_for_another_reason() -> None:
    off = DialogTimer(min_se=300, peer_supports=True)
    assert uac.request(POLICY, off) == TimerHeaders(None, 300)


def test_a_peer_of_which_nothing_is_known_is_asked_anew_in_the_dialog() -> None:
    assert uac.request(POLICY, DialogTimer(min_se=2400)) == TimerHeaders(SessionExpires.of(2400), 2400)
    quiet = uac.request(Policy(request_timer=False), DialogTimer(Agreement(1800, Side.LOCAL, one_sided=True)))
    assert quiet == TimerHeaders()


@pytest.mark.requirement("G-07")
def test_the_invites_2xx_wins_over_an_update_before_it() -> None:
    early = uac.accept(ASKED, shows(600, Role.UAS), POLICY)
    assert uac.accept(ASKED, shows(1800, Role.UAC), POLICY, early).agreement == Agreement(1800, Side.LOCAL)


@pytest.mark.requirement("REF-10-01")
def test_a_uas_that_refreshes_builds_its_request_by_the_same_rules() -> None:
    granted_as_uas = DialogTimer(Agreement(1800, Side.LOCAL), min_se=600, peer_supports=True)
    assert uac.request(POLICY, granted_as_uas) == TimerHeaders(SessionExpires.of(1800, Role.UAC), 600)
