"""Asterisk faces its peers itself: answered calls are refreshed, so that it finds the dead ones.

There is no edge and no record. Nobody learns whether a refresh was answered, but Asterisk. So each is a
re-INVITE: whether an UPDATE left Asterisk nobody would know.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.several_asterisks import AT_ALONE, CARRIER, OWN_TIMERS, PBX, called_alone, direct, placed
from tests.lab.peers.audio import Audio
from tests.lab.peers.expectations import assert_no_timer
from tests.lab.peers.refreshed_calls import EARLY, HALF, INTERVAL, LATE, NO_UPDATE, TIMER, in_a_row
from tests.lab.peers.user_agent import Call
from tests.lab.sip import SipMessage
from tests.lab.together import Stage, Together
from tests.lab.waiting import PATIENCE, wait_until

together = Together()
SELF_ENDING = 36
"""Seconds after a refresh by which Asterisk has ended a call that is dead: 32 for an answer, and some."""
SHORTEST = 90
"""Seconds: Asterisk itself takes no shorter interval."""


@pytest.fixture(scope="module")
def stage(stage: Stage, of_both: Companion) -> Stage:
    """With the companion that has the two Asterisks."""
    return replace(stage, companion=of_both)


def refreshed(call: Call, method: str, since: float, *, due: float = HALF) -> SipMessage:
    """The next refresh, which must not speak of timers, ``due`` seconds after ``since``; not answered yet."""
    request = call.expect(method, timeout=due + LATE)
    assert due - EARLY <= time.monotonic() - since <= due + LATE
    assert_no_timer(request)
    return request


def is_gone(stage: Stage, call: Call, timeout: float = PATIENCE) -> None:
    """Asterisk hangs up, and the companion forgets the call."""
    call.answer(call.expect("BYE", timeout=timeout), 200)
    wait_until(
        stage.companion.sessions, PATIENCE, "no such session", holds=lambda seen: call.call_id not in seen
    )


def keep(call: Call, request: SipMessage, row: int = 1) -> None:
    """The answer of a live peer, to each of the ``row`` re-INVITEs that make one refresh."""
    call.accept(request)
    call.expect("ACK")
    for _ in range(row - 1):
        call.accept(call.expect("INVITE"))
        call.expect("ACK")


@together.test("UAC-7.2-16")
def test_call_that_came_is_refreshed_as_long_as_it_lives(stage: Stage) -> None:
    call, _ = called_alone(stage, CARRIER)
    since = time.monotonic()
    seen = stage.companion.session(call.call_id, lambda seen: seen["asterisk"] == "alone")
    assert (seen["edge"], seen["refresher"], seen["interval"]) == (None, "local", INTERVAL)
    row = in_a_row(stage.stack)
    keep(call, refreshed(call, "INVITE", since), row)
    keep(call, refreshed(call, "INVITE", since, due=INTERVAL), row)
    stage.companion.session(call.call_id, lambda seen: seen["state"] == "refreshing")
    assert call.bye().status == 200


@together.test("UAC-7.2-16")
def test_call_that_was_placed_is_refreshed(stage: Stage) -> None:
    call, invite = placed(stage.stack, AT_ALONE, "carrier", direct(stage, CARRIER))
    call.accept(invite)
    call.expect("ACK")
    keep(call, refreshed(call, "INVITE", time.monotonic()))
    assert call.bye().status == 200


@together.test("UAC-7.4-19")
def test_endpoint_whose_profile_says_reinvite(stage: Stage) -> None:
    """What is negotiated is offered again."""
    call, answer = called_alone(stage, PBX, allow=NO_UPDATE)
    request = refreshed(call, "INVITE", time.monotonic())
    was, again = Audio.read(answer.body), Audio.read(request.body)
    assert (again.session, again.address, again.direction) == (was.session, was.address, was.direction)
    assert again.media.split()[:4] == was.media.split()[:4]
    keep(call, request)
    assert call.bye().status == 200


def dead_by(stage: Stage, code: int) -> None:
    call, _ = called_alone(stage, CARRIER)
    call.answer(refreshed(call, "INVITE", time.monotonic()), code)
    is_gone(stage, call)


@together.test("REF-10-04")
def test_peer_that_does_not_know_the_call_is_found_dead(stage: Stage) -> None:
    dead_by(stage, 481)


@together.test("REF-10-04")
def test_peer_whose_far_side_does_not_answer_is_found_dead(stage: Stage) -> None:
    dead_by(stage, 408)


@together.test("REF-10-04")
def test_silent_peer_is_found_dead(stage: Stage) -> None:
    call, _ = called_alone(stage, CARRIER)
    refreshed(call, "INVITE", time.monotonic())
    is_gone(stage, call, SELF_ENDING)


@together.test()
def test_endpoint_with_timers_of_its_own_is_left_alone(stage: Stage) -> None:
    """The first refresh that comes is Asterisk's own, at half the interval that it has agreed on."""
    terms = f"{SHORTEST};refresher=uas"
    call, answer = called_alone(stage, OWN_TIMERS, TIMER, f"Session-Expires: {terms}")
    since = time.monotonic()
    assert answer.rows("Session-Expires") == (terms,)
    request = call.expect("UPDATE", timeout=SHORTEST / 2 + LATE)
    assert time.monotonic() - since >= SHORTEST / 2 - LATE
    assert request.rows("Session-Expires") == (f"{SHORTEST};refresher=uac",)
    assert call.call_id not in stage.companion.sessions()
    call.accept(request, "Require: timer", f"Session-Expires: {SHORTEST};refresher=uac")
    assert call.bye().status == 200
