"""What is played with every user agent: who calls, who has to refresh and how, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.stacks.agents import Agent


class Place(StrEnum):
    """The profile of docker/config/session-timer.yaml that an agent's address picks."""

    UAS = "the called side shall refresh"
    UAC = "the calling side shall refresh"
    REINVITE = "the called side shall refresh, we by re-INVITE"
    DEMANDING = "nothing below 120 s"


FIRST_HOST = {Place.DEMANDING: 64, Place.REINVITE: 96, Place.UAS: 128, Place.UAC: 192}
"""The first address of each profile, by its last number; the next profile begins where its addresses end."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to play a call."""

    name: str
    title: str
    place: Place
    calls: bool
    """Whether the agent calls; else it is called."""
    we_refresh: bool
    refreshes: int = 3
    expires: int = 90
    min_se: int = 90
    interval: int = 90
    """What is agreed, in seconds."""
    method: str = "update"
    """How the agent refreshes, where it can choose."""
    by: str = ""
    """The method that every refresh has to have; empty where either will do."""
    refused_first: bool = False
    hold: bool = False
    killed: bool = False

    @property
    def refresher(self) -> str:
        """The role in the initial INVITE of the side that shall refresh."""
        return "uac" if self.calls != self.we_refresh else "uas"


SCENARIOS = (
    Scenario("caller-we-update", "it calls, we refresh by UPDATE", Place.UAS, calls=True, we_refresh=True),
    Scenario(
        "caller-we-reinvite",
        "it calls, we refresh by re-INVITE",
        Place.REINVITE,
        calls=True,
        we_refresh=True,
        by="INVITE",
    ),
    Scenario("caller-it-refreshes", "it calls and refreshes", Place.UAC, calls=True, we_refresh=False),
    Scenario(
        "caller-it-reinvites",
        "it calls and refreshes by re-INVITE",
        Place.UAC,
        calls=True,
        we_refresh=False,
        method="invite",
        by="INVITE",
    ),
    Scenario("callee-it-refreshes", "it is called and refreshes", Place.UAS, calls=False, we_refresh=False),
    Scenario("callee-we-refresh", "it is called, we refresh", Place.UAC, calls=False, we_refresh=True),
    Scenario(
        "refused-first",
        "it calls, is told a larger minimum by 422 and refreshes",
        Place.DEMANDING,
        calls=True,
        we_refresh=False,
        refreshes=2,
        interval=120,
        refused_first=True,
    ),
    Scenario(
        "refused-at-60",
        "it asks for 60 s and is told 90 by 422",
        Place.UAC,
        calls=True,
        we_refresh=False,
        expires=60,
        min_se=60,
        refused_first=True,
    ),
    Scenario(
        "on-hold",
        "it calls and holds, we refresh by re-INVITE and the hold stays",
        Place.REINVITE,
        calls=True,
        we_refresh=True,
        refreshes=2,
        by="INVITE",
        hold=True,
    ),
    Scenario(
        "killed-refreshee",
        "it calls and is killed, we refresh in vain and end the call",
        Place.UAS,
        calls=True,
        we_refresh=True,
        refreshes=0,
        killed=True,
    ),
    Scenario(
        "killed-refresher",
        "it calls, has to refresh and is killed, we end the call",
        Place.UAC,
        calls=True,
        we_refresh=False,
        refreshes=0,
        killed=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One agent in one scenario."""

    agent: Agent
    scenario: Scenario
    in_a_row: int = 1
    """re-INVITEs of ours that make one refresh: two on Asterisk 16.28."""

    @property
    def name(self) -> str:
        return f"{self.agent.name}-{self.scenario.name}"

    @property
    def why_not(self) -> str:
        """Why the agent cannot play it; empty if it can."""
        return self.agent.cannot.get(self.scenario.name, "")

    @property
    def moves(self) -> str:
        """How the agent changes who refreshes there; empty if it does not."""
        return self.agent.moves.get(self.scenario.name, "")


def cases(agents: tuple[Agent, ...]) -> tuple[Case, ...]:
    """Every combination, those that cannot be played included."""
    return tuple(Case(agent, scenario) for agent in agents for scenario in SCENARIOS)


def hosts(played: tuple[Case, ...]) -> dict[str, int]:
    """The last number of each case's address, which picks its profile."""
    following = dict(FIRST_HOST)
    given: dict[str, int] = {}
    for case in played:
        given[case.name] = following[case.scenario.place]
        following[case.scenario.place] += 1
    return given
