"""What a record shows of a refresh of ours: each link of the chain, and what is left without it."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Asked, DialogTimer, Outcome, Record, Side
from session_timer.evidence import TOLERANCE, Seen, Shows, shows

SENT = 900.0
OFFSET = 1000.0
"""Our clock is this much ahead of the edge's."""
PASSED = Asked("UPDATE", 102, SENT - OFFSET + 0.05)
RECORD = Record(
    local_tag="a",
    dialog=DialogTimer(Agreement(1800, Side.LOCAL)),
    clock="edge",
    at=0.0 - OFFSET,
    on_path=True,
    ours=PASSED,
)
TIMED_OUT = PASSED._replace(outcome=Outcome.TIMED_OUT, ended=PASSED.at + 12)


def to_ours(clock: str, at: float) -> float | None:
    return {"edge": at + OFFSET, "other": at + 5.0}.get(clock)


def ended(outcome: Outcome, code: int = 0) -> Record:
    return RECORD._replace(ours=PASSED._replace(outcome=outcome, code=code, ended=PASSED.at + 1))


@pytest.mark.requirement("REF-10-04", "REF-10-07")
@pytest.mark.parametrize(
    ("record", "what"),
    [
        (RECORD._replace(ours=TIMED_OUT), Shows.TIMED_OUT),
        (ended(Outcome.REFUSED, 408), Shows.GONE),
        (ended(Outcome.REFUSED, 481), Shows.GONE),
    ],
)
def test_the_whole_chain_is_there(record: Record, what: Shows) -> None:
    seen = shows(record, SENT, to_ours)
    assert seen == Seen(what, record.ours)
    assert seen.what.ends_a_call


@pytest.mark.requirement("REF-10-04", "REF-10-07", "D-01")
@pytest.mark.parametrize(
    ("record", "what"),
    [
        (RECORD._replace(ours=TIMED_OUT, clock="unheard"), Shows.UNKNOWN),
        (RECORD._replace(ours=TIMED_OUT._replace(clock="unheard")), Shows.UNKNOWN),
        (RECORD._replace(ours=TIMED_OUT, at=SENT - OFFSET + 13), Shows.ANSWERED),
        (RECORD._replace(ours=TIMED_OUT, theirs=Asked("INVITE", 7, SENT - OFFSET + 9)), Shows.ALIVE),
        (RECORD._replace(ours=None), Shows.NEVER_PASSED),
        (RECORD._replace(ours=None, on_path=False), Shows.OFF_PATH),
        (RECORD._replace(ours=TIMED_OUT._replace(at=SENT - OFFSET - 60)), Shows.NEVER_PASSED),
        (RECORD._replace(ours=TIMED_OUT._replace(at=SENT - OFFSET - 60), on_path=False), Shows.OFF_PATH),
        (RECORD, Shows.UNDER_WAY),
        (ended(Outcome.ANSWERED, 200), Shows.ANSWERED),
        (ended(Outcome.UNROUTABLE, 478), Shows.UNROUTABLE),
        (ended(Outcome.REFUSED, 401), Shows.CHALLENGED),
        (ended(Outcome.REFUSED, 407), Shows.CHALLENGED),
        (ended(Outcome.REFUSED, 480), Shows.REFUSED),
        (ended(Outcome.REFUSED, 503), Shows.REFUSED),
        (ended(Outcome.REFUSED, 422), Shows.REFUSED),
    ],
)
def test_a_link_is_missing_and_nobody_is_hung_up(record: Record, what: Shows) -> None:
    seen = shows(record, SENT, to_ours)
    assert seen.what is what
    assert not seen.what.ends_a_call


@pytest.mark.parametrize("early", [0.0, TOLERANCE])
def test_another_hosts_clock_is_known_a_little_wrongly(early: float) -> None:
    record = RECORD._replace(ours=TIMED_OUT._replace(at=SENT - OFFSET - early))
    assert shows(record, SENT, to_ours).what is Shows.TIMED_OUT
    record = RECORD._replace(ours=TIMED_OUT._replace(at=SENT - OFFSET - TOLERANCE - 0.1))
    assert shows(record, SENT, to_ours).what is Shows.NEVER_PASSED


def test_a_slot_that_another_host_wrote_is_read_on_that_hosts_clock() -> None:
    record = RECORD._replace(
        ours=Asked("UPDATE", 102, SENT, Outcome.TIMED_OUT, ended=SENT + 12, clock="other")
    )
    assert shows(record, SENT, to_ours).what is Shows.TIMED_OUT


def test_a_request_of_the_peer_from_before_says_nothing_of_now() -> None:
    record = RECORD._replace(ours=TIMED_OUT, theirs=Asked("INVITE", 7, SENT - OFFSET - 1))
    assert shows(record, SENT, to_ours).what is Shows.TIMED_OUT


@pytest.mark.parametrize("at", [SENT - OFFSET, SENT - OFFSET + 0.001])
def test_a_2xx_of_the_very_moment_counts_and_so_does_a_request_of_the_peer(at: float) -> None:
    assert shows(RECORD._replace(ours=TIMED_OUT, at=at), SENT, to_ours) == Seen(Shows.ANSWERED, TIMED_OUT)
    theirs = Asked("INVITE", 7, at)
    assert shows(RECORD._replace(ours=TIMED_OUT, theirs=theirs), SENT, to_ours) == Seen(
        Shows.ALIVE, TIMED_OUT
    )


HEARD = Asked("INVITE", 7, SENT - OFFSET + 9)


@pytest.mark.parametrize(
    ("record", "what"),
    [
        (RECORD._replace(ours=TIMED_OUT), Shows.ALIVE),
        (ended(Outcome.REFUSED, 408), Shows.ALIVE),
        (ended(Outcome.REFUSED, 481), Shows.ALIVE),
        (ended(Outcome.REFUSED, 491), Shows.REFUSED),
        (ended(Outcome.REFUSED, 422), Shows.REFUSED),
        (ended(Outcome.REFUSED, 407), Shows.CHALLENGED),
        (ended(Outcome.UNROUTABLE, 478), Shows.UNROUTABLE),
        (RECORD, Shows.UNDER_WAY),
        (RECORD._replace(ours=None), Shows.NEVER_PASSED),
    ],
)
def test_a_request_of_the_peer_undoes_what_would_end_a_call_and_hides_nothing_else(
    record: Record, what: Shows
) -> None:
    """A 491 is met by a later try, a 422 by a larger interval, whatever the peer has sent meanwhile."""
    assert shows(record._replace(theirs=HEARD), SENT, to_ours).what is what


def test_the_request_is_named_wherever_one_was_seen() -> None:
    unheard = TIMED_OUT._replace(clock="unheard")
    assert shows(RECORD._replace(ours=unheard), SENT, to_ours) == Seen(Shows.UNKNOWN, unheard)
    old = TIMED_OUT._replace(at=SENT - OFFSET - 60)
    assert shows(RECORD._replace(ours=old), SENT, to_ours) == Seen(Shows.NEVER_PASSED, old)
    assert shows(ended(Outcome.REFUSED, 494), SENT, to_ours).what is Shows.CHALLENGED
