"""A day of the whole companion in virtual time, under a random schedule of what can go wrong: ``make day``.

    python -m tests.companion.stress.day --hours 24 --seeds 1 2 3

Asterisk and edge are fakes; tracker, driver, state machine and timers are the real ones. Every peer is alive:
it answers, refuses, meets us in glare, or loses a request as long as another one still has time. AMI is cut,
Asterisk's manager and the edge's door go away for minutes, the process stands still, the companion is killed
and started again. No call may be ended by us, and nothing may go wrong in our code.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from structlog.testing import capture_logs

from tests.companion.fakes.fake_channel import Channel, Refresh
from tests.companion.fakes.virtual_time import VirtualTimeLoop
from tests.companion.fakes.world import SWALLOWED, Agreement, Side, World, key, world

HOUR = 3600.0
CALLS = 24
INTERVALS = (90, 90, 300, 1800)
BAD_IN_A_ROW = 2
"""So often a peer gives no 2xx, then it does."""
REFUSALS = (491, 491, 491, 500, 503, 504, 488)
IN_TIME = 0.56
"""Part of the interval within which a request may be lost: another form then still has its time."""


@dataclass(slots=True)
class Day:
    """What one schedule did, and what came of it."""

    seed: int
    hours: float
    calls: int = 0
    ended_by_us: list[str] = field(default_factory=list)
    faults: float = 0.0
    """Errors in our code, by the companion's own count."""
    errors: list[str] = field(default_factory=list)
    """Lines of its log with an exception of ours."""
    answers: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not (self.ended_by_us or self.faults or self.errors)

    def __str__(self) -> str:
        happened = ", ".join(f"{count} {what}" for what, count in sorted(self.happened.items()))
        answers = ", ".join(f"{count} {what}" for what, count in sorted(self.answers.items()))
        return (
            f"seed {self.seed}: {self.hours:g} hours, {self.calls} calls, "
            f"ended by us {len(self.ended_by_us)}, faults {self.faults:g}, errors {len(self.errors)}; "
            f"{happened}; refreshes: {answers}"
        )


@dataclass(slots=True)
class Schedule:
    """The peers, and the world around them, as a seed has it."""

    it: World
    day: Day
    draw: Random
    live: dict[str, Channel] = field(default_factory=dict)
    bad: Counter[str] = field(default_factory=Counter)
    """Of each call, refreshes in a row without a 2xx."""

    def answer(self, it: World, channel: Channel, _refresh: Refresh) -> int | None:
        """What the peer does with a refresh of ours."""
        code = self._answer(it, channel)
        self.bad[channel.call_id] = 0 if code == 200 else self.bad[channel.call_id] + 1
        self.day.answers[{None: "lost", SWALLOWED: "swallowed"}.get(code, str(code))] += 1
        return code

    def _answer(self, it: World, channel: Channel) -> int | None:
        record = it.edge.records.get(key(channel))
        if record is None or record.dialog.agreement is None or self.bad[channel.call_id] >= BAD_IN_A_ROW:
            return 200
        chance = self.draw.random()
        if chance < 0.12:
            return self.draw.choice(REFUSALS)
        if chance < 0.15:
            return SWALLOWED
        early = it.edge.now - record.at < IN_TIME * record.dialog.agreement.interval
        return None if chance < 0.20 and early else 200

    def begin_call(self) -> Channel:
        self.day.calls += 1
        interval = self.draw.choice(INTERVALS)
        channel = self.it.call(
            f"call-{self.day.calls}",
            Agreement(interval, self.draw.choice(list(Side))),
            placed_by_us=self.draw.random() < 0.5,
            update=self.draw.random() < 0.8,
            name=f"PJSIP/carrier-{self.day.calls:08x}",
        )
        self.live[channel.call_id] = channel
        return channel

    async def lives(self, channel: Channel) -> None:
        """One call: a peer that is the refresher keeps its word, and one in three hangs up in time."""
        lasts = self.draw.choice([self.draw.uniform(60, 3 * HOUR), self.draw.uniform(600, 24 * HOUR), 1e9])
        ends = self.it.now + lasts
        while self.it.now < ends:
            record = self.it.edge.records[key(channel)]
            agreed = record.dialog.agreement
            assert agreed is not None
            await asyncio.sleep(
                min(ends - self.it.now, agreed.interval * self.draw.uniform(0.3, 0.5)) + 0.001
            )
            if not self.it.alive(channel):
                return
            if agreed.refresher is Side.REMOTE or self.draw.random() < 0.05:
                self.it.edge.asked(key(channel), "UPDATE", Side.REMOTE)
                self.it.edge.refresh(key(channel))
        del self.live[channel.call_id]
        self.it.asterisk.hangup(channel)
        self.it.edge.records.pop(key(channel), None)

    async def crowd(self) -> None:
        """So many calls at once, each new one in the place of one that its peer ended."""
        async with asyncio.TaskGroup() as calls:
            for _ in range(CALLS):
                calls.create_task(self.one_after_another())

    async def one_after_another(self) -> None:
        while True:
            await asyncio.sleep(self.draw.uniform(0, 60))
            await self.lives(self.begin_call())

    async def trouble(self) -> None:
        """One thing after another goes wrong, and is well again."""
        faults = {
            "cuts of AMI": self.cut,
            "managers away": self.manager_away,
            "managers silent": self.manager_silent,
            "doors silent": self.door_silent,
            "doors closed": self.door_closed,
            "restarts": self.restart,
            "standstills": self.standstill,
        }
        while True:
            await asyncio.sleep(self.draw.uniform(20, 1200))
            name = self.draw.choice(sorted(faults))
            self.day.happened[name] += 1
            await faults[name]()

    async def cut(self) -> None:
        self.it.asterisk.drop()

    async def manager_away(self) -> None:
        await self.it.asterisk.stop()
        await asyncio.sleep(self.draw.uniform(0.5, 90))
        await self.it.asterisk.start()

    async def manager_silent(self) -> None:
        self.it.asterisk.silent = True
        await asyncio.sleep(self.draw.uniform(0.5, 40))
        self.it.asterisk.silent = False

    async def door_silent(self) -> None:
        self.it.edge.silent = True
        await asyncio.sleep(self.draw.uniform(0.5, 240))
        self.it.edge.silent = False

    async def door_closed(self) -> None:
        await self.it.edge.stop()
        await asyncio.sleep(self.draw.uniform(0.5, 240))
        await self.it.edge.start()

    async def restart(self) -> None:
        self.day.faults += faults_of(self.it)
        await self.it.stop()
        await asyncio.sleep(self.draw.uniform(0.1, 30))
        await self.it.start()

    async def standstill(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.stop_process(self.draw.uniform(1, 40))

    def look(self) -> None:
        """Whoever is gone without having hung up was ended by us."""
        for call_id, channel in list(self.live.items()):
            if not self.it.alive(channel):
                self.day.ended_by_us.append(f"{call_id} at {self.it.now:.0f} s")
                del self.live[call_id]


def faults_of(it: World) -> float:
    """Errors in our own code that the companion has counted since it started."""
    assert it.companion is not None
    return it.companion.metrics.registry.get_sample_value("session_timer_faults_total") or 0.0


async def play(path: Path, seed: int, hours: float) -> Day:
    """One day; `hours` of virtual time."""
    day = Day(seed, hours)
    async with world(path, settings={"brake": {"hangups_a_minute": 0}}) as it:
        it.edge.record = it.asterisk.record = False
        plan = Schedule(it, day, Random(seed))  # noqa: S311 - repeatable on purpose
        it.peer = plan.answer
        ends = it.now + hours * HOUR
        doing = [asyncio.create_task(plan.crowd()), asyncio.create_task(plan.trouble())]
        try:
            while it.now < ends:
                await asyncio.sleep(30)
                it.sent.clear()
                plan.look()
                for task in doing:
                    if task.done():
                        await task
        finally:
            for task in doing:
                task.cancel()
            await asyncio.gather(*doing, return_exceptions=True)
        if it.companion is not None:
            day.faults += faults_of(it)
    return day


def played(seed: int, hours: float) -> Day:
    """One day from begin to end, in an event loop of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        capture_logs() as lines,
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
    ):
        day = runner.run(play(Path(folder), seed, hours))
    day.errors += [str(line) for line in lines if "exc_info" in line]
    return day


def main() -> int:
    """Play the days; the status is 1 if a call was ended by us or something went wrong in our code."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--hours", type=float, default=24.0)
    reader.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = reader.parse_args()
    days = []
    for seed in options.seeds:
        began = time.monotonic()
        day = played(seed, options.hours)
        days.append(day)
        print(f"{day} ({time.monotonic() - began:.0f} s)", flush=True)
        for what in (*day.ended_by_us, *day.errors[:10]):
            print(f"  {what}", flush=True)
    print(
        f"day: {sum(day.hours for day in days):g} hours, {sum(day.calls for day in days)} calls, "
        f"ended by us {sum(len(day.ended_by_us) for day in days)}, "
        f"faults {sum(day.faults for day in days):g}"
    )
    return int(not all(day.good for day in days))


if __name__ == "__main__":
    sys.exit(main())
