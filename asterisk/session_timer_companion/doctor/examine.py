"""`session-timer doctor`: looks at the live Asterisk, the edge and the companion, and touches no call."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from session_timer import Side

from session_timer_companion import __version__
from session_timer_companion.ami.client import Ami, AmiAccount, AmiEntry, AmiError, AmiRefused
from session_timer_companion.channels import abilities, queries
from session_timer_companion.channels.calls import Call
from session_timer_companion.companion import edge_clients
from session_timer_companion.config import Configuration
from session_timer_companion.doctor.asterisk import OPTIONS, AsteriskFacts, of_asterisk
from session_timer_companion.doctor.companion import CompanionFacts, of_companion, of_configuration
from session_timer_companion.doctor.edge import EdgeFacts, of_edge
from session_timer_companion.doctor.finding import Finding
from session_timer_companion.edge.client import EdgeClient
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.edge.replies import Found, Missing, OnlyAsked, Unreachable
from session_timer_companion.http.client import Client, ClientError, address

LISTEN = 2.5
"""Seconds that events and clocks are watched."""

LOOK = 1.0
"""Seconds between two looks at the channels meanwhile: a call that is shorter may pass unseen."""

RECORDS_AT_MOST = 200
"""Calls whose records are asked for: a sample is enough to see whether the edge has them."""

_SWALLOWED = "session_timer_refreshes_swallowed"
_FAULTS = "session_timer_faults"

AGED = 60.0
"""Seconds past half the interval after which a call without refresh is suspicious."""


async def examine(
    configuration: Configuration, path: Path, *, endpoints: Iterable[str] = (), listen: float = LISTEN
) -> list[Finding]:
    """Everything that was found; `endpoints` are looked at beside those of live calls.

    `listen` is how long events and clocks are watched, in seconds.
    """
    edges = EdgePool(edge_clients(configuration))
    counted = _Calls(Counter(), Counter())
    named = tuple(endpoints)
    digest = configuration.shared.digest()
    addresses = {place.name: place.door for place in configuration.edges}
    try:
        asterisks = await asyncio.gather(
            *[
                _asterisk(_Visit(account, configuration, edges, counted, named, listen))
                for account in configuration.settings.ami
            ]
        )
        # After the records of the calls have been read: they show what each edge sees.
        kamailios = await asyncio.gather(
            *[_edge(edge, addresses[edge.name], digest, listen, counted) for edge in edges.all()]
        )
    finally:
        await edges.close()
    found = list(of_configuration(configuration, path))
    for facts, account in zip(asterisks, configuration.settings.ami, strict=True):
        found += of_asterisk(facts, configuration.shared, alone=account.alone)
    for kamailio in kamailios:
        found += of_edge(kamailio)
    if configuration.settings.http.enabled:
        client = Client(address(configuration.settings.http), 3.0, configuration.http_token)
        found += of_companion(await asyncio.to_thread(_companion, client), __version__)
    return found


@dataclass(frozen=True, slots=True)
class _Visit:
    """What to look at in one Asterisk."""

    account: AmiAccount
    configuration: Configuration
    edges: EdgePool
    calls: _Calls
    named: tuple[str, ...]
    """Endpoints, beside those of our calls."""
    listen: float


async def _asterisk(visit: _Visit) -> AsteriskFacts:
    heard: list[str] = []
    account = visit.account
    facts = AsteriskFacts(account.name, f"{account.host}:{account.port}")
    ami = Ami(
        account, events=("Newchannel", "Newstate", "Hangup"), on_event=lambda one: heard.append(one.event)
    )
    try:
        await ami.connect()
        facts = replace(facts, actions=frozenset(await _allowed(ami)))
        if not ({"Status", "Getvar"} <= facts.actions):
            return facts
        before = await _channels(ami)
        header = visit.configuration.shared.edge.header
        key = None if account.alone else visit.configuration.key
        listed = await queries.answered(ami)
        found = await queries.these(ami, listed.take(len(listed.names)), header, key)
        calls = [call for call in found.values() if call is not None]
        ours = [call for call in calls if call.header is not None or account.alone]
        facts = await _tried(ami, facts, calls, alone=account.alone)
        unrecorded = await _unrecorded(calls, visit)
        facts = replace(
            facts,
            calls=len(calls),
            foreign=sum(call.header is None for call in calls),
            refused=tuple((call.call_id, call.refused) for call in calls if call.refused),
            endpoints=await _endpoints(ami, {*visit.named, *(call.endpoint for call in ours)}),
        )
        *between, after = await _looks(ami, visit.listen)
        if facts.lacks & abilities.WITHOUT_CALL:  # perhaps Asterisk was still loading its modules
            lacks = facts.lacks - abilities.WITHOUT_CALL | await abilities.without_a_call(ami)
            facts = replace(facts, lacks=lacks)
        moved = any(channels != before for channels in (*between, after))
        # What has ended meanwhile rightly has no record any more.
        standing = tuple(call.call_id for call in unrecorded if call.channel in after)
        return replace(facts, moved=moved, heard=bool(heard), unrecorded=standing)
    except AmiError as error:
        return replace(facts, unreachable=str(error))
    finally:
        await ami.aclose()


async def _allowed(ami: Ami) -> list[str]:
    """The actions that this account may use: `ListCommands` lists no other."""
    answer = await ami.action("ListCommands")
    return [name for name in answer if "(Priv:" in answer.text(name)]


async def _tried(ami: Ami, facts: AsteriskFacts, calls: Sequence[Call], *, alone: bool) -> AsteriskFacts:
    """The facts, and which functions Asterisk lacks: without a call, and on some of those that there are."""
    release, lacks = await abilities.at_login(ami)
    tried = [await abilities.on_a_call(ami, call.channel) for call in calls[:1]]
    if not alone:
        bare = [call.channel for call in calls if call.header is None]
        tried.append(await abilities.on_calls_without_header(ami, bare[: abilities.CALLS_AT_MOST]))
    for each in tried:
        lacks = (lacks - each.present) | each.lacking
    return replace(facts, release=abilities.written(release), lacks=lacks)


async def _channels(ami: Ami) -> frozenset[str]:
    names: set[str] = set()

    def entry(shown: AmiEntry) -> None:
        names.add(shown.text("Channel"))

    try:
        await ami.stream("CoreShowChannels", entry)
    except AmiRefused:
        await ami.stream("Status", entry)
    return frozenset(names)


async def _looks(ami: Ami, listen: float) -> list[frozenset[str]]:
    """The channels, read again and again for `listen` seconds, the last time when they are over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + listen
    seen: list[frozenset[str]] = []
    while (left := end - loop.time()) > 0 or not seen:
        await asyncio.sleep(min(LOOK, left))
        seen.append(await _channels(ami))
    return seen


async def _unrecorded(calls: Iterable[Call], visit: _Visit) -> list[Call]:
    """The calls with our header that their edge knows nothing of; the others are counted."""
    ours = [(call, call.header) for call in calls if call.header is not None]
    unrecorded: list[Call] = []
    for call, header in ours[:RECORDS_AT_MOST]:
        edge = visit.edges.named(header.edge)
        reply = await edge.record(call.key) if edge is not None else None
        if isinstance(reply, Missing | OnlyAsked):
            unrecorded.append(call)
        elif isinstance(reply, Found) and edge is not None:
            visit.calls.note(edge, reply, asyncio.get_running_loop().time())
    return unrecorded


async def _endpoints(ami: Ami, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The options of endpoints, by a function for which `write = call` is enough."""
    options: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        answers = await ami.pipelined(
            [("Getvar", {"Variable": f"PJSIP_ENDPOINT({name},{option})"}) for option in OPTIONS]
        )
        options[name] = {
            option: answer.text("value") if answer.ok else ""
            for option, answer in zip(OPTIONS, answers, strict=True)
        }
    return options


async def _edge(edge: EdgeClient, address: str, digest: str, listen: float, calls: _Calls) -> EdgeFacts:
    facts = EdgeFacts(edge.name, address)
    first = await edge.changes()
    before = asyncio.get_running_loop().time()
    await asyncio.sleep(min(listen, 1.5))
    second = await edge.changes()
    if isinstance(first, Unreachable) or isinstance(second, Unreachable):
        reason = first.reason if isinstance(first, Unreachable) else edge.reason
        return replace(facts, unreachable=reason.removeprefix(f"edge {edge.name}: "))
    said = second.facts
    clock = said.clock if said is not None else ""
    # The same moment of its clock, by both readings: one that stands still seems to fall behind.
    running = clock in edge.clocks.names and edge.clocks.drift(clock, before) < 1.0
    return replace(
        facts,
        clock=clock,
        running=running,
        same_settings=said is None or said.digest == digest,
        stats=said.stats if said is not None else {},
        aged=calls.aged.get(edge.name, 0),
        off_path=calls.off_path.get(edge.name, 0),
        table=await edge.table(),
    )


@dataclass(slots=True)
class _Calls:
    """What the records of live calls show, counted by edge."""

    aged: Counter[str]
    off_path: Counter[str]

    def note(self, edge: EdgeClient, found: Found, now: float) -> None:
        """Count one call."""
        record = found.record
        agreed = record.dialog.agreement
        at = found.clocks.ours(record.clock, record.at)
        if record.ours is None and not record.on_path:
            self.off_path[edge.name] += 1
        if agreed is None or at is None or record.refreshes:
            return
        if agreed.refresher is Side.LOCAL and now - at > agreed.interval / 2 + AGED:
            self.aged[edge.name] += 1


def _companion(client: Client) -> CompanionFacts:
    facts = CompanionFacts(client.url)
    try:
        report = client.readiness()
        metrics = client.metrics()
    except ClientError as error:
        return replace(facts, foreign=_taken(client.url), trouble=str(error))
    asterisks = report["asterisk"]
    waiting = [f"{name}: {state}" for name, state in asterisks.items() if state != "ready"]
    counted = {
        family.name: int(sum(sample.value for sample in family.samples))
        for family in text_string_to_metric_families(metrics)
        if family.name in (_SWALLOWED, _FAULTS)
    }
    return replace(
        facts,
        running=True,
        version=str(report.get("version", "unknown")),
        waiting_for=tuple(waiting),
        brake=report.get("brake", "off") != "off",
        swallowed=counted.get(_SWALLOWED, 0),
        faults=counted.get(_FAULTS, 0),
    )


def _taken(url: str) -> bool:
    """Whether anybody listens there, companion or not."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
