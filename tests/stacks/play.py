"""Plays one case: starts the agent, makes the call, waits for what the scenario asks, ends it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from tests.lab.observed import ObservedCall
from tests.lab.stack import Stack
from tests.lab.waiting import NotInTimeError, wait_until
from tests.stacks.container import Container
from tests.stacks.judge import Verdict, enough, judge
from tests.stacks.line import Line
from tests.stacks.scenarios import Case

HOLD_AFTER = 10
SPARE = 40
"""Seconds that a call may take beside its refreshes."""
PROXY_IMAGE = "session-timer/edge:trixie"
LONGEST = 2400.0
"""Seconds that all calls may take, a few at a time."""


@dataclass(frozen=True, slots=True)
class Playing:
    """The calls under way."""

    ends: dict[str, Future[Verdict]]

    def verdict(self, case: Case) -> Verdict:
        """Wait for a call's end. Raises what playing it raised."""
        return self.ends[case.name].result(LONGEST)


@dataclass(slots=True)
class Stage:
    """The stack with what is needed to play calls through it at the same time."""

    stack: Stack
    line: Line
    starting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(3))
    """Containers are started a few at a time: two processors are shared by all calls."""
    asking: threading.Lock = field(default_factory=threading.Lock)
    channels: dict[str, str] = field(default_factory=dict)

    def hang_up(self, call_id: str) -> None:
        """Make Asterisk end the call."""
        with self.asking:
            if call_id not in self.channels:
                self.channels = self.stack.channels()
            channel = self.channels[call_id]
        self.stack.ami("Hangup", Channel=channel, Cause="16")


def play(stage: Stage, case: Case, host: int, behind: int | None) -> Verdict:
    """Play it at the address ``host``, with the agent at ``behind`` where a proxy stands before it."""
    containers: list[Container] = []
    try:
        with stage.starting:
            agent = _start(stage, case, host, behind, containers)
        if not case.scenario.calls:
            _call(stage, case, host)
        return _played(stage, case, agent, stage.stack.address(host))
    finally:
        for each in containers:
            each.remove()


def _start(stage: Stage, case: Case, host: int, behind: int | None, started: list[Container]) -> Container:
    scenario, agent, edge = case.scenario, case.agent, stage.stack.edge
    through: tuple[str, ...] = ()
    if behind is not None:
        command = ["bash", "/opt/stacks/sst/agent", "--edge", edge, "--agent", stage.stack.address(behind)]
        proxy = Container.start(stage.stack, f"stack-{case.name}-sst", PROXY_IMAGE, host, command)
        started.append(proxy)
        proxy.ready()
        through = ("--through", stage.stack.address(host))
    own = host if behind is None else behind
    arguments = [
        *agent.command,
        "--local",
        stage.stack.address(own),
        "--edge",
        edge,
        *agent.arguments,
        *through,
    ]
    arguments += ["--expires", str(scenario.expires), "--min-se", str(scenario.min_se)]
    arguments += ["--refresher", scenario.refresher, "--method", scenario.method]
    arguments += ["--call", "music"] if scenario.calls else []
    arguments += ["--hold-after", str(HOLD_AFTER)] if scenario.hold else []
    container = Container.start(stage.stack, f"stack-{case.name}", agent.image, own, arguments)
    started.append(container)
    container.ready()
    return container


def _call(stage: Stage, case: Case, host: int) -> None:
    endpoint, user = ("over-webrtc", f"browser{host}") if case.agent.is_browser else ("edge", "callee")
    stage.stack.place_call(f"sip:{user}@{stage.stack.address(host)}", endpoint=endpoint, then="music")


def _played(stage: Stage, case: Case, agent: Container, address: str) -> Verdict:
    def look() -> ObservedCall:
        return stage.line.call(address)

    try:
        call = wait_until(
            look, 30, f"{case.name}: a call", holds=lambda seen: seen.established is not None, pause=0.5
        )
        if case.scenario.killed:
            wait_until(look, 10, f"{case.name}: its ACK", holds=_confirmed, pause=0.5)
            agent.kill()
        limit = SPARE + case.scenario.interval * max(2, case.scenario.refreshes) * 0.7
        wait_until(look, limit, case.name, holds=lambda seen: enough(seen, case) or _ended(seen), pause=1)
        if not case.scenario.killed and not _ended(look()):
            stage.hang_up(call.call_id)
            wait_until(look, 10, f"{case.name}: the BYE's answer", holds=_bye_answered, pause=0.5)
    except NotInTimeError:
        pass  # the judge says what is missing, in the words of the wire
    verdict = judge(look(), case)
    if not verdict.complaints:
        return verdict
    return replace(verdict, printed=agent.printed()[-600:])


def _ended(call: ObservedCall) -> bool:
    return call.bye is not None


def _confirmed(call: ObservedCall) -> bool:
    return any(each.message.is_request("ACK") for each in call.outside)


def _bye_answered(call: ObservedCall) -> bool:
    return call.bye is not None and call.response(call.bye) is not None
