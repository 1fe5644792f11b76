"""Topology hiding: Asterisk may know another Call-ID than the edge, and session timers go on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.edge.hiding.hiding_edge import ASTERISK, INTERVAL, WAYS, Hidden, behind, hiding
from tests.lab.parts.companion_seen import Companion
from tests.lab.peers.expectations import INTERNAL
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.refreshed_calls import TIMER
from tests.lab.peers.user_agent import Call
from tests.lab.sip import SipMessage
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

MASKED = "!!:"
"""Before a Call-ID that `topoh` has masked."""


@pytest.fixture(scope="module")
def inside(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Companion, Path]]:
    """The companion of an Asterisk behind the edge, and the settings of both."""
    folder = tmp_path_factory.mktemp("hidden")
    with behind(stack, folder) as companion:
        yield companion, folder / "settings" / "session-timer.yaml"


def is_hidden(lab: Hidden, message: SipMessage) -> None:
    """Nothing in the headers tells the peer where Asterisk is, and our header did not leave."""
    where = lab.stack.address(ASTERISK)
    head = [f"{name}: {message.rows(name)}" for name in ("Via", "Record-Route", "Contact", INTERNAL)]
    assert where not in str(head), head
    assert message.rows(INTERNAL) == ()


def refreshed(call: Call) -> None:
    """The UPDATE by which our side refreshes, answered as a peer does that wants us to go on."""
    update = call.expect("UPDATE", timeout=INTERVAL)
    assert update.rows("Session-Expires") == (f"{INTERVAL};refresher=uac",)
    call.answer(update, 200, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")


def received(lab: Hidden, way: str) -> None:
    """A call of the peer's: we refresh, the peer does, and it ends."""
    call = lab.peer.call()
    answer = call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    assert answer.rows("Session-Expires") == (f"{INTERVAL};refresher=uas",)
    is_hidden(lab, answer)
    lab.companion.session(call.call_id)
    at_asterisk = lab.stack.channels().keys()
    assert (call.call_id in at_asterisk) is (way == "topos")
    refreshed(call)
    lab.edge.record(call.call_id, refreshes="1", refresher="local", on_path="1")
    again = call.ask("UPDATE", TIMER, f"Session-Expires: {INTERVAL};refresher=uas")
    assert again.status == 200
    assert again.rows("Session-Expires") == (f"{INTERVAL};refresher=uas",)
    lab.edge.record(call.call_id, refreshes="2", refresher="local")
    asked = call.final(call.invite(TIMER, f"Session-Expires: {INTERVAL};refresher=uas"))
    assert asked.status == 200
    call.ack(asked)
    lab.edge.record(call.call_id, refreshes="3", refresher="local")
    refreshed(call)
    lab.edge.record(call.call_id, refreshes="4")
    assert call.bye().status == 200
    lab.edge.records(call.call_id, 0)


def expired(lab: Hidden, _way: str) -> None:
    """A call of the peer's, which then is dead: it is asked by our side, and there is a BYE."""
    call = lab.peer.call()
    answer = call.dial(TIMER, f"Session-Expires: {INTERVAL};refresher=uac")
    is_hidden(lab, answer)
    lab.edge.record(call.call_id, interval=str(INTERVAL), refresher="remote")
    call.expect("UPDATE", timeout=INTERVAL + 2)
    call.answer(call.expect("BYE", timeout=INTERVAL + 2), 200)
    lab.edge.records(call.call_id, 0)
    wait_until(
        lambda: "event=hung_up" in lab.companion.log(call.call_id), PATIENCE, "the companion's line about it"
    )


def placed(lab: Hidden, way: str) -> None:
    """A call of Asterisk's: we refresh it."""
    user = f"{way}{secrets.token_hex(4)}"
    lab.stack.place_call(lab.peer.reachable(user))
    call, invite = lab.peer.called(user)
    is_hidden(lab, invite)
    call.accept(invite, TIMER, "Require: timer", f"Session-Expires: {INTERVAL};refresher=uac")
    call.expect("ACK")
    own = call.call_id
    if way != "topos":
        assert own.startswith(MASKED)
        (own,) = [each for each in lab.stack.channels() if not each.startswith(MASKED)]
    lab.companion.session(own)
    refreshed(call)
    lab.edge.record(own, refreshes="1", on_path="1")
    assert call.bye().status == 200
    lab.edge.records(own, 0)


def ended(lab: Hidden, way: str) -> None:
    """A call between two others of which no refresh is seen: the edge ends both sides, as was chosen."""
    user = f"ended{secrets.token_hex(4)}"
    caller = lab.peer.call(lab.another.reachable(user))
    caller.local = "<sip:carrier@ended.example>"
    asked = caller.invite(TIMER, "Session-Expires: 4")
    callee, invite = lab.another.called(user)
    assert (callee.call_id == caller.call_id) is (way == "topos")
    callee.accept(invite, TIMER, "Require: timer", "Session-Expires: 4;refresher=uac")
    caller.ack(caller.final(asked))
    callee.expect("ACK")
    if way == "topos-masked":
        callee.call_id = caller.call_id  # which it does not know: the page says so
    # An answer to the first BYE that comes at once frees the dialog before Kamailio has sent the second.
    for end, bye in [(end, end.expect("BYE", timeout=10)) for end in (caller, callee)]:
        end.accept(bye)
    assert not lab.edge.record_texts(caller.call_id)


SCRIPTS: list[Callable[[Hidden, str], None]] = [received, expired, placed, ended]


# Debian's Kamailio 5.6 has no topos_htable.
@pytest.mark.parametrize("way", sorted(WAYS) if os.environ.get("EDGE_SUITE") != "bookworm" else ["topoh"])
def test_calls_are_refreshed_and_dead_ones_end(
    stack: Stack, sockets: LabSockets, inside: tuple[Companion, Path], tmp_path: Path, way: str
) -> None:
    companion, settings = inside
    assert set(WAYS) == {"topos", "topos-masked", "topoh"}
    with (
        hiding(stack, sockets, companion, way, tmp_path, settings) as lab,
        ThreadPoolExecutor(len(SCRIPTS)) as pool,
    ):
        companion.ready()
        for each in [pool.submit(script, lab, way) for script in SCRIPTS]:
            each.result(60)
        assert lab.edge.counter("faults") == 0
