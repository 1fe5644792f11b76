"""What the doctor makes of an edge: reachable, equipped, its clock running. Facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from session_timer.record import CHANGES, RECORDS

from session_timer_companion.doctor.finding import KAMAILIO, Finding, Level

TABLES = (RECORDS, CHANGES)
"""What our part of Kamailio keeps."""

FAULTS = "session_timer_faults"
"""The statistic that counts errors in our code."""


@dataclass(frozen=True, slots=True)
class EdgeFacts:
    """What one edge was seen to be."""

    address: str
    unreachable: str = ""
    version: str = ""
    modules: frozenset[str] | None = None
    """None: it does not tell."""
    tables: frozenset[str] | None = None
    clocks: int = 0
    """Clocks that it publishes."""
    running: bool = False
    """One of them moved on while the doctor waited."""
    list_unreadable: str = ""
    """Why the list of changes could not be read."""
    faults: int = 0
    """Errors in our code that the binding has caught."""


def of_edge(facts: EdgeFacts) -> Iterator[Finding]:
    """Reachable, equipped, its clock running, and nothing beside us that does our work badly."""
    about = f"edge {facts.address}"
    if facts.unreachable:
        yield Finding(
            Level.PROBLEM,
            about,
            f"its JSON-RPC does not answer: {facts.unreachable}",
            "no refresh can be confirmed; no call is hung up for that, but each one is probed",
            'modparam("jsonrpcs", "dgram_socket", "udp:<this address>:8090")   and no firewall in between',
            KAMAILIO,
        )
        return
    yield Finding(Level.OK, about, f"answers: {facts.version or 'Kamailio'}")
    missing = [table for table in TABLES if facts.tables is not None and table not in facts.tables]
    if missing:
        yield Finding(
            Level.PROBLEM,
            about,
            f"it has no table {' and no table '.join(missing)}",
            "our part is not loaded there: it writes no records",
            'include_file "session-timer.cfg"',
            KAMAILIO,
        )
        return
    if facts.modules is not None and "sst" in facts.modules:
        yield Finding(
            Level.PROBLEM,
            about,
            "the module sst is loaded beside us",
            "both write Session-Expires and answer 422, and sst ends dialogs by an interval of its own",
            'remove loadmodule "sst.so" and every modparam("sst", ...)',
            KAMAILIO,
        )
    yield from _clock(facts, about)
    if facts.faults:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.faults} errors in our code since it started ({FAULTS})",
            "the calls went on without session timers",
            "journalctl -u kamailio | grep 'session timer: fault'   and report what it says",
        )


def _clock(facts: EdgeFacts, about: str) -> Iterator[Finding]:
    if facts.list_unreadable:
        yield Finding(
            Level.NOTE,
            about,
            f"its list of changes cannot be read: {facts.list_unreadable}",
            "a list longer than a datagram is not answered; records are then read one after the other",
        )
    elif not facts.clocks or not facts.running:
        yield Finding(
            Level.PROBLEM,
            about,
            "its clock stands still" if facts.clocks else "it publishes no clock",
            "how old a record is cannot be told, so calls found at a start are refreshed at once",
            'include_file "session-timer-native.cfg"   or, with a KEMI script, "session-timer.cfg" and in '
            "its class ksr_session_timer_tick = every_second",
            KAMAILIO,
        )
    else:
        yield Finding(
            Level.OK,
            about,
            "its clock runs; by how much the hosts' wall clocks differ does not matter, nobody reads them",
        )
