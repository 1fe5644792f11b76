"""From a caller through a proxy to an answerer and back: who refreshes (RFC 4028 7.2, 8.2, 9).

Also the call legs of a session border controller's published interworking examples (Oracle ECZ
configuration guide, session timer profiles), as an outside opinion on the same decisions.
"""

from __future__ import annotations

from itertools import product

import pytest
from session_timer import (
    Agreement,
    Policy,
    RefreshRequest,
    RefreshResponse,
    Role,
    SessionExpires,
    Side,
    proxy,
    uac,
    uas,
)
from session_timer.dialog import DialogTimer
from session_timer.minimum import Reject
from session_timer.uac import TimerHeaders
from session_timer.uas import Accept

from tests.library.sip_rows import request, response


def through(
    *, uac_supports: bool, uas_supports: bool, uac_asks: bool, proxy_asks: bool, uas_asks: bool = False
) -> tuple[RefreshResponse, RefreshResponse, DialogTimer]:
    """The 2xx as it left the answerer, as it reached the caller, and what the caller made of it."""
    caller = Policy(enabled=uac_supports, request_timer=uac_asks, one_sided=False)
    sent = uac.request(caller)
    asked = RefreshRequest("INVITE", sent.session_expires, sent.min_se, uac.shows_support("INVITE", caller))
    passed = proxy.forward(asked, Policy(request_timer=proxy_asks, max_expires=900, default_expires=900))
    assert not isinstance(passed, Reject)
    forward, kept = passed
    arrived = RefreshRequest(
        "INVITE", forward.session_expires or asked.session_expires, None, asked.supports_timer
    )
    decision = uas.answer(arrived, Policy(enabled=uas_supports, request_timer=uas_asks, one_sided=False))
    assert isinstance(decision, Accept)
    left = RefreshResponse(200, decision.session_expires, None, uas_supports, decision.require_timer)
    done = proxy.complete(kept, left, Side.LOCAL)
    came = left
    if done.session_expires is not None:
        came = RefreshResponse(200, done.session_expires, None, uas_supports, done.require_timer)
    return left, came, uac.accept(sent, came, caller)


@pytest.mark.requirement("UAS-9-14", "UAS-9-16", "PRX-8.2-06")
@pytest.mark.parametrize(("uac_asks", "proxy_asks"), [(True, False), (True, True), (False, True)])
def test_both_support_and_somebody_asks(uac_asks: bool, proxy_asks: bool) -> None:
    left, came, dialog = through(
        uac_supports=True, uas_supports=True, uac_asks=uac_asks, proxy_asks=proxy_asks
    )
    assert left == came
    assert came.requires_timer
    assert came.session_expires == SessionExpires.of(900, Role.UAC)
    assert dialog.agreement == Agreement(900, Side.LOCAL)


@pytest.mark.requirement("UAS-9-11", "SE-4-07")
@pytest.mark.parametrize("uas_asks", [False, True])
def test_both_support_and_nobody_asks_but_perhaps_the_uas(uas_asks: bool) -> None:
    _, came, dialog = through(
        uac_supports=True, uas_supports=True, uac_asks=False, proxy_asks=False, uas_asks=uas_asks
    )
    assert (came.session_expires is not None) is uas_asks
    assert came.requires_timer is uas_asks
    assert dialog.agreement == (Agreement(1800, Side.LOCAL) if uas_asks else None)


@pytest.mark.requirement("PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "UAC-7.2-04")
@pytest.mark.parametrize("uac_asks", [False, True])
def test_the_uas_lacks_support_and_the_proxy_asked(uac_asks: bool) -> None:
    left, came, dialog = through(uac_supports=True, uas_supports=False, uac_asks=uac_asks, proxy_asks=True)
    assert left.session_expires is None
    assert came.session_expires == SessionExpires.of(900, Role.UAC)
    assert came.requires_timer
    assert dialog.agreement == Agreement(900, Side.LOCAL)


@pytest.mark.requirement("UAC-7.2-08", "UAC-7.2-09")
@pytest.mark.parametrize(
    ("one_sided", "agreement"), [(False, None), (True, Agreement(1800, Side.LOCAL, one_sided=True))]
)
def test_the_uas_lacks_support_and_only_the_uac_asked(one_sided: bool, agreement: Agreement | None) -> None:
    policy = Policy(one_sided=one_sided)
    assert uac.accept(uac.request(policy), response(200), policy).agreement == agreement


@pytest.mark.requirement("UAS-9-14", "S61-8.2.4-01")
def test_the_uac_lacks_support_and_the_proxy_asked() -> None:
    left, came, dialog = through(uac_supports=False, uas_supports=True, uac_asks=False, proxy_asks=True)
    assert left == came
    assert came.session_expires == SessionExpires.of(900, Role.UAS)
    assert not came.requires_timer
    assert dialog.agreement is None


@pytest.mark.requirement("G-05", "PRX-8.2-02")
@pytest.mark.parametrize(("uas_supports", "proxy_asks"), [(True, False), (False, False), (False, True)])
def test_the_uac_lacks_support_and_nobody_can(uas_supports: bool, proxy_asks: bool) -> None:
    left, came, _ = through(
        uac_supports=False, uas_supports=uas_supports, uac_asks=False, proxy_asks=proxy_asks
    )
    assert left == came
    assert came.session_expires is None


@pytest.mark.requirement("PRX-8.1-23", "S61-8.2.2.3-01")
def test_insisting_where_neither_end_supports_fails_the_call() -> None:
    passed = proxy.forward(request(), Policy(), insist=True)
    assert not isinstance(passed, Reject)
    assert passed[0].require_timer
    arrived = request("Require: timer", f"Session-Expires: {passed[0].session_expires}")
    assert uas.answer(arrived, Policy(enabled=False)) == Reject(420)


@pytest.mark.requirement("MSE-5-01", "MSE-5-02", "DEF-2-01", "G-12")
@pytest.mark.parametrize(
    ("asked", "supports", "own", "most", "at_uas"),
    list(product((90, 100, 600, 1800, 7200), (False, True), (90, 300, 900), (None, 120, 900), (90, 300))),
)
def test_what_comes_out_lies_between_min_se_and_what_was_asked(
    asked: int, supports: bool, own: int, most: int | None, at_uas: int
) -> None:
    read = RefreshRequest("INVITE", SessionExpires.of(asked), None, supports)
    passed = proxy.forward(read, Policy(min_se=own, max_expires=most))
    if isinstance(passed, Reject):
        assert supports
        assert asked < own
        return
    forward, _ = passed
    arrived = RefreshRequest(
        "INVITE", forward.session_expires or read.session_expires, forward.min_se, supports
    )
    assert arrived.session_expires is not None
    decision = uas.answer(arrived, Policy(min_se=at_uas, max_expires=most))
    if isinstance(decision, Reject):
        assert supports
        assert arrived.session_expires.interval < at_uas
        return
    assert decision.session_expires is not None
    assert (
        max(90, arrived.min_se or 0) <= decision.session_expires.interval <= arrived.session_expires.interval
    )


@pytest.mark.parametrize(
    ("prefer", "lines", "answer"),
    [
        (Role.UAS, ("Session-Expires: 200",), "200;refresher=uas"),
        (Role.UAC, ("Session-Expires: 1200;refresher=uas",), "500;refresher=uas"),
        (Role.UAS, ("Session-Expires: 1200;refresher=uac", "Min-SE: 800"), "800;refresher=uac"),
    ],
)
def test_originating_leg_as_a_border_controller_answers_it(
    prefer: Role, lines: tuple[str, ...], answer: str
) -> None:
    policy = Policy(default_expires=500, max_expires=500, min_se=200, prefer_refresher=prefer)
    decision = uas.answer(request("Supported: timer", *lines), policy)
    assert isinstance(decision, Accept)
    assert (str(decision.session_expires), decision.require_timer) == (answer, True)


@pytest.mark.parametrize(
    ("policy", "sent", "answer", "agreement"),
    [
        (
            Policy(default_expires=500, min_se=400),
            TimerHeaders(SessionExpires.of(500), 400),
            ("Require: timer", "Session-Expires: 400;refresher=uas"),
            Agreement(400, Side.REMOTE),
        ),
        (
            Policy(default_expires=500, min_se=400, offer_refresher=True, prefer_refresher=Role.UAS),
            TimerHeaders(SessionExpires.of(500, Role.UAS), 400),
            (),
            Agreement(500, Side.LOCAL, one_sided=True),
        ),
        (
            Policy(request_timer=False),
            TimerHeaders(),
            ("Require: timer", "Session-Expires: 400;refresher=uac"),
            Agreement(400, Side.LOCAL),
        ),
    ],
)
def test_terminating_leg_as_a_border_controller_asks(
    policy: Policy, sent: TimerHeaders, answer: tuple[str, ...], agreement: Agreement
) -> None:
    assert uac.request(policy) == sent
    assert uac.accept(sent, response(200, *answer), policy).agreement == agreement
