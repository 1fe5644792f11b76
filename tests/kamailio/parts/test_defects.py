"""What the grammar or the RFC forbids: read where its meaning is certain, told and counted, else refused."""

from __future__ import annotations

import pytest
from session_timer import Agreement, Side

from tests.kamailio.fakes.edge import CONFIG, OURS, PASSING, THEIRS, Edge, MakeEdge

TIMER = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
CALL = "session timer: call-1: peer=carrier"


def told(edge: Edge) -> list[str]:
    """What the log says of defects, without what all lines begin with."""
    return [
        line.removeprefix(f"{CALL} defect in a ")
        for line in edge.ksr.lines("warn")
        if " defect in a " in line
    ]


@pytest.mark.requirement("SE-4-02", "D-03")
def test_a_trailing_semicolon_in_a_request(edge: Edge) -> None:
    answer = edge.call("Supported: timer", "Session-Expires: 1800;")
    assert answer.value("Session-Expires") == "1800;refresher=uac"
    assert told(edge) == ["request: Session-Expires: '1800;': ends in a semicolon, which is ignored"]
    assert edge.count("defects") == 1


@pytest.mark.requirement("SE-4-02", "D-03")
def test_a_trailing_semicolon_in_a_2xx(edge: Edge) -> None:
    edge.call(from_us=True, answer=("Require: timer", "Session-Expires: 1800;refresher=uac;"))
    assert edge.known().dialog.agreement == Agreement(1800, Side.LOCAL)
    assert told(edge) == [
        "200: Session-Expires: '1800;refresher=uac;': ends in a semicolon, which is ignored"
    ]
    assert edge.count("defects") == 1


@pytest.mark.requirement("R422-6-02", "D-03")
def test_a_trailing_semicolon_in_a_422(edge: Edge) -> None:
    invite = edge.send(from_us=True)
    assert edge.answer(invite, 422, ("Min-SE: 3600;",)) is None
    assert invite.last.all("Min-SE") == ["Min-SE: 3600"]
    assert told(edge) == ["422: Min-SE: '3600;': ends in a semicolon, which is ignored"]
    assert edge.count("defects") == 1


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_a_tag_that_stands_twice(edge: Edge) -> None:
    """In a request of the peer's, and in its 2xx."""
    edge.call(*TIMER)
    edge.answer(edge.send(TIMER, method="UPDATE", tags=(THEIRS, f"{OURS};tag={OURS}")))
    assert edge.known().refreshes == 1
    again = edge.send(method="UPDATE", from_us=True, within=True)
    again.request.received = tuple(
        f"{row};tag={THEIRS}" if row.startswith("To:") else row for row in again.request.received
    )
    edge.answer(again, 200, ("Require: timer", *TIMER))
    assert edge.known().refreshes == 2
    assert told(edge) == [
        f"request: To: the tag '{OURS}' stands there 2 times, read once",
        f"200: To: the tag '{THEIRS}' stands there 2 times, read once",
    ]
    assert edge.count("defects") == 2


@pytest.mark.requirement("S61-12.2-01")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_no_contact(edge: Edge, method: str) -> None:
    edge.call(*TIMER)
    edge.answer(edge.send(TIMER, method=method, within=True, contact=False))
    edge.answer(
        edge.send(method=method, from_us=True, within=True), 200, ("Require: timer", *TIMER), contact=False
    )
    assert edge.known().refreshes == 2
    said = "no Contact: the target stays what it was"
    assert told(edge) == [f"request: {said}", f"200: {said}"]
    assert edge.count("defects") == 2


@pytest.mark.requirement("UAC-7.1-01")
def test_an_empty_supported_is_lawful(edge: Edge) -> None:
    edge.call("Supported:", "Session-Expires: 1800", answer=("Supported:",))
    assert edge.known().dialog.agreement == Agreement(1800, Side.LOCAL)
    sent = edge.send(("Supported:",), method="UPDATE", from_us=True, within=True).sent
    assert sent.all("Supported") == ["Supported: timer"]
    assert told(edge) == []
    assert edge.count("defects") == 0


@pytest.mark.requirement("UAC-7.2-10", "G-06")
def test_a_bare_2xx_of_a_peer_that_knows_timers_is_told_once(edge: Edge) -> None:
    """From the second on the refreshing is one-sided: nothing is left out any more."""
    edge.call(from_us=True, answer=("Require: timer", *TIMER))
    for _ in range(2):
        edge.answer(edge.send(method="UPDATE", from_us=True, within=True), 200, ("Supported: timer",))
    assert edge.known().dialog.agreement == Agreement.refreshed_alone(1800)
    assert told(edge) == ["200: no Session-Expires: the timer goes on one-sided, 1800 s"]
    assert edge.count("defects") == 1


@pytest.mark.requirement("UAC-7.2-10")
def test_a_bare_2xx_that_ends_the_timer_is_no_defect(edge: Edge) -> None:
    edge.call(from_us=True, answer=("Require: timer", *TIMER))
    edge.answer(edge.send(method="UPDATE", from_us=True, within=True))
    assert edge.known().dialog.agreement is None
    assert told(edge) == []


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_a_request_with_two_tags_that_differ_is_refused(edge: Edge) -> None:
    edge.call(*TIMER)
    handled = edge.send(TIMER, method="UPDATE", tags=(THEIRS, f"{OURS};tag=another"))
    assert handled.branches == []
    assert handled.answered is not None
    assert handled.answered.start == "SIP/2.0 400 Malformed To"
    assert edge.count("malformed") == 1


@pytest.mark.requirement("D-03")
def test_a_proxy_leaves_it_to_the_far_end(make_edge: MakeEdge) -> None:
    edge = make_edge(peer=PASSING, config=CONFIG)
    edge.call(*TIMER)
    assert edge.send(TIMER, method="UPDATE", tags=(THEIRS, f"{OURS};tag=another")).branches


@pytest.mark.requirement("S61-7.3.1-02", "D-03")
def test_a_2xx_with_two_tags_that_differ_proves_nothing(edge: Edge) -> None:
    edge.call(from_us=True, answer=("Require: timer", *TIMER))
    refresh = edge.send(method="UPDATE", from_us=True, within=True)
    refresh.request.received = tuple(
        f"{row};tag=another" if row.startswith("To:") else row for row in refresh.request.received
    )
    edge.answer(refresh, 200, ("Require: timer", *TIMER))
    assert edge.record() is None
    (line,) = told(edge)
    assert line.endswith("has tags that differ")
    assert edge.count("defects") == 1
    assert edge.faults == 0
