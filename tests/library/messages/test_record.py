"""The edge's record of a dialog, and how its age is told without wall clocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_timer import Agreement, DialogTimer, Failure, Record, RecordError, Side
from session_timer.record import ClockReading, key, learn_clock, split_key

RECORD = Record(
    local_tag="as7;x=y",
    dialog=DialogTimer(Agreement(1800, Side.LOCAL), min_se=300, peer_supports=True, peer_allows_update=True),
    clock="edge-1/boot",
    at=12345.678,
    last="remote:102",
    refreshes=3,
    failure=Failure(503, Side.LOCAL, 13245.5, retry_after=10),
    peer="carrier-a",
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, failure=None),
        replace(RECORD, failure=Failure(491, Side.REMOTE, 1.0)),
        replace(RECORD, failure=Failure(405, Side.LOCAL, 1.0, clock="another;host")),
        replace(RECORD, dialog=DialogTimer()),
        replace(RECORD, dialog=DialogTimer(Agreement(90, Side.REMOTE, one_sided=True))),
        replace(RECORD, local_tag="", peer="Träger; =%/", clock="", last=""),
    ],
)
def test_a_record_reads_back(record: Record) -> None:
    assert Record.decode(record.encode()) == record


def test_a_person_can_read_it() -> None:
    text = RECORD.encode()
    assert text.startswith("v=1;interval=1800;refresher=local;one_sided=0;min_se=300;supports=1;update=1;")
    assert text.endswith("failure=503;failed_by=local;failed_at=13245.500;retry_after=10")


def test_unknown_keys_of_a_later_minor_version_are_ignored() -> None:
    assert Record.decode(RECORD.encode() + ";colour=blue;and-this") == RECORD


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("v=1", "v=2"),
        ("v=1;", ""),
        ("interval=1800", "interval=-5"),
        ("interval=1800", "interval=4294967296"),
        ("interval=1800", "interval=1_800"),
        ("interval=1800", "interval=١٨٠٠"),
        ("interval=1800;", ""),
        ("refresher=local", "refresher=both"),
        ("at=12345.678", "at=nan"),
        ("at=12345.678", "at=1e9"),
        ("local=", "remote="),
        ("failed_by=local", "failed_by=nobody"),
        ("retry_after=10", "retry_after=soon"),
    ],
)
def test_what_is_no_record_says_so(was: str, becomes: str) -> None:
    text = RECORD.encode()
    assert was in text
    with pytest.raises(RecordError):
        Record.decode(text.replace(was, becomes, 1))


@pytest.mark.parametrize("text", ["", "hello", "v=1", ";;;", "=", "v=1;interval"])
def test_any_other_text_is_no_record(text: str) -> None:
    with pytest.raises(RecordError):
        Record.decode(text)


@pytest.mark.requirement("DEF-2-03", "REF-10-02")
def test_a_2xx_moves_it_on_and_clears_the_failure() -> None:
    dialog = DialogTimer(Agreement(600, Side.REMOTE))
    after = RECORD.refreshed(dialog, 20000.0, "edge-2", "local:103")
    assert (after.dialog, after.at, after.clock, after.last) == (dialog, 20000.0, "edge-2", "local:103")
    assert (after.refreshes, after.failure, after.local_tag, after.peer) == (4, None, "as7;x=y", "carrier-a")


@pytest.mark.requirement("G-08")
def test_a_retransmitted_2xx_moves_nothing() -> None:
    assert RECORD.refreshed(DialogTimer(), 99999.0, "edge-2", RECORD.last) == RECORD


@pytest.mark.requirement("REF-10-02", "UPD-5.3-01", "S61-14.1-03")
def test_a_failure_leaves_time_and_agreement() -> None:
    failure = Failure(488, Side.LOCAL, 20000.0)
    after = RECORD.failed(RECORD.dialog, failure)
    assert after == replace(RECORD, failure=failure)


@pytest.mark.requirement("S61-12.2-01")
def test_whose_request_it_is() -> None:
    assert RECORD.sender("as7;x=y") is Side.LOCAL
    assert RECORD.sender("other") is Side.REMOTE


@pytest.mark.requirement("UAC-7.2-01", "UAC-7.2-12", "PRX-8.2-10")
def test_the_key_is_the_dialogs_from_both_ends_and_forks_differ() -> None:
    assert key("c@h", "a", "b") == key("c@h", "b", "a") == "c@h;a;b"
    assert len({key("c@h", "a", "b"), key("c@h", "a", "c"), key("d@h", "a", "b")}) == 3


def test_the_key_is_taken_apart_whatever_the_call_id() -> None:
    """No tag has a semicolon, for From and To end it there; a Call-ID may have any."""
    assert split_key(key("c;d;e@h", "b", "a")) == ("c;d;e@h", "a", "b")
    with pytest.raises(ValueError, match="not enough values"):
        split_key("clock;0123")


def test_a_clock_is_learned_from_its_freshest_reading() -> None:
    known = learn_clock(None, 100.0, 1000.9)
    assert known == ClockReading(100.0, -900.9, 1000.9)
    nearer = learn_clock(known, 105.0, 1005.2)
    assert nearer.offset == pytest.approx(-900.2)
    assert learn_clock(nearer, 106.0, 1006.9) == nearer
    assert learn_clock(nearer, 105.0, 5000.0) == nearer


def test_a_drifting_clock_is_followed_after_a_while() -> None:
    known = ClockReading(100.0, -900.0, 1000.0)
    assert learn_clock(known, 158.9, 1059.0) == known
    assert learn_clock(known, 161.0, 1061.1) == ClockReading(161.0, 161.0 - 1061.1, 1061.1)


@pytest.mark.requirement("G-08")
def test_a_2xx_retransmitted_after_that_of_another_transaction_moves_nothing() -> None:
    later = RECORD.refreshed(DialogTimer(), 200.0, "edge-1", "local:7")
    assert later.refreshed(DialogTimer(), 201.0, "edge-1", RECORD.last) is later
    assert Record.decode(later.encode()) == later


def test_only_the_latest_transactions_are_kept() -> None:
    record = RECORD
    for number in range(200, 220):
        record = record.refreshed(DialogTimer(), float(number), "edge-1", f"local:{number}")
    assert (record.last, record.earlier) == ("local:219", "local:218,local:217,local:216")
