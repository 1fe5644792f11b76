"""What a person reads in the terminal: tables, the doctor's text, the whole-screen view."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType
from session_timer_companion.api import ShownSession
from session_timer_companion.doctor.finding import Finding, Level
from session_timer_companion.terminal.findings import findings_text
from session_timer_companion.terminal.live_view import Snapshot, bar, picture, totals
from session_timer_companion.terminal.tables import (
    WIDE,
    duration,
    refresh_lines,
    session_table,
    sessions_table,
    terminal,
)

LONG = "a-call-id-of-many-words-" + "x" * 40 + "@carrier.example"


def call(call_id: str, due: float | None, **more: object) -> ShownSession:
    session: ShownSession = {
        "asterisk": "ast1",
        "call_id": call_id,
        "channel": "PJSIP/carrier-00000001",
        "peer": "carrier-a",
        "numbers": "100 200",
        "held": "",
        "edge": "udp:198.18.0.10:8090",
        "state": "ours",
        "refresher": "local",
        "interval": 1800,
        "since": -60.0,
        "due": due,
        "deadline": 1700.0,
        "refreshes": 3,
        "method": "UPDATE",
        "refused": [],
        "last": "refreshed",
    }
    session.update(more)  # type: ignore[typeddict-item]
    return session


def drawn(thing: RenderableType, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(thing, soft_wrap=False)
    return out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (4.24, "4.2s"),
        (-3.0, "-3.0s"),
        (-0.01, "0.0s"),
        (60, "1m 00s"),
        (1791, "29m 51s"),
        (7261, "2h 01m"),
    ],
)
def test_a_duration_is_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_most_urgent_call_comes_first_and_those_without_timer_last() -> None:
    text = drawn(sessions_table([call("never", None), call("later", 90.0), call("overdue", -2.0)]))
    assert text.index("overdue") < text.index("later") < text.index("never")


def test_a_long_call_id_is_whole() -> None:
    assert LONG in drawn(sessions_table([call(LONG, 5.0)]), width=220)


@pytest.mark.parametrize(
    ("call_id", "told"),
    [
        ("x@[fe80::1]", "x@[fe80::1]"),
        ("no-tag-[/open]", "no-tag-[/open]"),
        ("a:smile:b", "a:smile:b"),
        ("ring\x1b]0;mine\x07\x9b31m", r"ring\u001b]0;mine\u0007\u009b31m"),
        ("back\u202eward", r"back\u202eward"),
    ],
)
def test_a_call_id_is_shown_as_it_is_and_steers_no_terminal(call_id: str, told: str) -> None:
    one = call(call_id, 5.0)
    views = (sessions_table([one]), session_table(one), picture(Snapshot("u", [one]), height=24))
    finding = Finding(Level.PROBLEM, "Asterisk", f"the header of {call_id} cannot be read")
    for view in (*views, findings_text([finding])):
        assert told in drawn(view)


def test_in_a_narrow_terminal_a_list_is_folded_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns had no room for any Call-ID."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    console = terminal(WIDE)
    assert console.is_terminal
    with console.capture() as shown:
        console.print(sessions_table([call(LONG[:50], 5.0)]))
    assert LONG[:50] in shown.get()
    assert terminal().width == 80


def test_one_call_is_told_in_full() -> None:
    text = drawn(session_table(call("call-1", 5.0, refused=[491, 488], edge=None)))
    for part in ("call-1", "our refresh in 5.0s", "1m 00s ago", "491, 488", "faces the carrier itself"):
        assert part in text


def test_what_came_of_a_refresh_is_one_line() -> None:
    (line,) = refresh_lines(
        [
            {
                "asterisk": "ast1",
                "call_id": "c",
                "channel": "PJSIP/a-1",
                "method": "UPDATE",
                "outcome": "refused",
                "reason": "the answer was 488",
                "seconds": 0.2,
            }
        ]
    )
    assert line == "PJSIP/a-1: UPDATE: refused: the answer was 488"


def test_a_finding_tells_why_what_to_do_and_where() -> None:
    text = drawn(findings_text([Finding(Level.PROBLEM, "edge", "what", "why", "line = yes", "/etc/file")]))
    assert " ".join(text.split()) == "problem edge: what why why do line = yes in /etc/file"


@pytest.mark.parametrize(("due", "cells"), [(1800.0, 24), (900.0, 12), (1.0, 1), (3600.0, 24)])
def test_the_bar_is_the_part_of_the_interval_that_is_left(due: float, cells: int) -> None:
    assert bar(call("c", due)).plain.count("█") == cells


def test_a_bar_says_where_there_is_no_time_left_or_no_timer() -> None:
    assert bar(call("c", -1.0)).plain == "due now"
    assert bar(call("c", None)).plain == "no timer"


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_in_the_view_what_there_is_room_for_is_whole(width: int) -> None:
    one = call("a-call-id-of-24-letters.", 1700.0, state="refreshing", refresher="remote")
    text = drawn(picture(Snapshot("http://h:1", [one], ready=True), height=24, width=width), width)
    head, row = (next(line for line in text.splitlines() if word in line) for word in ("Call-ID", "a-call"))
    assert "…" not in head + row
    for part in ("a-call-id-of-24-letters.", "28m 20s", "refreshing", "█" * 22):
        assert part in row
    assert ("remote" in row) == (width >= 100)
    assert ("refreshed" in row) == (width >= 200)


@pytest.mark.parametrize("width", [80, 160])
def test_the_view_fits_the_screen_and_counts_the_rest(width: int) -> None:
    calls = [call(f"call-{number}", float(number)) for number in range(100)]
    snapshot = Snapshot("http://127.0.0.1:8080", calls, {"refreshes confirmed": 7}, ready=True)
    text = drawn(picture(snapshot, 24, "q leaves", width), width)
    assert len(text.rstrip("\n").splitlines()) <= 24
    assert "100 calls" in text
    assert "call-0" in text
    assert "call-99" not in text
    assert "and 84 more" in text
    assert "refreshes confirmed 7" in text


def test_a_companion_that_is_away_is_part_of_the_picture() -> None:
    assert "no companion answers" in drawn(picture(Snapshot("u", trouble="no companion answers"), 24))


def test_the_totals_are_the_counters_by_what_they_mean() -> None:
    text = (
        "# TYPE session_timer_refreshes_total counter\n"
        'session_timer_refreshes_total{method="UPDATE",outcome="confirmed"} 2.0\n'
        'session_timer_refreshes_total{method="INVITE",outcome="confirmed"} 3.0\n'
        "# TYPE session_timer_hangups_avoided_total counter\n"
        "session_timer_hangups_avoided_total 1.0\n"
    )
    assert totals(text) == {"refreshes confirmed": 5, "hang-ups avoided": 1}
