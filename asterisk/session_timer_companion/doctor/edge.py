"""What the doctor makes of an edge: reachable, with our key, our settings, and its routes armed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from session_timer_companion.doctor.finding import KAMAILIO, Finding, Level
from session_timer_companion.edge.replies import REFUSED_RECORDS, Table

SMALLEST = 16
"""`size` as session-timer.cfg has it: a million records are 15 to a slot."""

IN_A_SLOT = 16
"""Records, more of which in each slot make every message of a call dearer (docs/reference/scale.md)."""

FAULTS = "faults"
"""The statistic of the edge that counts errors in our code."""


@dataclass(frozen=True, slots=True)
class EdgeFacts:
    """What one edge was seen to be."""

    name: str
    address: str
    unreachable: str = ""
    clock: str = ""
    running: bool = False
    """Its clock moved on while the doctor waited."""
    same_settings: bool = True
    stats: Mapping[str, int] = field(default_factory=dict)
    aged: int = 0
    """Calls of ours there whose age is past half their interval, and whose record shows no refresh."""
    table: Table | None = None
    """Its table of records; None where it cannot say."""
    off_path: int = 0
    """Calls of ours there of whose requests it sees none."""


def size_for(records: int) -> int:
    """The `size` of the table for so many: a power of two of slots, one more whenever the records double."""
    return max(SMALLEST, (max(0, records - 1) // IN_A_SLOT).bit_length())


def of_edge(facts: EdgeFacts) -> Iterator[Finding]:
    """Reachable, by our key, with our settings; and what its statistics show."""
    about = f"edge {facts.name}"
    if facts.unreachable:
        yield Finding(
            Level.PROBLEM,
            about,
            f"its door at {facts.address} cannot be read: {facts.unreachable}",
            "no refresh can be confirmed, and while there is time none is sent; no call is hung up for that",
            "the door's lines in Kamailio's configuration, the same key on both sides, no firewall between",
            KAMAILIO,
        )
        return
    yield Finding(Level.OK, about, f"replies at {facts.address}")
    if not facts.running:
        yield Finding(
            Level.PROBLEM,
            about,
            "its clock stands still" if facts.clock else "it names no clock",
            "how old a record is cannot be told",
            "restart Kamailio, and report this",
        )
    if not facts.same_settings:
        yield Finding(
            Level.PROBLEM,
            about,
            "it has other settings than this companion (session_timer, peers or header differ)",
            "edge and companion may decide differently of the same call",
            "copy the file to both, reload both",
            "the configuration",
        )
    if facts.stats.get(FAULTS, 0):
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.stats[FAULTS]} errors in our code since it started",
            "the calls went on without session timers",
            "journalctl -u kamailio | grep 'session timer: fault'   and report what it says",
        )
    if facts.stats.get(REFUSED_RECORDS, 0):
        yield Finding(
            Level.PROBLEM,
            about,
            f"its table has refused {facts.stats[REFUSED_RECORDS]} records since it started",
            "such calls are refreshed and never judged: a dead one stands until its next refresh",
            "more shared memory: -m in MB, at least one for every 1,000 calls at once",
            "the options of Kamailio's service (SHM_MEMORY in /etc/default/kamailio)",
        )
    if facts.table is not None and facts.table.records > IN_A_SLOT * facts.table.slots:
        yield Finding(
            Level.PROBLEM,
            about,
            f"its table has {facts.table.records:,} records in {facts.table.slots:,} slots",
            f"with more than {IN_A_SLOT} in a slot every message of a call costs more",
            f"session_timer=>size={size_for(facts.table.records)}   and restart Kamailio",
            "session-timer.cfg",
        )
    if facts.aged and not facts.stats.get("refreshed_local", 0):
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.aged} calls are past half their interval, and it has seen no refresh of any call",
            "its routes do not see requests within dialogs: arm them for these too",
            "route(SESSION_TIMER_REQUEST) before t_relay for requests with a To tag as well",
            KAMAILIO,
        )
    if facts.off_path:
        yield Finding(
            Level.NOTE,
            about,
            f"of {facts.off_path} calls it sees no request within the dialog",
            "such calls are refreshed and never judged: their death is found by Asterisk alone",
            "record_route() for every INVITE that passes it",
            KAMAILIO,
        )
