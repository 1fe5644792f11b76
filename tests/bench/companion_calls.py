"""Real calls through real Kamailio and Asterisk at 90 s, some of which die, and a companion that is killed.

Half of the calls are refreshed by our side and half by the carrier. Others come and go beside them, and some
go silent right after the ACK. What lived and what died is told by SIPp and by Asterisk's CDR and channels.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.bench.companion_load import HALF, HOLD, INTERVAL, RAMP, Load, scenario
from tests.lab.stack import ROOT, Stack
from tests.lab.waiting import wait_until

EXPIRED = "102"
"""Q.850: recovery on timer expiry, the cause with which an expired call is ended."""
LIVE, DEAD = ("refreshed", "refreshing", "short"), ("silent-refreshed", "silent-refreshing")
INSIDE = Path(__file__).parent / "companion" / "inside.py"
FOLDER = "/tmp/bench"  # noqa: S108  # inside a container of our own


@dataclass(slots=True)
class Kind:
    """One SIPp and what came of its calls."""

    name: str
    calls: int
    process: subprocess.Popen[bytes]
    made: int = 0
    good: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    """Of the scenario's table of response times, in seconds."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a process used. CPU is a share of one, memory is bytes."""

    cpu: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cpu:.1%} CPU, {self.memory / 2**20:.0f} MiB"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run showed. Seconds."""

    load: Load
    kinds: dict[str, Kind]
    most: int
    """Answered channels of Asterisk at once."""
    left: int
    """Channels that Asterisk still had when every SIPp was done."""
    cut: int
    """Live calls that Asterisk's CDR says expired."""
    overlong: tuple[str, ...]
    """Dead calls that Asterisk's CDR says stood longer than the interval, or does not list as ended."""
    empty: Use
    companion: Use
    asterisk: Use
    edge: Use
    armed: int
    rearm: float
    """From the kill until every call was tracked again, start of the process included; by its log."""
    resync: float
    """The part of it that passed after the login to Asterisk."""

    @property
    def live_lost(self) -> int:
        return max(sum(kind.made - kind.good for name, kind in self.kinds.items() if name in LIVE), self.cut)

    @property
    def dead_standing(self) -> int:
        standing = (time for name in DEAD for time in self.kinds[name].times if time > self.load.interval)
        return max(len(list(standing)), len(self.overlong)) + self.left

    def __str__(self) -> str:
        refreshed, standing = self.kinds["refreshed"].times, [t for n in DEAD for t in self.kinds[n].times]
        rows = [
            f"real calls: {self.load.calls} at {INTERVAL} s for {self.load.seconds} s, beside them "
            f"{self.load.new:g} new and {self.load.new:g} ending a second, of which {self.load.silent:g} "
            f"go silent; {self.most} calls at once"
        ]
        for name, kind in self.kinds.items():
            failed = "".join(f", {count} {why}" for why, count in kind.failures.items())
            rows.append(f"  {name}: {kind.made} calls, {kind.made - kind.good} failed{failed}")
        late = sum(time > HALF + 1 for time in refreshed)
        rows += [
            f"  {len(refreshed)} refreshes by us, {spread(refreshed)} s after the 2xx before; "
            f"{late} later than {HALF + 1:g} s",
            f"  {len(self.kinds['refreshing'].times)} by the carrier, answered in "
            f"{spread(self.kinds['refreshing'].times)} s",
            f"  {len(standing)} dead calls stood {spread(standing)} s",
            f"  companion: {self.companion} ({self.empty.memory / 2**20:.0f} MiB without calls); "
            f"Asterisk: {self.asterisk}; edge: {self.edge}",
            f"  kill -9: {self.armed} calls tracked again after {self.rearm:.2f} s, "
            f"{self.resync:.2f} s of them after the login",
        ]
        rows += [f"  dead and standing: {call}" for call in self.overlong]
        return "\n".join(rows)


def measure(load: Load) -> Outcome:
    """Start the stack, put the load on it, take it down."""
    with stack_of_its_own() as stack:
        return _run(stack, load)


@contextmanager
def stack_of_its_own() -> Iterator[Stack]:
    """A stack that is up, its companion started again at once when it dies; it is down afterwards."""
    os.environ.setdefault("COMPOSE_PROJECT_NAME", "st-bench")
    os.environ.setdefault("LAB_NET", "198.18.51")
    os.environ.setdefault("LAB_SIP_PORT", "0")
    stack = Stack.from_environment()
    stack.down()
    try:
        stack.up()
        stack.compose("-f", "../tests/bench/companion/compose.yaml", "up", "-d", "companion")
        wait_until(lambda: inside(stack)["ready"], 60, "the companion to be in sync")
        yield stack
    finally:
        stack.down()


def _run(stack: Stack, load: Load) -> Outcome:
    empty = _use(stack, "companion", 5.0)
    kinds = {kind.name: kind for kind in begin(stack, load)}
    most = 0
    began = time.monotonic()

    def watch_until(moment: float) -> None:
        nonlocal most
        while time.monotonic() < began + moment:
            most = max(most, channels(stack))
            time.sleep(min(5.0, max(0.0, began + moment - time.monotonic())))

    try:
        watch_until(load.ramp + HOLD + 5)
        middle = load.ramp + load.seconds / 2
        before = {service: counters(stack, service) for service in PROCESSES}
        watch_until(middle)
        after = {service: counters(stack, service) for service in PROCESSES}
        uses = {name: _between(before[name], after[name]) for name in before}
        killed = inside(stack, "kill")["killed"]
        again = re.findall(
            r"ts=(\S+) .*event=in_sync.* sessions=(\d+) .*seconds=([0-9.]+)",
            stack.logs("companion"),
        )
        armed_at, armed, resync = again[-1]
        for kind in kinds.values():
            kind.process.wait(load.ramp + load.seconds + 2 * INTERVAL + 60)
            most = max(most, channels(stack))
    finally:
        for kind in kinds.values():
            kind.process.kill()
    for kind in kinds.values():
        read(stack, kind)
    time.sleep(2.0)
    left = channels(stack)
    cut, overlong = by_cdr(stack, kinds)
    (ROOT / "out" / "bench-companion.log").write_text(stack.logs("companion"))
    return Outcome(
        load=load,
        kinds=kinds,
        most=most,
        left=left,
        cut=cut,
        overlong=overlong,
        empty=empty,
        companion=uses["companion"],
        asterisk=uses["asterisk"],
        edge=uses["edge"],
        armed=int(armed),
        rearm=datetime.fromisoformat(armed_at).timestamp() - killed,
        resync=float(resync),
    )


def begin(stack: Stack, load: Load) -> Iterator[Kind]:
    half = load.calls // 2
    dead = max(1, round(load.silent / 2 * (load.ramp + load.seconds)))
    apart = round(2000 / load.silent)
    wanted = (
        ("refreshed", half, RAMP, 1000, int(2 * load.seconds / load.interval)),
        ("refreshing", half, RAMP, 1000, int(load.seconds / load.period)),
        ("short", round(load.new * (load.ramp + load.seconds)), round(load.new), 1000, 0),
        ("silent-refreshed", dead, 1, apart, 0),
        ("silent-refreshing", dead, 1, apart, 0),
    )
    for place, (name, calls, rate, period, count) in enumerate(wanted):
        patience = int(load.ramp + load.seconds + 2 * load.interval)
        own = stack.address(load.carrier)
        words = (
            f"sipp -sf scenario.xml -i {own} -p {5070 + place} -mi {own} -nostdin "
            f"-m {calls} -l {calls} -r {rate} -rp {period} "
            # A copy that comes late on a busy machine is nothing to hang up for.
            f"-default_behaviors all,-abortunexp -timeout {patience} -timeout_error "
            f"-cid_str {name}-%u-%p@%s -key count {count} "
            f"-trace_stat -stf stat.csv -fd 5 -trace_rtt -rtt_freq 1 -trace_err -error_file errors "
            f"{stack.edge}:5060"
        )
        folder = f"{FOLDER}/{name}"
        into = f"mkdir -p {folder} && cat >{folder}/scenario.xml"
        stack.exec("carrier", "sh", "-c", into, given=scenario(name, load))
        script = f"cd {folder}; exec {words}"
        command = ["docker", "exec", stack.container("carrier"), "sh", "-c", script]
        yield Kind(
            name, calls, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )


def read(stack: Stack, kind: Kind) -> None:
    """What SIPp tells of its calls, and how long each of them took."""
    count(stack, kind)
    kind.times = times(
        stack.exec("carrier", "sh", "-c", f"cat {FOLDER}/{kind.name}/*_rtt.csv 2>/dev/null || true")
    )


def count(stack: Stack, kind: Kind) -> None:
    """What SIPp tells of its calls so far."""
    folder = f"{FOLDER}/{kind.name}"
    table = stack.exec("carrier", "sh", "-c", f"head -1 {folder}/stat.csv; tail -1 {folder}/stat.csv")
    titles, values = (row.split(";") for row in table.splitlines())
    row = dict(zip(titles, values, strict=False))
    kind.made, kind.good = int(row["TotalCallCreated"]), int(row["SuccessfulCall(C)"])
    kind.failures = {
        name.removeprefix("Failed").removesuffix("(C)"): int(value)
        for name, value in row.items()
        if name.startswith("Failed") and name.endswith("(C)") and name != "FailedCall(C)" and int(value)
    }


def times(table: str) -> list[float]:
    """The response times of SIPp's table of them, in seconds."""
    found = (row.split(";") for row in table.splitlines())
    return [float(row[1]) / 1000 for row in found if len(row) > 1 and row[1].replace(".", "").isdigit()]


@dataclass(frozen=True, slots=True)
class Ends:
    """What Asterisk's CDRs say of the calls that are over."""

    cut: int
    """Live calls that expired."""
    overlong: tuple[str, ...]
    """Dead calls that stood longer than the interval."""
    dead: dict[str, int]
    """Dead calls that ended, by kind."""

    @classmethod
    def of(cls, rows: list[dict[str, str]], interval: int = INTERVAL) -> Ends:
        cut = 0
        overlong: list[str] = []
        dead = dict.fromkeys(DEAD, 0)
        for row in rows:
            name = row["call_id"].rpartition("@")[0].rsplit("-", 2)[0]
            if name in DEAD:
                dead[name] += 1
                # CDRs count whole seconds.
                if int(row["billsec"]) > interval:
                    overlong.append(f"{row['call_id']}: answered {row['answer']}, stood {row['billsec']} s")
            elif name in LIVE:
                cut += row["cause"] == EXPIRED
        return cls(cut, tuple(overlong), dead)

    def with_more(self, rows: list[dict[str, str]], interval: int = INTERVAL) -> Ends:
        """These and those of more CDRs."""
        more = Ends.of(rows, interval)
        dead = {name: self.dead.get(name, 0) + ended for name, ended in more.dead.items()}
        return Ends(self.cut + more.cut, self.overlong + more.overlong, dead)


def by_cdr(stack: Stack, kinds: dict[str, Kind]) -> tuple[int, tuple[str, ...]]:
    """Live calls that expired, and which dead ones stood too long, by Asterisk's own records."""
    ends = Ends.of(stack.cdr())
    standing = [f"{name}: not ended" for name in DEAD for _ in range(kinds[name].made - ends.dead[name])]
    return ends.cut, (*ends.overlong, *standing)


def channels(stack: Stack) -> int:
    """Asterisk's channels, by its own count."""
    (row,) = stack.ami("CoreStatus")
    return int(row["CoreCurrentCalls"])


# How the command lines begin of what runs in each service.
PROCESSES = {"companion": "python3 -m session_timer_companion", "asterisk": "asterisk -f", "edge": "kamailio"}


@dataclass(frozen=True, slots=True)
class Counters:
    """What the processes of one service have used so far, and hold."""

    at: float
    cpu: float
    memory: int
    """Bytes; of what processes share, each one's part."""
    own: int
    """Bytes of it that are neither files nor shared memory."""
    files: int
    """Open file descriptors."""


def counters(stack: Stack, service: str) -> Counters:
    """CPU time and memory of a service's processes; of those that share memory, each one's own part."""
    script = (
        f"for p in $(pgrep -f '^{PROCESSES[service]}'); do "
        "cat /proc/$p/stat; grep -E '^Pss(_Anon)?:' /proc/$p/smaps_rollup; ls -U /proc/$p/fd | sed s/^/fd:/; "
        "done; getconf CLK_TCK"
    )
    *rows, tick = stack.exec(service, "sh", "-c", script).splitlines()
    cpu, memory, own, files = 0, 0, 0, 0
    for row in rows:
        if row.startswith("fd:"):
            files += 1
        elif row.startswith("Pss:"):
            memory += int(row.split()[1]) * 1024
        elif row.startswith("Pss_Anon:"):
            own += int(row.split()[1]) * 1024
        else:
            fields = row.rpartition(")")[2].split()
            cpu += int(fields[11]) + int(fields[12])
    return Counters(time.monotonic(), cpu / int(tick), memory, own, files)


def _between(before: Counters, after: Counters) -> Use:
    return Use((after.cpu - before.cpu) / (after.at - before.at), after.memory)


def _use(stack: Stack, service: str, seconds: float) -> Use:
    before = counters(stack, service)
    time.sleep(seconds)
    return _between(before, counters(stack, service))


def inside(stack: Stack, *arguments: str) -> dict[str, float]:
    """What companion/inside.py prints, run beside the companion."""
    answer = stack.exec("companion", "python3", "-", *arguments, given=INSIDE.read_text(), timeout=90)
    found: dict[str, float] = json.loads(answer)
    return found


def spread(times: list[float]) -> str:
    if not times:
        return "no"
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"p50 {statistics.median(ordered):.2f}, p99 {p99:.2f}, max {ordered[-1]:.2f}"
