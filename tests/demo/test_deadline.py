"""The next deadline after each message, by RFC 4028 and by hand."""

from __future__ import annotations

import pytest
from demo.deadline import Deadline, Due, after, guard, notes

from tests.lab import wire
from tests.lab.capture import Packet
from tests.lab.drawn_calls import packet, the_call
from tests.lab.wire import ASTERISK, CARRIER, EDGE


def running_after(packets: list[Packet]) -> Deadline | None:
    deadline = None
    for each in packets:
        if {each.source.address, each.destination.address} == {CARRIER, EDGE}:
            deadline = after(deadline, each, EDGE)
    return deadline


@pytest.mark.requirement("REF-10-08")
@pytest.mark.parametrize(("interval", "seconds"), [(12, 4), (90, 30), (96, 32), (1800, 32), (4000, 32)])
def test_guard(interval: int, seconds: float) -> None:
    assert guard(interval) == seconds


def test_deadlines_of_a_call() -> None:
    call = the_call()

    set_by_2xx = [running_after(call[: n + 1]) for n in range(len(call))]

    assert set_by_2xx[6] is None
    accepted, refreshed, handed_over = set_by_2xx[7], set_by_2xx[12], set_by_2xx[14]
    assert accepted is not None
    assert refreshed is not None
    assert handed_over is not None
    assert accepted.due is Due.OUR_REFRESH
    assert accepted.at == pytest.approx(1006.21)
    assert accepted.interval == 12
    assert set_by_2xx[11] == accepted
    assert refreshed.due is Due.OUR_REFRESH
    assert refreshed.at == pytest.approx(1012.72)
    assert handed_over.due is Due.THEIR_REFRESH
    assert handed_over.at == pytest.approx(1020.01)
    assert set_by_2xx[15] is None


def test_a_2xx_without_the_header_ends_the_timer() -> None:
    running = running_after(the_call()[:8])
    bare = packet(3.0, EDGE, CARRIER, wire.response("200 OK", "UPDATE"))

    assert running is not None
    assert after(running, bare, EDGE) is None


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize(
    "message",
    [
        wire.response("491 Request Pending", "UPDATE", "Session-Expires: 12;refresher=uac"),
        wire.response("200 OK", "OPTIONS", "Session-Expires: 12;refresher=uac"),
        wire.request("UPDATE", "Session-Expires: 12;refresher=uac"),
    ],
)
def test_nothing_but_a_2xx_to_a_refresh_moves_it(message: bytes) -> None:
    running = running_after(the_call()[:8])

    assert after(running, packet(3.0, EDGE, CARRIER, message), EDGE) == running


def test_the_other_leg_does_not_count() -> None:
    assert notes(the_call(), EDGE, ASTERISK) == []


def test_notes_stand_where_a_deadline_is_set() -> None:
    found = notes(the_call(), EDGE, CARRIER)

    assert [(round(note.time, 2), note.text) for note in found] == [
        (0.21, "N = 12 s, Asterisk refreshes: by 6.2 s, half the interval"),
        (6.72, "N = 12 s, Asterisk refreshes: by 12.7 s, half the interval"),
        (12.01, "N = 12 s, the carrier refreshes: if it does not, BYE at 20.0 s"),
    ]
