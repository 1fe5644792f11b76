"""The last events of each call: what is kept, what is left out, and that it stays small."""

from __future__ import annotations

import pytest
from session_timer_companion.events.call_log import FACTS, LONGEST, STEP, EndedCall, History


def ended(call_id: str, at: float, events: bytes) -> EndedCall:
    return EndedCall("ast1", call_id, "PJSIP/a-1", "", "", at, "ended", 0, events)


def test_events_come_back_in_their_order_with_their_details() -> None:
    history = History(events=8, ended=1)
    kept = history.add(b"", 1.0, "armed", {"interval": 1800, "channel": "PJSIP/a-1", "due_in": 3.0})
    kept = history.add(kept, 2.5, "refresh_refused", {"code": 488, "peer": None}, notable=True)
    first, second = history.decoded(kept)
    assert (first.at, first.fact.event, first.fact.details) == (1.0, "armed", (("interval", "1800"),))
    assert (second.at, second.fact.details, second.fact.notable) == (2.5, (("code", "488"),), True)


def test_only_the_last_events_are_kept() -> None:
    history = History(events=3, ended=1)
    kept = b""
    for number in range(10):
        kept = history.add(kept, number, "refresh_refused", {"code": 400 + number})
    assert [event.at for event in history.decoded(kept)] == pytest.approx([7.0, 8.0, 9.0])


def test_what_happens_again_in_a_row_is_counted_and_pushes_nothing_out() -> None:
    history = History(events=2, ended=1)
    kept = history.add(b"", 1.0, "armed", {})
    for number in range(100_000):
        kept = history.add(kept, 2.0 + number, "no_evidence", {"reason": "the edge does not reply"})
    first, last = history.decoded(kept)
    assert first.fact.event == "armed"
    assert last.at == pytest.approx(100_001.0)
    assert last.times == 0xFFFF


def test_refreshes_and_their_confirmations_are_counted_and_do_not_push_out_how_it_began() -> None:
    history = History(events=24, ended=1)
    kept = history.add(b"", 0.0, "armed", {"interval": 1800})
    for number in range(1, 101):
        kept = history.add(kept, 900.0 * number, "refresh_sent", {"method": "UPDATE"})
        kept = history.add(kept, 900.0 * number + 0.25, "refresh_confirmed", {"refreshes": number})
    kept = history.add(kept, 91_000.0, "refresh_sent", {"method": "UPDATE"})
    told = [(event.fact.event, event.times, event.at) for event in history.decoded(kept)]
    assert told == [
        ("armed", 1, 0.0),
        ("refresh_confirmed", 100, pytest.approx(90_000.25)),
        ("refresh_sent", 101, pytest.approx(91_000.0)),
    ]


def test_what_else_happens_between_two_refreshes_stays_in_its_place() -> None:
    history = History(events=24, ended=1)
    kept = b""
    for at, event in enumerate(("refresh_sent", "refresh_refused", "call_moved", "refresh_sent")):
        kept = history.add(kept, at, event, {})
    told = [(event.fact.event, event.times) for event in history.decoded(kept)]
    assert told == [("refresh_sent", 1), ("refresh_refused", 1), ("call_moved", 1), ("refresh_sent", 1)]


def test_times_are_kept_to_a_step_and_the_order_always() -> None:
    history = History(events=24, ended=1)
    kept = b""
    for at, event in (
        (-1.0, "armed"),
        (12.349, "refresh_sent"),
        (12.35, "refresh_confirmed"),
        (1e12, "hung_up"),
    ):
        kept = history.add(kept, at, event, {})
    ats = [event.at for event in history.decoded(kept)]
    assert ats == sorted(ats)
    assert ats[0] == 0
    assert ats[1:3] == pytest.approx([12.349, 12.35], abs=STEP)


def test_without_events_nothing_is_kept() -> None:
    history = History(events=0, ended=10)
    assert history.add(b"", 1.0, "armed", {}) == b""


def test_a_call_costs_a_few_bytes_an_event_whatever_its_details() -> None:
    history = History(events=16, ended=1)
    kept = b""
    for number in range(1000):
        kept = history.add(kept, number, "refresh_not_sent", {"reason": f"{number}" * 1000})
    assert len(kept) == 16 * 8
    assert all(len(event.fact.details[0][1]) <= LONGEST for event in history.decoded(kept))


def test_more_different_facts_than_are_told_apart_lose_their_details_alone() -> None:
    history = History(events=2, ended=1)
    for number in range(FACTS + 100):
        kept = history.add(b"", number, "refresh_not_sent", {"reason": number})
    (event,) = history.decoded(kept)
    assert (event.fact.event, event.fact.details) == ("refresh_not_sent", ())
    assert len(history._facts) <= FACTS + 1


def test_calls_that_simply_ended_do_not_push_out_those_that_were_hung_up() -> None:
    history = History(events=4, ended=2)
    bad = history.add(b"", 1.0, "hung_up", {"reason": "gone"}, notable=True)
    history.close(ended("bad", 1.0, bad))
    for number in range(5):
        history.close(ended(f"good-{number}", 2.0 + number, history.add(b"", 1.0, "armed", {})))
    assert [call.call_id for call in history.ended()] == ["good-4", "good-3", "bad"]
    assert [history.is_notable(call) for call in history.ended()] == [False, False, True]
    assert history.ended_as("good-0") == []
    assert [call.call_id for call in history.ended_as("bad")] == ["bad"]
