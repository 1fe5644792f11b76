"""Two edges with the lines of docs/how-to/failover.md: what one of them knows, the other knows too."""

from __future__ import annotations

import calendar
import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest
from session_timer.record import RECORDS

from tests.lab.parts.observed_edge import Wire
from tests.lab.parts.replicated_edges import AHEAD, BEHIND, Edges, Running, replicate
from tests.lab.peers.lab_sockets import LabSockets
from tests.lab.peers.user_agent import Call, Peer, UserAgent
from tests.lab.stack import Stack
from tests.lab.waiting import PATIENCE, wait_until

AS_THE_COMPANION = (Path(__file__).parent / "as_the_companion.py").read_text(encoding="utf-8")
SOON = PATIENCE
"""Seconds within which a copy has arrived: on an idle machine it takes some hundredths."""
INTERVAL = 43200
TIMER = ("Supported: timer", f"Session-Expires: {INTERVAL};refresher=uac")


@dataclass(slots=True)
class Dialog:
    """A call through one of the edges, and the end that plays Asterisk."""

    call: Call
    behind: Call

    def refresh(self) -> None:
        number = self.call.send("UPDATE", *TIMER)
        self.behind.accept(self.behind.expect("UPDATE"))
        answer = self.call.final(number)
        assert answer.status == 200
        assert answer.rows("Session-Expires") == (f"{INTERVAL};refresher=uac",)

    def end(self) -> None:
        number = self.call.send("BYE")
        self.behind.accept(self.behind.expect("BYE"))
        assert self.call.final(number).status == 200

    def through(self, edge: Running, sockets: LabSockets, wire: Wire) -> Dialog:
        """The same dialog, sent through another edge."""

        def moved(call: Call) -> Call:
            agent = UserAgent(sockets, call.agent.address, edge.edge.address, wire)
            return replace(call, agent=agent, routes=[])

        return Dialog(moved(self.call), moved(self.behind))


class Pair:
    """Both edges; the second one started when the first had a call already."""

    def __init__(self, edges: Edges, sockets: LabSockets, wire: Wire, peer: Peer) -> None:
        self._sockets, self._wire, self._peer = sockets, wire, peer
        self.a = edges.start("a")
        self.early = self.connected(self.a)
        self.b = edges.start("b")

    def connected(self, edge: Running) -> Dialog:
        user, address = f"copied{secrets.token_hex(4)}", edge.edge.address
        call = UserAgent(self._sockets, self._peer(41).address, address, self._wire).call(
            f"sip:{user}@{address}"
        )
        call.invite(*TIMER)
        asterisk = UserAgent(self._sockets, self._peer(BEHIND).address, address, self._wire)
        behind, invite = asterisk.called(user)
        behind.accept(invite)
        call.establish(call.final(1))
        call.send("ACK", cseq=1)
        behind.expect("ACK")
        return Dialog(call, behind)


@pytest.fixture(scope="module")
def pair(
    stack: Stack, sockets: LabSockets, wire: Wire, peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    edges = Edges(stack, sockets, tmp_path_factory.mktemp("edges"), "kemi")
    try:
        yield Pair(edges, sockets, wire, peer)
    finally:
        edges.close()


@contextmanager
def companion(stack: Stack, key: str, *edges: Running) -> Iterator[subprocess.Popen[str]]:
    """A companion's edge client; the first edge is the one that it asks, the others those that it knows."""
    places = [f"edge-{each.name}=http://{each.edge.address}:5060" for each in edges]
    python = ["python3", "-u", "-c", AS_THE_COMPANION, key, *places]
    with subprocess.Popen(
        ["docker", "exec", "-i", stack.container("companion"), *python],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        _pipe(process.stdin).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def look(process: subprocess.Popen[str], *, again: bool = False) -> dict[str, Any]:
    """What it has seen."""
    if again:
        _pipe(process.stdin).write("\n")
        _pipe(process.stdin).flush()
    seen: dict[str, Any] = json.loads(_pipe(process.stdout).readline())
    return seen


def key_of(edge: Running, dialog: Dialog) -> str:
    (key,) = [each for each in edge.entries(RECORDS) if each.startswith(f"{dialog.call.call_id};")]
    return key


def lifetime(edge: Running, key: str) -> float:
    """Seconds that the entry has left; the containers have the machine's wall clock, in UTC."""
    expire = edge.kamailio.rpc("htable.get", RECORDS, key)["result"]["item"]["expire"]
    return calendar.timegm(time.strptime(expire, "%Y-%m-%d %H:%M:%S")) - time.time()


@pytest.mark.smoke
def test_an_edge_that_starts_later_gets_the_records_there_are(pair: Pair) -> None:
    record = pair.b.copy(pair.early.call.call_id, SOON)
    assert record == pair.a.copy(pair.early.call.call_id, 1)
    assert record["clock"] == "host-a"


@pytest.mark.smoke
def test_a_record_is_at_the_other_edge_too(pair: Pair) -> None:
    dialog = pair.connected(pair.a)
    call_id = dialog.call.call_id
    copied = pair.b.copy(call_id, SOON, refreshes="0", interval=str(INTERVAL), refresher="remote")
    assert copied == pair.a.copy(call_id, 1)
    assert copied["clock"] == "host-a"
    # It outlives the interval here too, whichever of Kamailio's two messages came first.
    assert lifetime(pair.b, key_of(pair.b, dialog)) > INTERVAL
    dialog.refresh()
    pair.b.copy(call_id, SOON, refreshes="1")
    dialog.end()
    wait_until(
        lambda: not [key for key in pair.b.entries(RECORDS) if key.startswith(f"{call_id};")],
        SOON,
        "the copy to go with the BYE",
        pause=0.03,
    )


def test_both_clocks_are_listed_at_both_edges(pair: Pair) -> None:
    for edge in (pair.a, pair.b):
        listed = edge.clocks("host-a", "host-b")
        apart = listed["host-a"] - listed["host-b"]
        assert apart == pytest.approx(AHEAD["a"] - AHEAD["b"], abs=5)


def test_a_copy_that_comes_twice_or_late_does_no_harm(pair: Pair, stack: Stack) -> None:
    dialog = pair.connected(pair.a)
    call_id, to = dialog.call.call_id, pair.b.edge.address
    pair.b.copy(call_id, SOON)
    key = key_of(pair.b, dialog)
    first = pair.b.entries(RECORDS)[key]
    dialog.refresh()
    pair.b.copy(call_id, SOON, refreshes="1")
    second = pair.b.entries(RECORDS)[key]
    assert replicate(stack, "edge-a", to, key, second) == "SIP/2.0 200 OK"
    assert pair.b.entries(RECORDS)[key] == second
    assert replicate(stack, "edge-a", to, key, first) == "SIP/2.0 200 OK"
    # An older one holds until the next 2xx; who asks meanwhile hears of an older refresh, never of a newer.
    late = pair.b.copy(call_id, SOON, refreshes="0")
    assert float(late["at"]) < float(pair.a.copy(call_id, 1)["at"])
    dialog.refresh()
    assert pair.b.copy(call_id, SOON, refreshes="2") == pair.a.copy(call_id, 1)
    dialog.end()


def test_an_outsider_cannot_write_a_record(pair: Pair, stack: Stack) -> None:
    to = pair.b.edge.address
    assert replicate(stack, "companion", to, "forged;a;b", "v=2", within=1) == "nothing"
    assert replicate(stack, "edge-a", to, "copied;a;b", "v=2") == "SIP/2.0 200 OK"
    entries = pair.b.entries(RECORDS)
    assert "copied;a;b" in entries
    assert "forged;a;b" not in entries


def test_an_edge_takes_over_from_one_that_was_killed(
    pair: Pair, stack: Stack, sockets: LabSockets, wire: Wire
) -> None:
    """The last test of this module: it ends one of the two edges."""
    begun = time.monotonic()
    dialog = pair.connected(pair.a)
    call_id = dialog.call.call_id
    pair.b.copy(call_id, SOON)
    with companion(stack, key_of(pair.b, dialog), pair.a, pair.b) as process:
        before = look(process)
        assert before["up"] is True
        pair.a.kill()
        after = look(process, again=True)
    assert after["up"] is False
    for seen, answer in ((before, "Found"), (after, "Copy")):
        assert seen["answer"] == answer
        assert seen["clock"] == "host-a"
        assert {"host-a", "host-b"} <= set(seen["clocks"])
    elapsed = time.monotonic() - begun
    assert 0 < before["age"] < after["age"] < elapsed
    # A refresh that goes through the other edge is seen there, on the terms that were agreed at the first.
    other = dialog.through(pair.b, sockets, wire)
    other.refresh()
    taken = pair.b.copy(call_id, SOON, refreshes="1", refresher="remote", interval=str(INTERVAL))
    assert taken["clock"] == "host-b"
    other.end()
