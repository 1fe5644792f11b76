"""The edge's record of a dialog, and how its age is told without wall clocks."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Asked, DialogTimer, Outcome, Record, RecordError, Side
from session_timer.clock import ClockReading, learn_clock
from session_timer.record import key, same_tags, split_key

OURS = Asked("UPDATE", 102, 13245.5, Outcome.REFUSED, 503, 13246.0, retry_after=10)
RECORD = Record(
    local_tag="as7;x=y",
    dialog=DialogTimer(Agreement(1800, Side.LOCAL), min_se=300, peer_supports=True, peer_allows_update=True),
    clock="edge-1/boot",
    at=12345.678,
    last="remote:102",
    refreshes=3,
    peer="carrier-a",
    on_path=True,
    placed=Side.REMOTE,
    far="198.51.100.7",
    ours=OURS,
)
GOLDEN = (
    "v=2;interval=1800;refresher=local;one_sided=0;min_se=300;supports=1;update=1;refreshes=3;"
    "clock=edge-1%2Fboot;at=12345.678;last=remote:102;local=as7%3Bx%3Dy;peer=carrier-a;on_path=1;placed=remote;"
    "far=198.51.100.7;ours=UPDATE:102:13245.500:refused:503:13246.000:10:"
)
FIRST_VERSION = (
    "v=1;interval=1800;refresher=local;one_sided=0;min_se=300;supports=1;update=1;refreshes=3;"
    "clock=edge-1%2Fboot;at=12345.678;last=remote:102;local=as7%3Bx%3Dy;peer=carrier-a;"
    "failure=503;failed_by=local;failed_at=13245.500;retry_after=10"
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        RECORD._replace(ours=None),
        RECORD._replace(theirs=Asked("INVITE", 7, 1.0), placed=None, far="", on_path=False),
        RECORD._replace(ours=Asked("INVITE", 9, 1.0, Outcome.TIMED_OUT, ended=8.0, clock="another;host:1")),
        RECORD._replace(ours=Asked("INVITE", 9, 1.0, Outcome.UNROUTABLE, 478, 1.0)),
        RECORD._replace(dialog=DialogTimer(), far="[2001:db8::1]"),
        RECORD._replace(dialog=DialogTimer(Agreement(90, Side.REMOTE, one_sided=True))),
        RECORD._replace(local_tag="", peer="Träger; =%/", clock="", last=""),
    ],
)
def test_a_record_reads_back(record: Record) -> None:
    assert Record.decode(record.encode()) == record


def test_a_person_can_read_it() -> None:
    assert RECORD.encode() == GOLDEN


def test_a_record_of_the_first_release_is_read_and_is_on_no_path() -> None:
    """Nobody is judged by it until a request or a 2xx of this release has passed."""
    read = Record.decode(FIRST_VERSION)
    slot = Asked("", 0, 13245.5, Outcome.REFUSED, 503, 13245.5, retry_after=10)
    assert read == RECORD._replace(ours=slot, on_path=False, placed=None, far="")
    theirs = Record.decode(FIRST_VERSION.replace("failed_by=local", "failed_by=remote"))
    assert (theirs.ours, theirs.theirs) == (None, slot)
    assert Record.decode(FIRST_VERSION.split(";failure", maxsplit=1)[0]).ours is None


def test_unknown_keys_of_a_later_minor_version_are_ignored() -> None:
    assert Record.decode(RECORD.encode() + ";colour=blue;and-this") == RECORD


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("v=2", "v=3"),
        ("v=2;", ""),
        ("interval=1800", "interval=-5"),
        ("interval=1800", "interval=4294967296"),
        ("interval=1800", "interval=1_800"),
        ("interval=1800", "interval=١٨٠٠"),
        ("interval=1800;", ""),
        ("refresher=local", "refresher=both"),
        ("at=12345.678", "at=nan"),
        ("at=12345.678", "at=1e9"),
        ("local=", "remote="),
        (":refused:", ":lost:"),
        (":503:", ":soon:"),
        (":13246.000:", ":nan:"),
        ("UPDATE:", ""),
        ("placed=remote", "placed=both"),
    ],
)
def test_what_is_no_record_says_so(was: str, becomes: str) -> None:
    text = RECORD.encode()
    assert was in text
    with pytest.raises(RecordError):
        Record.decode(text.replace(was, becomes, 1))


@pytest.mark.parametrize(
    "text", ["", "hello", "v=1", "v=2", ";;;", "=", "v=2;interval", FIRST_VERSION.replace("local;", "us;")]
)
def test_any_other_text_is_no_record(text: str) -> None:
    with pytest.raises(RecordError):
        Record.decode(text)


@pytest.mark.requirement("DEF-2-03", "REF-10-02")
def test_a_2xx_moves_it_on_and_closes_the_request_it_answers() -> None:
    dialog = DialogTimer(Agreement(600, Side.REMOTE))
    open_ = RECORD.asked(Side.LOCAL, "INVITE", 103, 19999.0, RECORD.clock)
    after = open_.refreshed(dialog, 20000.0, RECORD.clock, "local:103")
    assert (after.dialog, after.at, after.clock, after.last) == (dialog, 20000.0, RECORD.clock, "local:103")
    assert (after.refreshes, after.local_tag, after.peer, after.on_path) == (4, "as7;x=y", "carrier-a", True)
    assert after.ours == Asked("INVITE", 103, 19999.0, Outcome.ANSWERED, 200, 20000.0)
    assert after.theirs is None


def test_a_2xx_of_the_other_side_leaves_our_request_as_it_is() -> None:
    after = RECORD.refreshed(RECORD.dialog, 20000.0, RECORD.clock, "remote:103")
    assert after.ours == OURS
    assert RECORD.refreshed(RECORD.dialog, 20000.0, RECORD.clock, "odd").ours == OURS


def test_another_hosts_2xx_leaves_each_time_on_the_clock_that_it_was_read_from() -> None:
    elsewhere = RECORD.refreshed(RECORD.dialog, 77.0, "edge-2", "remote:103")
    assert elsewhere.clock == "edge-2"
    assert elsewhere.ours == OURS._replace(clock="edge-1/boot")
    back = elsewhere.refreshed(RECORD.dialog, 20000.0, "edge-1/boot", "remote:104")
    assert back.ours == OURS


@pytest.mark.requirement("G-08")
def test_a_retransmitted_2xx_moves_nothing() -> None:
    assert RECORD.refreshed(DialogTimer(), 99999.0, "edge-2", RECORD.last) == RECORD


def ended(record: Record, cseq: int, outcome: Outcome = Outcome.REFUSED, *, now: float = 20001.0) -> Record:
    return record.ended(
        Side.LOCAL, "UPDATE", cseq, outcome, code=488, now=now, clock="edge-1/boot", retry_after=None
    )


@pytest.mark.requirement("REF-10-02", "UPD-5.3-01", "S61-14.1-03")
def test_a_refusal_leaves_time_and_agreement() -> None:
    open_ = RECORD.asked(Side.LOCAL, "UPDATE", 103, 20000.0, "edge-1/boot")
    assert open_ == RECORD._replace(ours=Asked("UPDATE", 103, 20000.0))
    after = ended(open_, 103)
    assert after == RECORD._replace(ours=Asked("UPDATE", 103, 20000.0, Outcome.REFUSED, 488, 20001.0))


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.REFUSED])
def test_an_end_is_known_once_and_an_older_request_changes_nothing(outcome: Outcome) -> None:
    once = ended(RECORD.asked(Side.LOCAL, "UPDATE", 103, 20000.0, "edge-1/boot"), 103)
    assert ended(once, 103, outcome, now=20009.0) is once
    assert ended(once, 102, outcome) is once
    assert once.asked(Side.LOCAL, "UPDATE", 103, 20010.0, "edge-1/boot") is once


def test_an_end_whose_request_nobody_saw_is_written_all_the_same() -> None:
    after = ended(RECORD, 104)
    assert after.ours == Asked("UPDATE", 104, 20001.0, Outcome.REFUSED, 488, 20001.0)


def test_each_side_has_a_slot_of_its_own() -> None:
    """The peer's refused request must not erase ours."""
    both = RECORD.asked(Side.REMOTE, "INVITE", 9, 20000.0, "edge-1/boot")
    both = both.ended(Side.REMOTE, "INVITE", 9, Outcome.REFUSED, code=491, now=20000.1, clock="edge-1/boot")
    assert both.ours == OURS
    assert both.theirs == both.of(Side.REMOTE) == Asked("INVITE", 9, 20000.0, Outcome.REFUSED, 491, 20000.1)


def test_a_request_that_one_host_saw_leave_and_another_saw_end() -> None:
    left = RECORD.asked(Side.LOCAL, "UPDATE", 103, 50.0, "edge-2")
    assert left.ours == Asked("UPDATE", 103, 50.0, clock="edge-2")
    assert ended(left, 103).ours == Asked("UPDATE", 103, 20001.0, Outcome.REFUSED, 488, 20001.0)


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


def test_a_2xx_of_the_peers_request_closes_its_slot_and_keeps_ours_on_its_clock() -> None:
    open_ = RECORD.asked(Side.REMOTE, "INVITE", 7, 20000.0, "edge-2")
    assert open_.theirs == Asked("INVITE", 7, 20000.0, clock="edge-2")
    after = open_.refreshed(RECORD.dialog, 20000.5, "edge-2", "remote:7")
    assert after.theirs == Asked("INVITE", 7, 20000.0, Outcome.ANSWERED, 200, 20000.5)
    assert after.ours == OURS._replace(clock="edge-1/boot")
    assert open_.refreshed(RECORD.dialog, 20000.5, "edge-2", "remote:8").theirs == Asked("INVITE", 7, 20000.0)


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


BOOT = "edge-1/boot"
WAITED = RECORD.asked(Side.LOCAL, "UPDATE", 200, 20000.0, BOOT)
"""A refresh of ours has passed."""
TIMED_OUT = WAITED.ended(Side.LOCAL, "UPDATE", 200, Outcome.TIMED_OUT, code=408, now=20012.0, clock=BOOT)
"""And the edge's own timer has ended the wait for its response."""


@pytest.mark.requirement("REF-10-02")
@pytest.mark.parametrize("cseq", [200, 150], ids=["the last request", "one before it"])
def test_a_2xx_that_comes_when_the_wait_has_ended_is_a_2xx(cseq: int) -> None:
    after = TIMED_OUT.late(Side.LOCAL, "UPDATE", cseq, code=200, now=20020.0, clock=BOOT)
    assert (after.at, after.refreshes, after.last) == (20020.0, 4, f"local:{cseq}")
    assert after.dialog == RECORD.dialog, "whoever asked has not heard it"
    outcome = Outcome.ANSWERED if cseq == 200 else Outcome.TIMED_OUT
    assert after.ours is not None
    assert after.ours.outcome is outcome


def test_a_refusal_that_comes_when_the_wait_has_ended_is_one() -> None:
    after = TIMED_OUT.late(Side.LOCAL, "UPDATE", 200, code=488, now=20020.0, clock=BOOT)
    assert after.ours == Asked("UPDATE", 200, 20000.0, Outcome.REFUSED, 488, 20020.0)
    assert after.at == RECORD.at
    redirected = TIMED_OUT.late(Side.LOCAL, "UPDATE", 200, code=300, now=20020.0, clock=BOOT)
    assert redirected.ours == Asked("UPDATE", 200, 20000.0, Outcome.REFUSED, 300, 20020.0)


@pytest.mark.parametrize(
    ("record", "cseq"),
    [(TIMED_OUT, 201), (WAITED, 200), (RECORD._replace(ours=None), 200)],
    ids=["never asked", "waited for", "nothing asked"],
)
@pytest.mark.parametrize("code", [200, 488])
def test_a_late_response_to_what_is_not_known_moves_nothing(record: Record, cseq: int, code: int) -> None:
    assert record.late(Side.LOCAL, "UPDATE", cseq, code=code, now=20020.0, clock=BOOT) is record


def test_a_2xx_of_a_request_that_was_not_written_down_fills_its_slot() -> None:
    """One of the peer's is not, and ours is not where a table was full."""
    answered = Asked("INVITE", 300, 20001.0, Outcome.ANSWERED, 200, 20001.0)
    assert RECORD.refreshed(RECORD.dialog, 20001.0, BOOT, "remote:300", "INVITE").theirs == answered
    assert RECORD.refreshed(RECORD.dialog, 20001.0, BOOT, "local:300", "INVITE").ours == answered
    assert RECORD.refreshed(RECORD.dialog, 20001.0, BOOT, "local:102", "INVITE").ours == OURS._replace(
        outcome=Outcome.ANSWERED, code=200, ended=20001.0
    )
    assert RECORD.refreshed(RECORD.dialog, 20001.0, BOOT, "local:101", "INVITE").ours == OURS
    assert RECORD.refreshed(RECORD.dialog, 20001.0, BOOT, "remote:300").theirs is None


def test_a_record_without_2xx_says_what_is_known_and_no_more() -> None:
    record = Record.without_2xx("tag", BOOT, peer="carrier-a", far="198.51.100.7")
    assert record == Record(
        local_tag="tag",
        dialog=DialogTimer(),
        clock=BOOT,
        at=-1e9,
        peer="carrier-a",
        on_path=True,
        far="198.51.100.7",
    )
    assert record.is_without_2xx
    assert Record.decode(record.encode()) == record
    assert not RECORD.is_without_2xx


def test_topology_hiding_leaves_the_tags() -> None:
    assert same_tags(key("c@h", "a", "b"), key("other", "b", "a"))
    assert not same_tags(key("c@h", "a", "b"), key("c@h", "a", "c"))
