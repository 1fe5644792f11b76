"""What the grammar forbids and stacks send all the same: a refresh counts where its meaning is certain."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import asterisk_orders
from tests.lab.parts.observed_edge import Kamailio
from tests.lab.peers.expectations import assert_2xx
from tests.lab.peers.user_agent import Peer
from tests.lab.stack import Stack

Written = Callable[[list[str]], list[str]]
REFRESHED = ("Supported: timer", "Session-Expires: 1800;refresher=uac")
TAKEN = ("Require: timer", *REFRESHED)


def with_semicolon(rows: list[str]) -> list[str]:
    return [f"{row};" if row.startswith("Session-Expires:") else row for row in rows]


def with_tag_twice(rows: list[str]) -> list[str]:
    return [f"{row};tag={row.partition(';tag=')[2]}" if row.startswith("To:") else row for row in rows]


def with_two_tags(rows: list[str]) -> list[str]:
    return [f"{row};tag=another" if row.startswith("To:") else row for row in rows]


def without_contact(rows: list[str]) -> list[str]:
    return [row for row in rows if not row.startswith("Contact:")]


def with_empty_supported(rows: list[str]) -> list[str]:
    """Lawful (RFC 3261 25.1), and read as naming nothing."""
    return ["Supported:" if row.startswith("Supported:") else row for row in rows]


READ_IN_REQUESTS = [
    (with_semicolon, "ends in a semicolon"),
    (with_tag_twice, "stands there 2 times, read once"),
]


@pytest.mark.smoke
@pytest.mark.requirement("SE-4-02", "S61-7.3.1-02", "S61-12.2-01", "D-03")
@pytest.mark.parametrize(("written", "said"), READ_IN_REQUESTS)
def test_in_a_refresh_of_the_peer(
    peer: Peer, edge: Kamailio, stack: Stack, written: Written, said: str
) -> None:
    call = peer(41).call()
    call.dial(*REFRESHED)
    counted, faults = edge.counter("defects"), edge.counter("faults")
    call.written = written
    assert_2xx(call.ask("UPDATE", *REFRESHED), "1800;refresher=uac", requires=True)
    edge.record(call.call_id, refreshes="1", refresher="remote", interval="1800")
    assert (edge.counter("defects"), edge.counter("faults")) == (counted + 1, faults)
    call.written = list
    assert call.bye().status == 200
    line = stack.logged("edge", call.call_id, "defect")
    assert "defect in a request: " in line
    assert said in line


@pytest.mark.smoke
@pytest.mark.requirement("SE-4-02", "S61-7.3.1-02", "S61-12.2-01", "D-03")
@pytest.mark.parametrize(("written", "said"), [*READ_IN_REQUESTS, (without_contact, "no Contact")])
def test_in_a_2xx_of_the_peer(peer: Peer, edge: Kamailio, stack: Stack, written: Written, said: str) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uas")
    counted, faults = edge.counter("defects"), edge.counter("faults")
    asterisk_orders.update(stack, call)
    request = call.expect("UPDATE")
    call.written = written
    call.accept(request, *TAKEN)
    call.written = list
    edge.record(call.call_id, refreshes="1", refresher="local", interval="1800")
    assert (edge.counter("defects"), edge.counter("faults")) == (counted + 1, faults)
    assert call.bye().status == 200
    line = stack.logged("edge", call.call_id, "defect")
    assert "defect in a 200: " in line
    assert said in line


@pytest.mark.smoke
@pytest.mark.requirement("S61-12.2-01")
def test_asterisk_itself_refuses_a_refresh_without_contact(peer: Peer, edge: Kamailio) -> None:
    call = peer(41).call()
    call.dial(*REFRESHED)
    counted = edge.counter("defects")
    call.written = without_contact
    assert call.ask("UPDATE", *REFRESHED).start_line == "SIP/2.0 400 Missing Contact header"
    edge.record(call.call_id, refreshes="0", refresher="remote")
    assert edge.counter("defects") == counted + 1
    call.written = list
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.1-01", "UAS-9-18")
def test_an_empty_supported_is_lawful(peer: Peer, edge: Kamailio) -> None:
    counted = edge.counter("defects")
    call = peer(41).call()
    call.written = with_empty_supported
    assert_2xx(call.dial("Supported:", "Session-Expires: 1800"), "1800;refresher=uas", requires=False)
    edge.record(call.call_id, refresher="local", interval="1800")
    assert edge.counter("defects") == counted
    assert call.bye().status == 200


@pytest.mark.smoke
@pytest.mark.requirement("UAC-7.2-10", "G-06")
def test_a_bare_2xx_of_a_peer_that_knows_timers(peer: Peer, edge: Kamailio, stack: Stack) -> None:
    call = peer(41).call()
    call.dial("Supported: timer", "Session-Expires: 1800;refresher=uas")
    counted = edge.counter("defects")
    asterisk_orders.update(stack, call)
    call.accept(call.expect("UPDATE"), "Supported: timer")
    edge.record(call.call_id, refreshes="1", refresher="local", interval="1800", one_sided="1")
    assert edge.counter("defects") == counted + 1
    assert call.bye().status == 200
    line = stack.logged("edge", call.call_id, "defect")
    assert "defect in a 200: no Session-Expires: the timer goes on one-sided, 1800 s" in line


@pytest.mark.smoke
@pytest.mark.requirement("S61-7.3.1-02", "D-03")
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_request_with_two_tags_that_differ_is_refused(peer: Peer, edge: Kamailio, method: str) -> None:
    call = peer(41).call()
    call.dial(*REFRESHED)
    counted = edge.counter("malformed")
    call.written = with_two_tags
    answer = call.final(call.send(method, *REFRESHED))
    assert (answer.status, answer.reason) == (400, "Malformed To")
    assert edge.counter("malformed") == counted + 1
    call.written = list
    edge.record(call.call_id, refreshes="0", refresher="remote")
    assert call.bye().status == 200
