"""What each answer to a refresh asks for: RFC 4028 section 10, RFC 3261 14.1, RFC 3311 5.3, RFC 5057."""

from __future__ import annotations

import pytest
from session_timer import RefreshResponse
from session_timer.session import responses
from session_timer.session.responses import Reaction, glare_delay, reaction, wait


@pytest.mark.requirement(
    "REF-10-04", "REF-10-05", "S61-12.2.1.2-01", "UPD-5.3-02", "S61-22-01", "S61-8.1.3-01"
)
@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((200, 202, 299), Reaction.EXTEND),
        ((responses.TIMEOUT, 408, 481), Reaction.END),
        ((401, 407, 494), Reaction.AWAIT),
        ((420, 421, 422, 483), Reaction.RETRY),
        ((405, 501), Reaction.OTHER_METHOD),
        ((491,), Reaction.BACK_OFF),
        ((500, 502, 503, 504, 505, 513, 580), Reaction.WAIT),
        ((400, 402, 403, 404, 406, 410, 412, 416, 417, 480, 482, 484, 485, 486, 488, 493), Reaction.ADAPT),
        ((600, 603, 604, 606, 300, 302, 305, 380), Reaction.ADAPT),
    ],
)
def test_table_of_responses(codes: tuple[int, ...], expected: Reaction) -> None:
    assert {code: reaction(code) for code in codes} == dict.fromkeys(codes, expected)


@pytest.mark.requirement("S61-8.1.3-02", "IANA-12-03")
@pytest.mark.parametrize(
    ("unknown", "x00"), [(399, 300), (499, 400), (423, 400), (599, 500), (520, 500), (699, 600)]
)
def test_an_unknown_code_counts_as_x00_of_its_class(unknown: int, x00: int) -> None:
    assert reaction(unknown) is reaction(x00)


@pytest.mark.requirement("UPD-5.3-03", "S61-14.1-04")
@pytest.mark.parametrize(("owner", "least", "most"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_back_off_after_glare_by_ownership_of_the_call_id(owner: bool, least: float, most: float) -> None:
    delays = [glare_delay(step / 10_000, owns_call_id=owner) for step in range(10_000)]
    assert (min(delays), max(delays)) == (least, most)
    assert glare_delay(1 - 2**-53, owns_call_id=owner) == most
    steps = sorted({round(delay * 100) for delay in delays})
    assert all(abs(delay * 100 - round(delay * 100)) < 1e-9 for delay in delays)
    assert steps == list(range(round(least * 100), round(most * 100) + 1))


@pytest.mark.requirement("REF-10-05")
@pytest.mark.parametrize(("told", "seconds"), [(None, responses.OWN_WAIT), (0, 0.0), (7, 7.0)])
def test_a_wait_is_as_long_as_told(told: int | None, seconds: float) -> None:
    assert wait(RefreshResponse(503, retry_after=told)) == seconds
