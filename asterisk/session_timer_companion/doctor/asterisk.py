"""What the doctor makes of an Asterisk: its account, its calls, its endpoints. Facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from session_timer import Config, Mode, Policy

from session_timer_companion.channels.abilities import Need
from session_timer_companion.doctor.finding import PJSIP, Finding, Level

MODULES = "/etc/asterisk/modules.conf"
MANAGER = "/etc/asterisk/manager.d/session-timer.conf"

NEEDED = {
    "CoreShowChannels": "to list the calls that are up without holding their locks",
    "Status": "to find the calls that are up",
    "Getvar": "to read a call's dialog, its codecs and the edge's header",
    "Setvar": "to make Asterisk send a refresh",
    "Hangup": "to end a call that expired",
}
"""AMI actions that the companion uses, and what for; `write = call,reporting` allows them all."""

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

_ON = ("yes", "true", "1", "on")


@dataclass(frozen=True, slots=True)
class AsteriskFacts:
    """What one Asterisk was seen to be."""

    name: str
    address: str
    unreachable: str = ""
    """Why there is no connection or no login."""
    release: str = ""
    """Empty where it was not asked for."""
    lacks: frozenset[Need] = frozenset()
    """Functions that it does not have, as far as that was seen."""
    actions: frozenset[str] = frozenset()
    """What the account may do."""
    endpoints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Those of our calls and those that were named: `OPTIONS`, empty where Asterisk does not tell."""
    calls: int = 0
    """Answered PJSIP channels."""
    foreign: int = 0
    """Those without our internal header."""
    refused: tuple[tuple[str, str], ...] = ()
    """Call-ID, and why a row of the internal header's name is not believed."""
    unrecorded: tuple[str, ...] = ()
    """Call-IDs whose record the edge does not have."""
    moved: bool = False
    """Channels came or went while the doctor listened."""
    heard: bool = False
    """Events told of channels."""


def of_asterisk(facts: AsteriskFacts, config: Config, *, alone: bool = False) -> Iterator[Finding]:
    """Login, privileges, events, live calls; then each endpoint."""
    about = f"Asterisk {facts.name}"
    if facts.unreachable:
        yield Finding(Level.PROBLEM, about, facts.unreachable, "nothing can be refreshed or ended here")
        return
    yield Finding(Level.OK, about, f"logged in at {facts.address}")
    yield from _functions(facts, about)
    lacking = [action for action in NEEDED if action not in facts.actions]
    for action in lacking:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the account may not {action}",
            f"the companion needs it {NEEDED[action]}",
            "write = call,reporting",
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
            "write = call,reporting   and no more",
            MANAGER,
        )
    yield from _events(facts, about)
    yield from _calls(facts, about, config, alone=alone)
    yield from _endpoints(facts, about, config)


def _functions(facts: AsteriskFacts, about: str) -> Iterator[Finding]:
    if facts.release and not facts.lacks:
        yield Finding(Level.OK, about, f"release {facts.release}; no function that was tried is lacking")
    for need in sorted(facts.lacks):
        newer = f", and Asterisk {need.since}" if need.since else ""
        yield Finding(
            Level.PROBLEM,
            about,
            f"release {facts.release} has no function {need.function}",
            need.without,
            f"load = {need.module}   (or autoload = yes){newer}",
            MODULES,
        )


def _events(facts: AsteriskFacts, about: str) -> Iterator[Finding]:
    if facts.heard:
        yield Finding(Level.OK, about, "events of channels arrive")
    elif facts.moved:
        yield Finding(
            Level.PROBLEM,
            about,
            "channels came and went, and no event told of it",
            "a call would be noticed only after a reconnect, perhaps when it has expired",
            "read = call",
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
    for call_id, reason in facts.refused[:3]:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the internal header of call {call_id} is not believed: {reason}",
            "edge and companion have different keys or releases, or a peer speaks in that header",
            "the same key file and the same release on both",
        )
    if facts.unrecorded:
        yield Finding(
            Level.PROBLEM,
            about,
            f"the edge has no record of {len(facts.unrecorded)} calls with our header, "
            f"such as {facts.unrecorded[0]}",
            "after a restart of the edge without its table these calls are probed, never hung up unheard; "
            "in any other case the companion asks an edge that did not see them",
            "companion: {edges: [{name: ..., door: ...}]}   with the edge that saw the call",
            "the configuration",
        )


def _endpoints(facts: AsteriskFacts, about: str, config: Config) -> Iterator[Finding]:
    if not facts.endpoints:
        yield Finding(
            Level.NOTE,
            about,
            "no endpoint was looked at: no call of ours is up",
            "whether refreshes leave Asterisk depends on the endpoint's options",
            "session-timer doctor --endpoint NAME   for each endpoint towards the edge",
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
            MODULES,
        )
        return
    timers = options.get("timers", "")
    if timers and timers != "no" and any(_anchored(policy) for policy in policies):
        yield Finding(
            Level.PROBLEM,
            about,
            f"timers={timers}",
            "Asterisk negotiates, refreshes and hangs up by itself while edge and companion do the same: "
            "they collide, and whoever loses count ends the call",
            "timers = no   (or mode: endpoint_timers in the profile of these calls)",
            f"{PJSIP}, [{name}]",
        )
    if not any(_anchored(policy) and policy.use_update for policy in policies):
        return
    lacking = "send_connected_line" if not _on(options, "send_connected_line") else ""
    if not lacking and not _on(options, "send_pai") and not _on(options, "send_rpid"):
        lacking = "send_pai"
    if lacking:
        yield Finding(
            Level.PROBLEM,
            about,
            f"{lacking}=no",
            "Asterisk answers Success to an UPDATE by connected line and sends nothing: each call loses time "
            "until the companion refreshes with SDP",
            f"{lacking} = yes   (or use_update: false in the profile of these calls)",
            f"{PJSIP}, [{name}]",
        )
    if not _on(options, "trust_id_outbound"):
        yield Finding(
            Level.PROBLEM,
            about,
            "trust_id_outbound=no",
            "where a party hides its number, Asterisk answers Success to such an UPDATE and sends nothing",
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


def _anchored(policy: Policy) -> bool:
    return policy.enabled and policy.mode is Mode.ANCHOR


def _on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").lower() in _ON
