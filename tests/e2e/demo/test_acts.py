"""The four calls of the demo, and one call at RFC 4028's shortest interval, all at the same time.

SIPp plays the carrier; the capture, Asterisk's CDR and Kamailio's table are the witnesses.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from demo.acts import ACTS, Act, Call, checks
from demo.play import new_call_id, play

from tests.lab.together import Stage, Together

together = Together()
# Other tests hold ports 5060 and 5070 of the carrier's addresses.
_ports = itertools.count(5170)


def show(stage: Stage, act: Act, call: Call) -> None:
    """Play one call of an act; everything that the demo wants of it must hold."""
    with tempfile.TemporaryDirectory() as folder:
        seen = play(call, stage.stack, Path(folder), new_call_id(call, stage.stack), port=next(_ports))
    assert [each for each in checks(act, seen) if not each.passed] == []


@pytest.mark.smoke
@together.test("UAS-9-01", "UAS-9-02", "MSE-5-03")
def test_interval_below_the_minimum_is_accepted_at_the_second_try(stage: Stage) -> None:
    (call,) = ACTS[0].calls
    show(stage, ACTS[0], call)


@pytest.mark.smoke
@together.test("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-16", "UAC-7.4-18", "REF-10-01", "UPD-5.1-02")
def test_call_lives_by_our_updates(stage: Stage) -> None:
    show(stage, ACTS[1], ACTS[1].calls[0])


@pytest.mark.smoke
@together.test("UAC-7.2-15", "UAC-7.2-16", "UAC-7.4-19", "REF-10-01")
def test_call_lives_by_our_reinvites(stage: Stage) -> None:
    show(stage, ACTS[1], ACTS[1].calls[1])


@together.test("DEF-2-03", "REF-10-02")
def test_call_whose_peer_keeps_its_word_is_left_alone(stage: Stage) -> None:
    (call,) = ACTS[2].calls
    show(stage, ACTS[2], call)


@pytest.mark.smoke
@together.test("REF-10-07", "REF-10-08")
def test_call_whose_peer_dies_is_ended_with_a_reason(stage: Stage) -> None:
    (call,) = ACTS[3].calls
    show(stage, ACTS[3], call)


@together.test("SE-4-03", "SE-4-05", "UAC-7.2-15", "UAC-7.2-16")
def test_at_the_shortest_lawful_interval_the_refresh_leaves_after_45_seconds(stage: Stage) -> None:
    call = stage.peer(45).call()
    answer = call.dial("Supported: timer", "Session-Expires: 90")
    assert answer.rows("Session-Expires") == ("90;refresher=uas",)
    request = call.expect("UPDATE", timeout=50)
    assert request.rows("Session-Expires") == ("90;refresher=uac",)
    call.accept(request, "Require: timer", "Session-Expires: 90;refresher=uac")
    stage.companion.session(call.call_id, lambda seen: seen["refreshes"] == 1 and seen["due"] > 30)
    seen = stage.observed(call)
    (refresh,) = seen.refreshes
    assert seen.established is not None
    assert 40.3 <= refresh.request.time - seen.established.time <= 46
    assert call.bye().status == 200
