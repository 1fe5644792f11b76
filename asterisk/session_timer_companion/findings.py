"""What `session-timer doctor` makes of what it saw: what would not work, why, and the line to change.

Facts in, findings out; nothing here looks at anything itself (`doctor` does).
"""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from session_timer import Config, Mode, Policy

from session_timer_companion.configuration import Configuration

MANAGER = "/etc/asterisk/manager.d/session-timer.conf"
PJSIP = "/etc/asterisk/pjsip.conf"
KAMAILIO = "/etc/kamailio/kamailio.cfg"

NEEDED = {
    "Status": "to find the calls that are up",
    "Getvar": "to read a call's dialog, its codecs and the edge's header",
    "Setvar": "to make Asterisk send a refresh",
    "Hangup": "to end a call that expired",
}
"""AMI actions that the companion uses, and what for; `write = call` allows them all."""

TOO_MUCH = ("Command", "Originate", "UpdateConfig", "ModuleLoad", "DBPut")
"""AMI actions that whoever learns the password could do harm with; none is used."""

OPTIONS = (
    "timers",
    "send_connected_line",
    "send_pai",
    "send_rpid",
    "trust_id_outbound",
    "connected_line_method",
)
"""Endpoint options that decide whether a refresh leaves Asterisk."""

TABLES = ("session_timer", "session_timer_changes")

_ON = ("yes", "true", "1", "on")
_FAULTS = "session_timer_faults"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """It works; somebody should know."""
    PROBLEM = "problem"
    """Something would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    """Which part: the configuration, an Asterisk, an edge, the companion."""
    what: str
    why: str = ""
    """What follows from it."""
    change: str = ""
    """The line to write, or what to do."""
    file: str = ""
    """Where that line belongs."""


@dataclass(frozen=True, slots=True)
class AsteriskFacts:
    """What one Asterisk was seen to be."""

    name: str
    address: str
    refused: str = ""
    """Why there is no connection or no login."""
    actions: frozenset[str] = frozenset()
    """What the account may do."""
    endpoints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By name: the options of `OPTIONS`, empty where Asterisk does not tell."""
    every_endpoint: bool = False
    """The list is complete; else it holds those of live calls and those that were named."""
    calls: int = 0
    """Answered PJSIP channels."""
    foreign: int = 0
    """Those without our internal header."""
    malformed: tuple[tuple[str, str], ...] = ()
    """Call-ID and what is wrong with its internal header."""
    unrecorded: tuple[str, ...] = ()
    """Call-IDs whose record the edge does not have."""
    moved: bool = False
    """Channels came or went while the doctor listened."""
    heard: bool = False
    """Events told of channels."""


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


@dataclass(frozen=True, slots=True)
class CompanionFacts:
    """What answers where the companion's HTTP is expected."""

    url: str
    running: bool = False
    foreign: bool = False
    """Something else answers there."""
    trouble: str = ""
    version: str = ""
    waiting_for: tuple[str, ...] = ()
    """What it is not ready with, and why."""
    swallowed: int = 0
    """Refreshes that Asterisk called a success and that left no sign."""
    faults: int = 0


def of_configuration(configuration: Configuration, path: Path) -> Iterator[Finding]:
    """What is allowed, and still would not work or should be known."""
    shared, settings = configuration.shared, configuration.settings
    about, file = "configuration", str(path)
    peers = len(shared.peers)
    yield Finding(Level.OK, about, f"{path} is valid: {peers} peer profile{'s' * (peers != 1)}")
    if not shared.edge.rpc and not all(server.alone for server in settings.ami):
        yield Finding(
            Level.NOTE,
            about,
            "edge.rpc is not set",
            "a call whose internal header names no edge cannot be followed: no record tells of its refreshes",
            'edge: {rpc: "udp:<address of Kamailio>:8090"}',
            file,
        )
    if not shared.asterisk and shared.edge.rpc:
        yield Finding(
            Level.PROBLEM,
            about,
            "`asterisk` lists no server",
            "the edge speaks for nobody: every call passes between ends with timers of their own, "
            "and none gets the internal header",
            "asterisk: [<address of Asterisk as Kamailio sees it>]",
            file,
        )
    if shared.policy.floor < 90:
        yield Finding(
            Level.NOTE,
            about,
            "unsafe_lab_intervals is true",
            "intervals below 90 seconds are for a lab; no peer out there accepts them (RFC 4028 section 4)",
            "remove unsafe_lab_intervals",
            file,
        )
    if settings.http.enabled and not _loopback(settings.http.host):
        yield Finding(
            Level.NOTE,
            about,
            f"HTTP listens on {settings.http.host}",
            "whoever reaches the port sees Call-IDs and may refresh calls; there is no password",
            "companion: {http: {host: 127.0.0.1}}",
            file,
        )
    for server in settings.ami:
        yield from _secret(server.name, server.secret_file, server.secret is not None, path)
        if server.tls is None and not _loopback(server.host):
            yield Finding(
                Level.NOTE,
                about,
                f"AMI to {server.host} is not encrypted",
                "the password is not sent as it is, but whoever is on the way may read and change the rest",
                "tls: {ca_file: <PEM file>}   and tlsenable = yes in manager.conf",
                file,
            )


def _secret(name: str, secret_file: str | None, inline: bool, path: Path) -> Iterator[Finding]:  # noqa: FBT001
    holder = path if inline else path.parent / secret_file if secret_file else None
    if holder is None:
        return
    try:
        mode = holder.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IROTH:
        yield Finding(
            Level.NOTE,
            "configuration",
            f"every user of this host can read {holder}, which holds the AMI password of {name}",
            "that account may hang up calls",
            f"chmod o-r {holder}",
            str(holder),
        )


def of_asterisk(facts: AsteriskFacts, config: Config, *, alone: bool = False) -> Iterator[Finding]:
    """Login, privileges, events, live calls; then each endpoint."""
    about = f"Asterisk {facts.name}"
    if facts.refused:
        yield Finding(Level.PROBLEM, about, facts.refused, "nothing can be refreshed or ended here")
        return
    yield Finding(Level.OK, about, f"logged in at {facts.address}")
    lacking = [action for action in NEEDED if action not in facts.actions]
    for action in lacking:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the account may not {action}",
            f"the companion needs it {NEEDED[action]}",
            "write = call",
            MANAGER,
        )
    if not lacking:
        yield Finding(Level.OK, about, f"the account may {', '.join(NEEDED)}")
    excess = [action for action in TOO_MUCH if action in facts.actions]
    if excess:
        yield Finding(
            Level.NOTE,
            about,
            f"the account may also {', '.join(excess)}",
            "the companion uses none of it, and a stolen password would",
            "write = call   and no more",
            MANAGER,
        )
    yield from _events(facts, about)
    yield from _calls(facts, about, config, alone=alone)
    yield from _endpoints(facts, about, config)


def _events(facts: AsteriskFacts, about: str) -> Iterator[Finding]:
    if facts.heard:
        yield Finding(Level.OK, about, "events of channels arrive")
    elif facts.moved:
        yield Finding(
            Level.PROBLEM,
            about,
            "channels came and went, and no event told of it",
            "a call would be noticed only after a reconnect, perhaps when it has expired",
            "read = call,system",
            MANAGER,
        )
    else:
        yield Finding(
            Level.NOTE,
            about,
            "no channel came or went while we listened: whether events arrive was not seen",
            "Asterisk tells an account what it may do, not what it may hear",
            "place a call meanwhile: session-timer doctor --listen 30",
        )


def _calls(facts: AsteriskFacts, about: str, config: Config, *, alone: bool) -> Iterator[Finding]:
    ours = facts.calls - facts.foreign
    if facts.calls:
        yield Finding(Level.OK, about, f"{facts.calls} answered calls, {ours} of them with our header")
    if facts.calls and not ours and not alone:
        yield Finding(
            Level.PROBLEM,
            about,
            f"none of {facts.calls} calls has the header {config.edge.header}",
            "these calls do not come through our edge, or it does not know this Asterisk as its own, or "
            "`header` differs there",
            "asterisk: [<address of this Asterisk as Kamailio sees it>]",
            "the configuration that the edge reads",
        )
    for call_id, reason in facts.malformed[:3]:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the internal header of call {call_id} cannot be read: {reason}",
            "edge and companion are of different releases",
            "install the same release on both",
        )
    if facts.unrecorded:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the edge has no record of {len(facts.unrecorded)} calls with our header, "
            f"such as {facts.unrecorded[0]}",
            "after a restart of the edge without its table these calls are probed, never hung up unheard; "
            "in any other case the companion asks an edge that did not see them",
            "edge: {rpc: ...}   of each edge must be reachable under the address that it writes itself",
            "the configuration that the edge reads",
        )


def _endpoints(facts: AsteriskFacts, about: str, config: Config) -> Iterator[Finding]:
    if not facts.endpoints:
        yield Finding(
            Level.NOTE,
            about,
            "no endpoint was looked at: no call is up, and the account may not list endpoints",
            "whether refreshes leave Asterisk depends on the endpoint's options",
            "session-timer doctor --endpoint NAME   for each endpoint towards the edge",
        )
    elif not facts.every_endpoint:
        yield Finding(
            Level.OK,
            about,
            f"endpoints looked at: {', '.join(sorted(facts.endpoints))}; others are named with --endpoint",
        )
    for name, options in sorted(facts.endpoints.items()):
        found = list(of_endpoint(f"{about}, endpoint {name}", name, options, config))
        yield from found or [
            Finding(Level.OK, f"{about}, endpoint {name}", "timers=no, and every form of refresh leaves")
        ]


def of_endpoint(about: str, name: str, options: Mapping[str, str], config: Config) -> Iterator[Finding]:
    """What an endpoint's options do to refreshes (`OPTIONS`, as `PJSIP_ENDPOINT` tells them)."""
    policies = [config.policy, *(peer.policy for peer in config.peers)]
    if not any(options.values()):
        yield Finding(
            Level.PROBLEM,
            about,
            "Asterisk tells no option of it",
            f"there is no [{name}] of type endpoint, or the module that tells is not loaded",
            "load = func_pjsip_endpoint.so   (or autoload = yes)",
            "/etc/asterisk/modules.conf",
        )
        return
    timers = options.get("timers", "")
    if timers and timers != "no" and any(_anchored(policy) for policy in policies):
        yield Finding(
            Level.PROBLEM,
            about,
            f"timers={timers}",
            "Asterisk negotiates, refreshes and gives up by itself while edge and companion do the same: "
            "refreshes collide, and the call ends by whoever loses count first",
            "timers = no   (or mode: watch in the profile of these calls)",
            f"{PJSIP}, [{name}]",
        )
    if not any(_anchored(policy) and policy.use_update for policy in policies):
        return
    updates = "with it Asterisk answers Success to an UPDATE by connected line and sends nothing: each call "
    updates += "loses time until the companion tries a re-INVITE"
    lacking = "send_connected_line" if not _on(options, "send_connected_line") else ""
    if not lacking and not _on(options, "send_pai") and not _on(options, "send_rpid"):
        lacking = "send_pai"
    if lacking:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{lacking}=no",
            updates,
            f"{lacking} = yes   (or use_update: false in the profile of these calls)",
            f"{PJSIP}, [{name}]",
        )
    if not _on(options, "trust_id_outbound"):
        yield Finding(
            Level.PROBLEM,
            about,
            "trust_id_outbound=no",
            "for a caller who hides the number, " + updates,
            "trust_id_outbound = yes   (the edge can take P-Asserted-Identity off)",
            f"{PJSIP}, [{name}]",
        )
    if options.get("connected_line_method", "update").lower() == "invite":
        yield Finding(
            Level.NOTE,
            about,
            "connected_line_method=invite",
            "calls that Asterisk placed are refreshed by re-INVITE although the peer may allow UPDATE",
            "connected_line_method = update",
            f"{PJSIP}, [{name}]",
        )


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
            f"{facts.faults} errors in our code since it started ({_FAULTS})",
            "the calls went on without session timers",
            "journalctl -u kamailio | grep session_timer   and report what it says",
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
            'modparam("rtimer", "exec", "timer=session_timer;route=ksr_session_timer_tick")   as in '
            "session-timer.cfg, and the method of that name in the script",
            KAMAILIO,
        )
    else:
        yield Finding(
            Level.OK,
            about,
            "its clock runs; by how much the hosts' wall clocks differ does not matter, nobody reads them",
        )


def of_companion(facts: CompanionFacts, version: str) -> Iterator[Finding]:
    """The companion of this host, if it runs."""
    about = "companion"
    if facts.foreign:
        yield Finding(
            Level.PROBLEM,
            about,
            f"another program answers at {facts.url}",
            "the companion cannot listen there, and does not start",
            "companion: {http: {port: <a free one>}}",
            "the configuration",
        )
        return
    if not facts.running:
        yield Finding(
            Level.NOTE,
            about,
            f"not running at {facts.url}",
            "nothing is refreshed until it is started",
            "systemctl enable --now session-timer-companion",
        )
        return
    yield Finding(Level.OK, about, f"running at {facts.url}, release {facts.version}")
    if facts.version != version:
        yield Finding(
            Level.NOTE,
            about,
            f"release {facts.version} is running, {version} is installed",
            "an upgrade takes effect at the next start",
            "systemctl restart session-timer-companion",
        )
    for part in facts.waiting_for:
        yield Finding(Level.PROBLEM, about, f"not ready: {part}", "its calls are not kept")
    if facts.swallowed:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.swallowed} refreshes since its start left no sign although Asterisk said Success",
            "the endpoint swallows UPDATE: time is lost until the companion tries a re-INVITE",
            "the endpoint's options (above); the log names each call: `no sign that the refresh left`",
            PJSIP,
        )
    if facts.faults:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{facts.faults} errors in our code since its start (session_timer_faults_total)",
            "the calls went on; what was due was tried again",
            "journalctl -u session-timer-companion | grep fault   and report what it says",
        )


def _anchored(policy: Policy) -> bool:
    return policy.enabled and policy.mode is Mode.ANCHOR


def _on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in _ON


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
