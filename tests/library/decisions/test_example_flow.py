"""The example of RFC 4028 section 13: two proxies, two 422, one refresh, and a refresher that dies.

Errata 1681 and 3614 apply to the From tag and to Record-Route, which are not ours to write.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    RefreshRequest,
    RefreshResponse,
    SessionExpires,
    Side,
    proxy,
    session,
    uac,
    uas,
)
from session_timer.minimum import Reject
from session_timer.session.transitions import State
from session_timer.uac import TimerHeaders
from session_timer.uas import Accept

from tests.library.sip_rows import response

# Alice wants 50 seconds, which RFC 4028 section 4 does not allow: only a lab's floor lets her ask.
ALICE = Policy(default_expires=50, min_se=50, floor=50)
PROXY_1, PROXY_2 = Policy(min_se=3600, default_expires=3600), Policy(min_se=4000, default_expires=4000)
BOB = Policy()


@dataclass(frozen=True)
class Call:
    """What every message of the flow carried."""

    first: Reject
    second: Reject
    retries: tuple[TimerHeaders, ...]
    answer: Accept
    dialog: DialogTimer


def as_received(headers: TimerHeaders, method: str = "INVITE") -> RefreshRequest:
    return RefreshRequest(
        method, headers.session_expires, headers.min_se, supports_timer=True, allows_update=True
    )


@pytest.fixture
def call() -> Call:
    first_try = uac.request(ALICE)
    first = proxy.forward(as_received(first_try), PROXY_1)
    assert isinstance(first, Reject)
    told = uac.retry_with(RefreshResponse(422, min_se=first.min_se), first_try, 0)
    second_try = uac.request(ALICE, None, told)
    assert not isinstance(proxy.forward(as_received(second_try), PROXY_1), Reject)
    second = proxy.forward(as_received(second_try), PROXY_2)
    assert isinstance(second, Reject)
    told = uac.retry_with(RefreshResponse(422, min_se=second.min_se), second_try, 1)
    third_try = uac.request(ALICE, None, told)
    passed = [proxy.forward(as_received(third_try), policy) for policy in (PROXY_1, PROXY_2)]
    assert passed == [(proxy.Forward(), proxy.Remembered(4000, uac_supports=True))] * 2
    answer = uas.answer(as_received(third_try), BOB)
    assert isinstance(answer, Accept)
    two_xx = response(
        200,
        f"Session-Expires: {answer.session_expires}",
        "Require: timer",
        "Supported: timer",
        "Allow: UPDATE",
    )
    assert (
        proxy.complete(proxy.Remembered(4000, uac_supports=True), two_xx, Side.LOCAL).session_expires is None
    )
    return Call(first, second, (second_try, third_try), answer, uac.accept(third_try, two_xx, ALICE))


@pytest.mark.requirement("EX-13-01", "R422-6-02")
def test_the_first_proxy_wants_an_hour(call: Call) -> None:
    assert call.first == Reject(422, 3600)


@pytest.mark.requirement("EX-13-02", "UAC-7.3-01")
def test_the_first_retry_meets_it(call: Call) -> None:
    assert call.retries[0] == TimerHeaders(SessionExpires.of(3600), 3600)


@pytest.mark.requirement("EX-13-03", "UAC-7.4-05")
def test_the_second_proxy_wants_more_and_gets_the_larger(call: Call) -> None:
    assert call.second == Reject(422, 4000)
    assert call.retries[1] == TimerHeaders(SessionExpires.of(4000), 4000)


@pytest.mark.requirement("EX-13-04", "UAS-9-16")
def test_bob_makes_alice_the_refresher(call: Call) -> None:
    assert str(call.answer.session_expires) == "4000;refresher=uac"
    assert call.answer.require_timer
    assert call.answer.dialog.agreement == Agreement(4000, Side.REMOTE)
    assert call.dialog.agreement == Agreement(4000, Side.LOCAL)


@pytest.mark.requirement("EX-13-05", "UAC-7.4-06", "UAC-7.4-16", "UAC-7.4-18")
def test_alice_refreshes_by_a_bare_update_after_half(call: Call) -> None:
    held, action = session.due(session.begin(call.dialog, 0.0, ALICE), 2000.0)
    assert action == session.Send(session.Method.UPDATE)
    headers = uac.request(ALICE, held.dialog)
    assert (str(headers.session_expires), headers.min_se) == ("4000;refresher=uac", None)


@pytest.mark.requirement("EX-13-06", "UAS-9-15")
def test_bob_repeats_what_holds(call: Call) -> None:
    update = as_received(uac.request(ALICE, call.dialog), "UPDATE")
    answer = uas.answer(update, BOB, call.answer.dialog)
    assert isinstance(answer, Accept)
    assert (str(answer.session_expires), answer.require_timer) == ("4000;refresher=uac", True)


@pytest.mark.requirement("EX-13-07", "REF-10-07", "REF-10-08")
def test_bob_gives_up_3968_seconds_after_the_last_2xx(call: Call) -> None:
    """His probe leaves in time for one form to be over by then; he hangs up after the last one."""
    held = session.begin(call.answer.dialog, 2000.0, BOB)
    assert held.wake is not None
    assert held.deadline == 2000.0 + 3968
    now = held.wake
    held, _ = session.due(held, now)
    held, action = session.silent(held, now)
    while isinstance(action, session.Send):
        now += BOB.answer_time(4000)
        held, action = session.timed_out(held, now)
    assert action == session.Expire(session.Reason.SILENT, hang_up=True)
    assert 2000.0 + 3968 <= now < 2000.0 + 4000


@pytest.mark.requirement("EX-13-08")
def test_what_becomes_of_the_bye_does_not_matter(call: Call) -> None:
    held, _ = session.due(session.begin(call.answer.dialog, 0.0, Policy(probe=False)), 3968.0)
    over, _ = session.silent(held, 3968.0)
    assert over.state is State.OVER
    assert session.responded(over, 4000.0, response(408), 0.0) == (over, None)
