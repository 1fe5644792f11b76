"""We pass on: RFC 4028 section 8."""

from __future__ import annotations

from itertools import product

import pytest
from session_timer import (
    Agreement,
    DialogTimer,
    Policy,
    RefreshRequest,
    RefreshResponse,
    Role,
    SessionExpires,
    Side,
    proxy,
)
from session_timer.minimum import Reject
from session_timer.proxy import Complete, Forward, Remembered

from tests.library.sip_rows import request, response

POLICY = Policy()
TWO_XX = RefreshResponse()


def forwarded(
    *lines: str, policy: Policy = POLICY, insist: bool = False, method: str = "INVITE"
) -> tuple[Forward, Remembered]:
    decision = proxy.forward(request(*lines, method=method), policy, insist=insist)
    assert not isinstance(decision, Reject)
    return decision


def value(forward: Forward) -> str | None:
    return None if forward.session_expires is None else str(forward.session_expires)


@pytest.mark.requirement("PRX-8.1-02", "PRX-8.1-03", "PRX-8.1-04", "PRX-8-01", "G-11", "SE-4-04")
@pytest.mark.parametrize("supported", ["timer", "100rel"])
@pytest.mark.parametrize(
    ("min_se", "wish", "inserted"),
    [(None, 1800, "1800"), (3600, 1800, "3600"), (60, 1800, "1800"), (None, 90, "90")],
)
def test_inserted_without_refresher_and_not_below_min_se(
    supported: str, min_se: int | None, wish: int, inserted: str
) -> None:
    lines = (f"Supported: {supported}", *(() if min_se is None else (f"Min-SE: {min_se}",)))
    forward, asked = forwarded(*lines, policy=Policy(default_expires=wish))
    assert value(forward) == inserted
    assert forward.min_se is None
    assert asked.interval == int(inserted)


@pytest.mark.requirement("PRX-8.1-02")
def test_inserting_is_an_option() -> None:
    assert forwarded("Supported: timer", policy=Policy(request_timer=False)) == (
        Forward(),
        Remembered(None, uac_supports=True),
    )


@pytest.mark.requirement("PRX-8.1-05", "PRX-8.1-06", "PRX-8.1-07", "PRX-8.1-09", "MSE-5-01", "SE-4-11")
@pytest.mark.parametrize(
    ("asked", "min_se", "most", "sent"),
    [
        ("3600", None, 1800, "1800"),
        ("3600;refresher=uas", None, 600, "600;refresher=uas"),
        ("3600;x=1;Refresher=UAC;y", None, 600, "600;x=1;Refresher=UAC;y"),
        ("3600", 2000, 1800, "2000"),
        ("3600", 5000, 1800, "5000"),
        ("600;refresher=uas", None, 1800, None),
        ("3600", None, None, None),
    ],
)
def test_reduced_but_never_below_min_se_and_the_refresher_stays(
    asked: str, min_se: int | None, most: int | None, sent: str | None
) -> None:
    lines = (
        "Supported: timer",
        f"Session-Expires: {asked}",
        *(() if min_se is None else (f"Min-SE: {min_se}",)),
    )
    forward, kept = forwarded(*lines, policy=Policy(max_expires=most, default_expires=90))
    assert value(forward) == sent
    assert kept.interval == int((sent or asked).split(";")[0])


@pytest.mark.requirement("PRX-8.1-06")
def test_reduced_no_further_than_90() -> None:
    forward, _ = forwarded("Supported: timer", "x: 3600", policy=Policy(max_expires=30))
    assert value(forward) == "90"


@pytest.mark.requirement("PRX-8.1-07")
@pytest.mark.parametrize("supported", ["timer", "path"])
@pytest.mark.parametrize("asked", [90, 600, 1799])
def test_an_acceptable_interval_is_never_raised(asked: int, supported: str) -> None:
    forward, kept = forwarded(f"Supported: {supported}", f"x: {asked}")
    assert forward == Forward()
    assert kept.interval == asked


@pytest.mark.requirement("PRX-8.1-08")
@pytest.mark.parametrize("supported", ["timer", "path"])
def test_an_interval_below_min_se_is_raised_to_it(supported: str) -> None:
    forward, asked = forwarded(f"Supported: {supported}", "x: 100;refresher=uac", "Min-SE: 300")
    assert (value(forward), forward.min_se, asked.interval) == ("300;refresher=uac", None, 300)


@pytest.mark.requirement(
    "PRX-8.1-10",
    "PRX-8.1-11",
    "PRX-8.1-12",
    "R422-6-01",
    "R422-6-02",
    "SEC-11-01",
    "SEC-11-02",
    "G-17",
    "PRX-8.1-01",
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(("asked", "least"), [(100, 300), (299, 300), (89, 90)])
def test_too_small_an_interval_is_answered_422(asked: int, least: int, method: str) -> None:
    read = request("Supported: timer", f"x: {asked}", "Min-SE: 120", method=method)
    assert proxy.forward(read, Policy(min_se=least)) == Reject(422, least)


@pytest.mark.requirement("PRX-8.1-13", "PRX-8.1-14", "PRX-8.1-15", "PRX-8.1-16", "PRX-8.1-17", "SEC-11-01")
@pytest.mark.parametrize(
    ("asked", "min_se", "sent", "sent_min_se"),
    [
        (100, None, "300", 300),
        (100, 120, "300", 300),
        (100, 900, "900", None),
        (5, None, "300", 300),
        (300, 120, None, None),
        (1800, None, None, None),
    ],
)
def test_without_support_both_headers_are_raised_and_never_422(
    asked: int, min_se: int | None, sent: str | None, sent_min_se: int | None
) -> None:
    lines = (f"x: {asked}", *(() if min_se is None else (f"Min-SE: {min_se}",)))
    forward, kept = forwarded(*lines, policy=Policy(min_se=300))
    assert (value(forward), forward.min_se) == (sent, sent_min_se)
    assert kept.interval == int(sent or asked)


@pytest.mark.requirement("PRX-8.1-18", "SEC-11-02")
@pytest.mark.parametrize("asked", [None, 300, 3600])
@pytest.mark.parametrize("min_se", [None, 90, 120, 900])
def test_with_support_min_se_is_not_touched(asked: int | None, min_se: int | None) -> None:
    lines = [
        "Supported: timer",
        *([f"x: {asked}"] if asked else []),
        *([f"Min-SE: {min_se}"] if min_se else []),
    ]
    forward, _ = forwarded(*lines, policy=Policy(min_se=300))
    assert forward.min_se is None


@pytest.mark.requirement("PRX-8.1-16", "PRX-8.1-07", "PRX-8.1-09", "MSE-5-02")
@pytest.mark.parametrize(
    ("asked", "min_se", "supports", "refresher", "own"),
    list(
        product(
            (None, 1, 89, 90, 300, 1800, 9999),
            (None, 90, 120, 2000),
            (False, True),
            (None, *Role),
            (90, 300, 2400),
        )
    ),
)
def test_what_leaves_is_lawful_whatever_came(
    asked: int | None, min_se: int | None, supports: bool, refresher: Role | None, own: int
) -> None:
    expires = None if asked is None else SessionExpires.of(asked, refresher)
    read = RefreshRequest("INVITE", expires, min_se, supports)
    decision = proxy.forward(read, Policy(min_se=own, default_expires=2400, max_expires=2400))
    if isinstance(decision, Reject):
        assert supports
        assert asked is not None
        assert asked < own
        assert decision.min_se == own
        return
    forward, kept = decision
    sent = forward.session_expires or expires
    assert sent is not None
    assert sent.interval >= max(forward.min_se or min_se or 90, 90)
    assert sent.refresher == (expires.refresher if expires else None)
    assert forward.min_se is None or (not supports and forward.min_se > (min_se or 0))
    if asked is not None and asked >= max(forward.min_se or min_se or 90, 90):
        assert sent.interval <= asked
    assert kept == Remembered(sent.interval, supports, sent.refresher)


@pytest.mark.requirement("PRX-8.1-19", "PRX-8.1-21")
def test_each_transaction_remembers_its_own() -> None:
    _, with_support = forwarded("Supported: timer", "x: 3600", policy=Policy(max_expires=1800))
    _, without = forwarded("x: 600")
    assert with_support == Remembered(1800, uac_supports=True)
    assert without == Remembered(600, uac_supports=False)


@pytest.mark.requirement("PRX-8.1-22", "PRX-8.1-23")
@pytest.mark.parametrize(
    ("lines", "insist", "required"),
    [
        (("x: 1800",), True, True),
        ((), True, True),
        (("x: 1800",), False, False),
        (("Supported: timer", "x: 1800"), True, False),
    ],
)
def test_insisting_is_off_by_default_and_only_without_support(
    lines: tuple[str, ...], insist: bool, required: bool
) -> None:
    assert forwarded(*lines, insist=insist)[0].require_timer is required


def test_where_timers_are_off_everything_passes() -> None:
    off = Policy(enabled=False, min_se=300)
    decision = proxy.forward(request("Supported: timer", "x: 5", "Min-SE: 7"), off)
    assert decision == (Forward(), Remembered(None, uac_supports=True))
    assert proxy.complete(Remembered(None, uac_supports=True), TWO_XX, Side.REMOTE) == Complete(DialogTimer())


@pytest.mark.requirement("PRX-8.2-03", "PRX-8.2-04", "PRX-8.2-05", "PRX-8.2-09", "G-15")
@pytest.mark.parametrize("lines", [(), ("x: 1800",), ("x: 3600",), ("x: 3600;refresher=uas",)])
@pytest.mark.parametrize("sender", list(Side))
def test_a_bare_2xx_is_completed_where_we_asked_and_the_uac_supports(
    lines: tuple[str, ...], sender: Side
) -> None:
    """Remembered is: inserted, changed, or merely accepted."""
    _, asked = forwarded("Supported: timer", *lines, policy=Policy(max_expires=1800))
    done = proxy.complete(asked, TWO_XX, sender)
    assert done.session_expires == SessionExpires.of(1800, Role.UAC)
    assert done.require_timer
    assert done.dialog.agreement == Agreement(1800, sender)


@pytest.mark.requirement("PRX-8.2-02", "SE-4-07")
@pytest.mark.parametrize("known", [None, DialogTimer(Agreement(1800, Side.LOCAL), min_se=300)])
@pytest.mark.parametrize("asked", [Remembered(1800, uac_supports=False), Remembered(None, uac_supports=True)])
def test_a_bare_2xx_otherwise_passes_and_there_is_no_expiration(
    asked: Remembered, known: DialogTimer | None
) -> None:
    done = proxy.complete(asked, TWO_XX, Side.REMOTE, known)
    assert done.session_expires is None
    assert not done.require_timer
    assert done.dialog.agreement is None


@pytest.mark.requirement(
    "PRX-8.2-06", "PRX-8.2-08", "PRX-8.2-09", "PRX-8.2-11", "SE-4-11", "G-12", "DEF-2-01"
)
@pytest.mark.parametrize("sender", list(Side))
@pytest.mark.parametrize(
    ("shown", "role"),
    [("1200;refresher=uac", Role.UAC), ("30;refresher=uas", Role.UAS), ("9999;refresher=uas", Role.UAS)],
)
@pytest.mark.parametrize("asked", [Remembered(3600, uac_supports=True), Remembered(None, uac_supports=False)])
def test_a_session_expires_of_the_2xx_passes_and_counts(
    asked: Remembered, shown: str, role: Role, sender: Side
) -> None:
    known = DialogTimer(Agreement(3600, Side.LOCAL))
    done = proxy.complete(asked, response(200, f"Session-Expires: {shown}"), sender, known)
    assert done.session_expires is None
    assert not done.require_timer
    assert done.dialog.agreement == Agreement(int(shown.split(";", 1)[0]), Side.of(role, sender))


@pytest.mark.requirement("G-03")
@pytest.mark.parametrize(
    ("named", "side"), [(None, Side.REMOTE), (Role.UAC, Side.REMOTE), (Role.UAS, Side.LOCAL)]
)
def test_without_a_refresher_the_requests_counts_else_uac(named: Role | None, side: Side) -> None:
    done = proxy.complete(
        Remembered(1800, uac_supports=True, refresher=named), response(200, "x: 900"), Side.REMOTE
    )
    assert done.dialog.agreement == Agreement(900, side)


@pytest.mark.requirement("PRX-8.2-01", "REF-10-02")
@pytest.mark.parametrize("code", [180, 183, 302, 422, 486, 503])
def test_other_answers_pass_untouched_and_change_nothing(code: int) -> None:
    known = DialogTimer(Agreement(1800, Side.LOCAL))
    done = proxy.complete(
        Remembered(1800, uac_supports=True), response(code, "x: 90;refresher=uac"), Side.REMOTE, known
    )
    assert done == Complete(known)


@pytest.mark.requirement("PRX-8.2-11", "D-03")
@pytest.mark.parametrize("lines", [("x: soon",), ("x: 1800, soon",), ("x: 0;refresher=uac",)])
def test_an_unreadable_session_expires_gets_no_second_one_beside_it(lines: tuple[str, ...]) -> None:
    done = proxy.complete(Remembered(1800, uac_supports=True), response(200, *lines), Side.REMOTE)
    assert done == Complete(DialogTimer())


@pytest.mark.requirement("PRX-8.2-10")
def test_each_fork_has_an_expiration_of_its_own() -> None:
    asked = Remembered(1800, uac_supports=True)
    answers = (response(200, "x: 600;refresher=uas"), TWO_XX)
    forks = [proxy.complete(asked, answer, Side.REMOTE).dialog.agreement for answer in answers]
    assert forks == [Agreement(600, Side.LOCAL), Agreement(1800, Side.REMOTE)]
