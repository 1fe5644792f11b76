"""An edge dies with calls up, and the other one takes the address that both serve: nobody notices.

Asterisk is the lab's own. The companion has one door, at the address that both edges serve, and is not told
that there are two.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.parts.companion_once import companion_once
from tests.lab.parts.companion_seen import Companion
from tests.lab.parts.killed_parts import without
from tests.lab.parts.observed_edge import Kamailio, Wire
from tests.lab.parts.replicated_edges import Edges, Running, take
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.refreshed_calls import (
    BY_REINVITE,
    BY_THEM,
    BY_UPDATE,
    INTERVAL,
    LATE,
    NO_UPDATE,
    TIMER,
    agree,
    refresh,
    repeated,
)
from tests.lab.peers.user_agent import ALLOW, Call, Peer, UserAgent
from tests.lab.stack import ROOT, Stack
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

SHARED = 15
OURS = f"{INTERVAL};refresher=uas"
THEIRS = "15;refresher=uac"
"""The companion asks for a record of theirs 8.75 seconds after a 2xx, and gives up after 10."""


def holds(stack: Stack, edge: Running, *calls: Call) -> None:
    """Wait until this edge has the record of each call, though it has not the address of its RPC."""
    wait_until(
        lambda: stack.exec(edge.edge.service, "kamcmd", "htable.dump", "session_timer"),
        PATIENCE,
        f"the records at edge {edge.name}",
        holds=lambda dump: all(call.call_id in dump for call in calls),
    )


def called(  # each of the test's surroundings by name
    stack: Stack,
    peer: Peer,
    sockets: LabSockets,
    wire: Wire,
    host: int,
    terms: str,
    allow: str = ALLOW,
) -> Call:
    """A call of the carrier to Asterisk by way of the shared address."""
    shared = stack.address(SHARED)
    call = UserAgent(sockets, peer(host).address, shared, wire).call(f"sip:wait@{shared}")
    answer = call.final(call.invite(TIMER, f"Session-Expires: {terms}", allow=allow))
    assert answer.status == 200, answer.start_line
    assert answer.rows("Session-Expires") == (terms,)
    call.establish(answer)
    assert any(shared in route for route in call.routes)
    call.send("ACK", cseq=1)
    return call


@pytest.fixture
def pair(
    stack: Stack, sockets: LabSockets, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Running]]:
    edges = Edges(stack, sockets, tmp_path_factory.mktemp("shared"), "kemi", shared=SHARED)
    try:
        yield edges.start("a"), edges.start("b")
    finally:
        edges.close()


@pytest.fixture
def shared_companion(stage: Stage, pair: tuple[Running, Running], tmp_path: Path) -> Iterator[Companion]:
    """In place of the lab's, one that asks whoever has the shared address."""
    stack = stage.stack
    take(stack, pair[0], SHARED)
    lab = (ROOT / "docker" / "config" / "session-timer.yaml").read_text(encoding="utf-8")
    settings = lab.replace("@LAB_NET@.10", stack.address(SHARED)).replace("@LAB_NET@", stack.network)
    (tmp_path / "session-timer.yaml").write_text(settings, encoding="utf-8")
    with without(stack, "companion"), companion_once(stack, tmp_path, 16, "companion-shared") as found:
        yield found
    stage.companion.ready()


@pytest.mark.requirement("UAC-7.2-15", "REF-10-02", "REF-10-07", "REF-10-08")
def test_calls_go_on_over_the_edge_that_takes_the_address(
    stage: Stage,
    pair: tuple[Running, Running],
    shared_companion: Companion,
    sockets: LabSockets,
    wire: Wire,
) -> None:
    a, b = pair
    stack = stage.stack
    rpc = Kamailio(sockets, (stack.address(40), 7100 + SHARED), (stack.address(SHARED), 8090))
    ours, left_by_us = (called(stack, stage.peer, sockets, wire, BY_UPDATE, OURS) for _ in range(2))
    theirs, left = (called(stack, stage.peer, sockets, wire, BY_THEM, THEIRS) for _ in range(2))
    for call in (ours, left_by_us, theirs, left):
        shared_companion.session(call.call_id)
    for call in (ours, left_by_us):
        agree(call, refresh(call, "UPDATE"))
    for call in (left, theirs):
        assert call.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").status == 200
    for call in (ours, left_by_us, theirs, left):
        assert rpc.record(call.call_id, refreshes="1")["clock"] == "host-a"
    for call in (ours, left_by_us):
        shared_companion.session(call.call_id, lambda seen: seen["refreshes"] == 1)
    holds(stack, b, ours, left_by_us, theirs, left)

    a.kill()
    take(stack, b, SHARED)

    # The peer's refresh, and then ours, on the terms that were agreed through the other edge.
    assert theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").rows("Session-Expires") == (THEIRS,)
    agree(ours, refresh(ours, "UPDATE"))
    for call in (ours, theirs):
        assert rpc.record(call.call_id, refreshes="2")["clock"] == "host-b"
    shared_companion.session(ours.call_id, lambda seen: seen["refreshes"] == 2 and seen["due"] > 0)
    assert theirs.ask("UPDATE", TIMER, f"Session-Expires: {THEIRS}").status == 200

    # The one that died is started again: it has its table back, and may be the next to take over.
    with a.edge.running():
        holds(stack, a, ours, theirs)
        # Whoever was silent since the edge died is found dead by the record that the other one has.
        for call in (left_by_us, left):
            call.answer(call.expect("BYE", timeout=INTERVAL + LATE), 200)
        wait_until(
            lambda: shared_companion.sessions().keys() & {left_by_us.call_id, left.call_id},
            PATIENCE,
            "no dead call",
            holds=lambda seen: not seen,
        )
        # And who was not is found alive by it.
        shared_companion.session(theirs.call_id, lambda seen: seen["refreshes"] >= 2)
        for call in (ours, theirs):
            assert call.bye().status == 200
        wait_until(
            lambda: rpc.record_texts(ours.call_id) | rpc.record_texts(theirs.call_id),
            PATIENCE,
            "no record",
            holds=lambda seen: not seen,
        )
    assert shared_companion.metric("session_timer_faults_total") == 0


@pytest.mark.requirement("UAC-7.2-15", "REF-10-02")
def test_a_re_invite_that_was_open_is_repeated_and_answered_over_the_other_edge(
    stage: Stage,
    pair: tuple[Running, Running],
    shared_companion: Companion,
    sockets: LabSockets,
    wire: Wire,
) -> None:
    """Asterisk got no 100 for it, and so it repeats it to whoever has the address.

    A peer that answered before that would answer into the gap, or to an edge that has passed nothing on.
    """
    a, b = pair
    stack = stage.stack
    call = called(stack, stage.peer, sockets, wire, BY_REINVITE, OURS, allow=NO_UPDATE)
    shared_companion.session(call.call_id)
    holds(stack, b, call)
    opened = refresh(call, "INVITE")
    a.kill()
    take(stack, b, SHARED)
    rpc = Kamailio(sockets, (stack.address(40), 7100 + SHARED), (stack.address(SHARED), 8090))
    repeated(call)
    agree(call, opened)
    assert rpc.record(call.call_id, refreshes="1")["clock"] == "host-b"
    shared_companion.session(call.call_id, lambda seen: seen["refreshes"] == 1 and seen["due"] > 0)
    assert call.bye().status == 200
