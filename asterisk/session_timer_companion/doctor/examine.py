"""`session-timer doctor`: looks at the live Asterisk, the edge and the companion, and touches no call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from session_timer_companion import __version__
from session_timer_companion.ami.client import Ami, AmiAccount, AmiEntry, AmiError
from session_timer_companion.channels import queries
from session_timer_companion.channels.calls import Call
from session_timer_companion.config import Configuration
from session_timer_companion.doctor.asterisk import OPTIONS, AsteriskFacts, of_asterisk
from session_timer_companion.doctor.companion import CompanionFacts, of_companion, of_configuration
from session_timer_companion.doctor.edge import FAULTS, EdgeFacts, of_edge
from session_timer_companion.doctor.finding import Finding
from session_timer_companion.edge.client import Changes, EdgeClient, Missing, Told, Unreachable
from session_timer_companion.edge.pool import EdgePool
from session_timer_companion.http.client import Client, ClientError, address

LISTEN = 2.5
"""Seconds that events and clocks are watched."""

LOOK = 1.0
"""Seconds between two looks at the channels meanwhile: a call that is shorter may pass unseen."""

RECORDS_AT_MOST = 200
"""Calls whose records are asked for: a sample is enough to see whether the edge has them."""

_SWALLOWED = "session_timer_refreshes_swallowed"


async def examine(
    configuration: Configuration, path: Path, *, endpoints: Iterable[str] = (), listen: float = LISTEN
) -> list[Finding]:
    """Everything that was found; `endpoints` are looked at beside those of live calls.

    `listen` is how long events and clocks are watched, in seconds.
    """
    edges = EdgePool(configuration.shared.edge.rpc, configuration.settings.rpc_timeout)
    named = tuple(endpoints)
    try:
        asterisks = await asyncio.gather(
            *[
                _asterisk(_Visit(account, configuration.shared.edge.header, edges, named, listen))
                for account in configuration.settings.ami
            ]
        )
        # After the calls have named their edges, beside the configured one.
        kamailios = await asyncio.gather(*[_edge(edge, listen) for edge in edges.all()])
    finally:
        edges.close()
    found = list(of_configuration(configuration, path))
    for facts, account in zip(asterisks, configuration.settings.ami, strict=True):
        found += of_asterisk(facts, configuration.shared, alone=account.alone)
    for kamailio in kamailios:
        found += of_edge(kamailio)
    if configuration.settings.http.enabled:
        client = Client(address(configuration.settings.http), timeout=3.0)
        found += of_companion(await asyncio.to_thread(_companion, client), __version__)
    return found


@dataclass(frozen=True, slots=True)
class _Visit:
    """What to look at in one Asterisk."""

    account: AmiAccount
    header: str
    edges: EdgePool
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
        if not {"Status", "Getvar"} <= facts.actions:
            return facts
        before = await _channels(ami)
        calls = await queries.these(ami, await queries.answered(ami), visit.header)
        ours = [call for call in calls if call.header is not None or account.alone]
        unrecorded = await _unrecorded(calls, visit.edges)
        facts = replace(
            facts,
            calls=len(calls),
            foreign=sum(call.header is None for call in calls),
            malformed=tuple((call.call_id, call.malformed) for call in calls if call.malformed),
            endpoints=await _endpoints(ami, {*visit.named, *(call.endpoint for call in ours)}),
        )
        *between, after = await _looks(ami, visit.listen)
        moved = any(channels != before for channels in (*between, after))
        # What has ended meanwhile rightly has no record any more.
        standing = tuple(call.call_id for call in unrecorded if call.channel in after)
        return replace(facts, moved=moved, heard=bool(heard), unrecorded=standing)
    except AmiError as error:
        return replace(facts, refused=str(error))
    finally:
        await ami.aclose()


async def _allowed(ami: Ami) -> list[str]:
    """The actions that this account may use: `ListCommands` lists no other."""
    answer = await ami.action("ListCommands")
    return [name for name in answer if "(Priv:" in answer.text(name)]


async def _channels(ami: Ami) -> frozenset[str]:
    names: set[str] = set()

    def entry(shown: AmiEntry) -> None:
        names.add(shown.text("Channel"))

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


async def _unrecorded(calls: Iterable[Call], edges: EdgePool) -> list[Call]:
    """The calls with our header that their edge knows nothing of."""
    ours = [(call, call.header) for call in calls if call.header is not None]
    unrecorded: list[Call] = []
    for call, header in ours[:RECORDS_AT_MOST]:
        edge = edges.at(header.rpc)
        if edge is not None and isinstance(await edge.record(call.key), Missing):
            unrecorded.append(call)
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


async def _edge(edge: EdgeClient, listen: float) -> EdgeFacts:
    facts = EdgeFacts(edge.address)
    version = await edge.ask("core.version")
    if isinstance(version, Unreachable) and not edge.up:
        return replace(facts, unreachable=version.reason)
    # A Kamailio that refuses a question has answered.
    told = str(version.value).strip() if isinstance(version, Told) else ""
    modules = _names(await edge.ask("core.modules"))
    tables = _names(await edge.ask("htable.listTables"))
    if tables is None and not isinstance(await edge.record(""), Missing):
        tables = frozenset()  # no htable at all, or none of ours
    first = await edge.changes()
    await asyncio.sleep(max(listen, 1.5))  # a clock is published each second
    second = await edge.changes()
    facts = replace(facts, version=told, modules=modules, tables=tables)
    if isinstance(first, Changes) and isinstance(second, Changes):
        running = any(second.clocks.get(name, at) > at for name, at in first.clocks.items())
        facts = replace(facts, clocks=len(second.clocks), running=running)
    elif isinstance(second, Unreachable):
        facts = replace(facts, list_unreadable=second.reason)
    return replace(facts, faults=await _faults(edge))


def _names(answer: Told | Unreachable) -> frozenset[str] | None:
    """The strings of a list, or the `name` of each of its structures; None for no list."""
    if isinstance(answer, Unreachable) or not isinstance(answer.value, list):
        return None
    return frozenset(str(one.get("name")) if isinstance(one, dict) else str(one) for one in answer.value)


async def _faults(edge: EdgeClient) -> int:
    answer = await edge.ask("stats.fetchn", FAULTS)
    if isinstance(answer, Told) and isinstance(answer.value, dict):
        counted = [value for name, value in answer.value.items() if str(name).endswith(FAULTS)]
        if counted and isinstance(counted[0], int):
            return counted[0]
    return 0


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
        if family.name in (_SWALLOWED, FAULTS)
    }
    return replace(
        facts,
        running=True,
        version=str(report.get("version", "unknown")),
        waiting_for=tuple(waiting),
        swallowed=counted.get(_SWALLOWED, 0),
        faults=counted.get(FAULTS, 0),
    )


def _taken(url: str) -> bool:
    """Whether anybody listens there, companion or not."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
