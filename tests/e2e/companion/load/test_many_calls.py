"""Many calls at lab intervals: every refresh in time, no live call lost, no dead one left standing."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.lab.capture import Packet, read
from tests.lab.observed import ObservedCall
from tests.lab.peers.refreshed_calls import BY_REINVITE, BY_THEM, BY_UPDATE, EARLY, HALF, INTERVAL
from tests.lab.sipp import SippRun
from tests.lab.together import Stage
from tests.lab.waiting import PATIENCE, wait_until

SEED = 4028
CALLS = 150
RATE = 6
"""Calls that begin each second, in each group."""
LONGEST = 90
ROUNDS = 3
LATE = 2.0
"""Seconds: a refresh may wait for its turn on a loaded machine, and is in time still."""
DEAD = 18
"""Seconds, the interval of those that die. After two thirds of it we ask them twice, 2 s each. Of 12 s
that leaves a tenth of a second."""

_UPDATE = ", UPDATE"
_ANSWERS: Mapping[str, str | int] = {
    "to": "wait",
    "interval": INTERVAL,
    "ask": "",
    "count": ROUNDS,
    "hold": 1500,
}
_REFRESHES: Mapping[str, str | int] = {
    "to": "wait",
    "interval": INTERVAL,
    "ask": ";refresher=uac",
    "allow": _UPDATE,
    "period": 6000,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Calls of one kind: SIPp ends each of them as its scenario says, or complains."""

    name: str
    scenario: str
    host: int
    keys: Mapping[str, str | int]
    alive: bool = True
    ours: bool = True


# On 16.28 a refresh by re-INVITE is two in a row, and the second may overtake the ACK of the first, which
# SIPp cannot play: there these calls are refreshed by UPDATE too. companion/refreshing shows the pairs.
REINVITE = (
    Group("more", "uac-answers-update", BY_UPDATE, {**_ANSWERS, "allow": _UPDATE})
    if os.environ.get("ASTERISK_SUITE") == "bullseye"
    else Group("reinvite", "uac-answers-reinvite", BY_REINVITE, {**_ANSWERS, "allow": ""})
)
GROUPS = (
    Group("update", "uac-answers-update", BY_UPDATE, {**_ANSWERS, "allow": _UPDATE}),
    REINVITE,
    Group("theirs", "uac-refreshes", BY_THEM, {**_REFRESHES, "count": ROUNDS, "hold": 1500}, ours=False),
    Group(
        "silent",
        "uac-goes-silent",
        BY_THEM,
        {**_REFRESHES, "interval": DEAD, "count": 1},
        alive=False,
        ours=False,
    ),
)


def sizes(seed: int) -> dict[str, int]:
    """How many calls of each kind, drawn by the seed: one in ten dies, the others share the rest."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    names = [group.name for group in GROUPS]
    kinds = draw.choices(names, [3, 3, 3, 1], k=CALLS)
    return {name: kinds.count(name) for name in names}


@dataclass(frozen=True, slots=True)
class Load:
    """What the capture shows when all is over."""

    stage: Stage
    runs: Mapping[str, SippRun]
    calls: Mapping[str, list[ObservedCall]]


@pytest.fixture(scope="module")
def load(stage: Stage) -> Load:
    stack = stage.stack
    mark = secrets.token_hex(3)
    runs = {
        group.name: stack.sipp(
            group.scenario,
            host=group.host,
            keys=group.keys,
            call_id=f"{group.name}-%u-{mark}@load",
            port=5080 + index,
            timeout=LONGEST,
            calls=sizes(SEED)[group.name],
            rate=RATE,
        )
        for index, group in enumerate(GROUPS)
    }
    try:
        wait_until(
            lambda: not any(run.running for run in runs.values()), LONGEST + 5, "SIPp to end", pause=0.5
        )
    finally:
        for run in runs.values():
            run.stop()
    packets: dict[str, list[Packet]] = {}
    for packet in read(stage.wire.path):
        packets.setdefault(packet.message.call_id, []).append(packet)
    return Load(
        stage,
        runs,
        {
            group.name: [
                ObservedCall.of(
                    own,
                    call_id,
                    edge=stack.edge,
                    carrier=stack.address(group.host),
                    asterisk=stack.asterisk,
                )
                for call_id, own in packets.items()
                if call_id.startswith(f"{group.name}-") and call_id.endswith(f"-{mark}@load")
            ]
            for group in GROUPS
        },
    )


@pytest.mark.requirement("UAC-7.2-15", "REF-10-07")
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_call_ends_as_its_peer_expects(load: Load, group: Group) -> None:
    """A live one by the peer's own BYE, a dead one by ours."""
    run = load.runs[group.name]
    assert run.wait(1) == 0, run.complaint()
    calls = load.calls[group.name]
    assert len(calls) == sizes(SEED)[group.name] > 0
    carrier = load.stage.stack.address(group.host)
    lost = [
        each.call_id for each in calls if each.bye and (each.bye.source.address == carrier) != group.alive
    ]
    assert lost == []


@pytest.mark.requirement("UAC-7.2-16")
@pytest.mark.parametrize("group", [each for each in GROUPS if each.ours], ids=lambda group: group.name)
def test_every_refresh_leaves_in_time(load: Load, group: Group) -> None:
    late = []
    for call in load.calls[group.name]:
        refreshes = call.refreshes_by(load.stage.stack.edge)
        assert len([each for each in refreshes if each.answered]) == ROUNDS, call.call_id
        before = [call.established, *(each.response for each in refreshes)]
        for last, refresh in zip(before, refreshes, strict=False):
            assert last is not None
            waited = refresh.request.time - last.time
            if not HALF - EARLY <= waited <= HALF + LATE:
                late.append((call.call_id, round(waited, 2)))
    assert late == []


@pytest.mark.requirement("REF-10-07", "REF-10-08")
def test_every_dead_call_ends_before_its_interval(load: Load) -> None:
    standing = []
    for call in load.calls["silent"]:
        last = call.refreshes_by(load.stage.stack.address(BY_THEM))[-1].response
        assert last is not None
        assert call.bye is not None, call.call_id
        waited = call.bye.time - last.time
        if not DEAD - DEAD / 3 - 0.5 <= waited <= DEAD:
            standing.append((call.call_id, round(waited, 2)))
    assert standing == []


def test_nothing_is_left(load: Load) -> None:
    stage = load.stage
    wait_until(
        lambda: [each for each in stage.companion.sessions() if each.endswith("@load")],
        PATIENCE,
        "no session of the load",
        holds=lambda seen: not seen,
        pause=0.5,
    )
    assert [each for each in stage.stack.channels() if each.endswith("@load")] == []
    assert [each for each in stage.stack.htable("session_timer") if "@load;" in each] == []
    assert stage.companion.metric("session_timer_faults_total") == 0
