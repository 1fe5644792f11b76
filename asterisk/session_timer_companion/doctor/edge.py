"""What the doctor makes of an edge: reachable, with our key, our settings, and its routes armed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from session_timer_companion.doctor.finding import KAMAILIO, Finding, Level

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
    off_path: int = 0
    """Calls of ours there of whose requests it sees none."""


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
