"""What session timers cost at the edge: the CPU time of Kamailio for the same calls, seven ways.

    make bench-edge                       seven interleaved rounds, the ratios, the highest rate, full tables
    python -m tests.bench.edge_cost --rounds 3 --no-rates --no-tables

Kamailio, the caller and the called side are containers of their own; Kamailio's CPU time is what the
kernel counted for its container, less what it uses when idle. These machines are noisy, so variants are
interleaved in each round and compared in pairs; medians are reported.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from session_timer import Agreement, Asked, DialogTimer, Outcome, Record, Side

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAME = os.environ.get("BENCH_NAME", "bench")
NET = os.environ.get("BENCH_NET", "198.19.88")
"""Two benchmarks at once on one machine want a name and a network each."""
NETWORK = f"{NAME}-edge"
EDGE, UAC, UAS = f"{NET}.10", f"{NET}.20", f"{NET}.30"
IDLE_SECONDS = 2.0
STATISTIC = "/tmp/statistic.csv"  # noqa: S108 - inside a container of our own


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the same routing."""

    name: str
    defines: tuple[str, ...] = ()
    compiled: bool = False
    """Our code as the Debian packages have it: made C by mypyc."""

    @property
    def timed(self) -> bool:
        return "TIMERS" in self.defines


VARIANTS = (
    Variant("native"),
    Variant("native+timers", ("TIMERS",)),
    Variant("native+timers compiled", ("TIMERS",), compiled=True),
    Variant("native+sst", ("SST",)),
    Variant("kemi", ("KEMI",)),
    Variant("kemi+timers", ("KEMI", "TIMERS")),
    Variant("kemi+timers compiled", ("KEMI", "TIMERS"), compiled=True),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One load run through one variant."""

    cpu: float
    """Seconds of CPU time of all of Kamailio's processes, without their idle share."""
    lost: int
    """Calls that failed."""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(
            f"bench-edge: docker {' '.join(arguments[:3])}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def remove(*names: str) -> None:
    docker("rm", "-f", *(f"{NAME}-{name}" for name in names), check=False)


@contextmanager
def stage() -> Iterator[None]:
    """The network and the two ends of the load."""
    remove("edge", "uac", "uas")
    docker("network", "rm", NETWORK, check=False)
    docker("network", "create", "--subnet", f"{NET}.0/24", NETWORK)
    try:
        for name, address in (("uac", UAC), ("uas", UAS)):
            docker(
                "run", "-d", "--init", "--name", f"{NAME}-{name}", "--network", NETWORK, "--ip", address,
                "-v", f"{HERE / 'edge'}:/bench:ro", "session-timer/carrier:trixie", "sleep", "infinity",
            )  # fmt: skip
        yield
    finally:
        remove("edge", "uac", "uas")
        docker("network", "rm", NETWORK, check=False)


KEY = "worth-nothing-outside-the-benchmark"


@contextmanager
def edge(
    variant: Variant, suite: str, *, name: str = "edge", address: str = EDGE, size: int = 0, workers: int = 2
) -> Iterator[None]:
    """Kamailio, run as `variant`, from Debian's `suite`; `size` of its table, if not as it is shipped.

    `workers`: Kamailio's processes that route messages.
    """
    remove(name)
    defines = " ".join(f"-A {define}" for define in variant.defines)
    given = f"size={size}" if size else "\\2"
    prepare = (
        f"mkdir -p /run/bench && cp /kamailio/session-timer.py /run/bench/ && echo {KEY} >/run/bench/key && "
        f"sed s/BENCH_UAS/{UAS}/ /bench/session-timer.yaml >/run/bench/session-timer.yaml && "
        f"sed -e s/BENCH_UAS/{UAS}/ -e s/^children=.*/children={workers}/ "
        "/bench/kamailio.cfg >/run/bench/kamailio.cfg && "
        'sed \'s#"/etc/kamailio/session-timer.py"#"/kamailio/session-timer.py"#\' '
        "/kamailio/session-timer-native.cfg >/run/bench/native.cfg && "
        "sed -i 's#/kamailio/session-timer-native.cfg#/run/bench/native.cfg#' /run/bench/kamailio.cfg && "
        'sed -i \'s#"session-timer.cfg"#"/run/bench/session-timer.cfg"#\' /run/bench/native.cfg && '
        f"sed -E 's/(session_timer=>)(size=[0-9]+)/\\1{given}/' "
        "/kamailio/session-timer.cfg >/run/bench/session-timer.cfg && "
        f"exec kamailio -DD -E -m 1024 -M 16 {defines} -f /run/bench/kamailio.cfg"
    )
    compiled = f"{ROOT / 'out' / 'compiled' / suite}:/compiled:ro"
    docker(
        "run", "-d", "--name", f"{NAME}-{name}", "--network", NETWORK, "--ip", address,
        "-v", f"{HERE / 'edge'}:/bench:ro", "-v", f"{ROOT / 'kamailio'}:/kamailio:ro",
        "-v", f"{ROOT / 'pylib'}:/pylib:ro", *(("-v", compiled) if variant.compiled else ()),
        "-e", f"PYTHONPATH={'/compiled' if variant.compiled else '/pylib:/kamailio'}",
         "-e", "PYTHONDONTWRITEBYTECODE=1",
        "-e", f"BENCH_UAS={UAS}", "-e", f"BENCH_TIMERS={int(variant.timed)}",
        "-e", "SESSION_TIMER_CONFIG=/run/bench/session-timer.yaml",
        f"session-timer/edge:{suite}", "bash", "-c", prepare,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 15
        while "Listening on" not in (log := docker_logs(name)) or cpu_seconds(name) == 0.0:
            if time.monotonic() > deadline or not running(name):
                sys.exit(f"bench-edge: Kamailio ({variant.name}) did not start:\n{log[-1500:]}")
            time.sleep(0.2)
        yield
    finally:
        remove(name)


def running(name: str = "edge") -> bool:
    return docker("inspect", "-f", "{{.State.Running}}", f"{NAME}-{name}").strip() == "true"


def docker_logs(name: str = "edge") -> str:
    done = subprocess.run(
        ["docker", "logs", f"{NAME}-{name}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def cpu_seconds(name: str = "edge") -> float:
    """The CPU time that the container has used so far."""
    # cgroup 1 counts nanoseconds, cgroup 2 microseconds.
    counters = "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null || cat /sys/fs/cgroup/cpu.stat"
    usage = docker("exec", f"{NAME}-{name}", "sh", "-c", counters, check=False)
    if usage.strip().isdigit():
        return int(usage) / 1e9
    found = re.search(r"usage_usec (\d+)", usage)
    return int(found[1]) / 1e6 if found else 0.0


def load(rate: int, calls: int, address: str = EDGE) -> int:
    """Run the load; returns the calls that failed."""
    seconds = calls // rate + 15
    called = subprocess.Popen(
        sipp("uas", UAS, calls, "-timeout", str(seconds + 5)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port()
    statistic = ("-trace_stat", "-stf", STATISTIC, "-fd", "1")
    caller = subprocess.run(
        sipp("uac", UAC, calls, "-timeout", str(seconds), "-r", str(rate), *statistic, f"{address}:5060"),
        capture_output=True,
        text=True,
        check=False,
    )
    docker("exec", f"{NAME}-uas", "pkill", "sipp", check=False)
    called.wait()
    both = f"head -1 {STATISTIC}; tail -1 {STATISTIC}; rm {STATISTIC}"
    table = docker("exec", f"{NAME}-uac", "sh", "-c", both).splitlines()
    if len(table) < 2:
        sys.exit(f"bench-edge: SIPp told nothing: {caller.stderr[-400:]}")
    if caller.returncode == 0:
        return 0  # SIPp: every call ended well; its last row may have been written before the last of them
    row = dict(zip(table[0].split(";"), table[1].split(";"), strict=False))
    return max(1, calls - int(row["SuccessfulCall(C)"]))


def sipp(end: str, address: str, calls: int, *options: str) -> list[str]:
    """The command that runs one end of the load in its container."""
    words = ["docker", "exec", f"{NAME}-{end}", "sipp", "-sf", f"/bench/{end}.xml", "-i", address, "-nostdin"]
    return [*words, "-m", str(calls), *options]


def wait_for_port() -> None:
    """Wait until the called side listens on 5060 (13C4 in the kernel's table)."""
    deadline = time.monotonic() + 10
    while ":13C4 " not in docker("exec", f"{NAME}-uas", "cat", "/proc/net/udp"):
        if time.monotonic() > deadline:
            sys.exit("bench-edge: the called side's SIPp does not listen on port 5060")
        time.sleep(0.1)


def measure(
    variant: Variant, suite: str, rate: int, calls: int, records: int = 0, workers: int = 2
) -> Result:
    with edge(variant, suite, workers=workers):
        if records:
            fill(records)
        start, at = cpu_seconds(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (cpu_seconds() - start) / (time.monotonic() - at)
        start, at = cpu_seconds(), time.monotonic()
        lost = load(rate, calls)
        used, wall = cpu_seconds() - start, time.monotonic() - at
        return Result(used - idle * wall, lost)


FILL = """
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.bind("/tmp/fill.sock")
os.chmod("/tmp/fill.sock", 0o777)
for n in range(int(sys.argv[2]), int(sys.argv[1])):
    # As long as the keys of real calls: Call-ID and tag of Asterisk's length, and a short tag.
    item = ["session_timer", f"{n:036};{n:036};{n:016}", sys.argv[3]]
    ask = {"jsonrpc": "2.0", "id": n, "method": "htable.sets", "params": item}
    client.sendto(json.dumps(ask).encode(), "/tmp/kamailio_rpc.sock")
    client.recv(65535)
os.unlink("/tmp/fill.sock")
"""


def fill(records: int, name: str = "edge", *, filled: int = 0) -> None:
    """Put other calls' records into the table, which has `filled` of them already."""
    agreed = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True, peer_allows_update=True)
    text = Record(
        "0" * 36,
        agreed,
        clock="0" * 36,
        at=1234567.890,
        last="local:23456",
        refreshes=1,
        peer="carrier",
        on_path=True,
        placed=Side.REMOTE,
        far="192.0.2.100",
        ours=Asked("UPDATE", 23456, 1234567.789, Outcome.ANSWERED, 200, ended=1234567.890),
        earlier="remote:1",
    ).encode()
    docker("exec", f"{NAME}-{name}", "python3", "-c", FILL, str(records), str(filled), text)


def sustained(variant: Variant, suite: str, rate: int) -> bool:
    """Whether `rate` calls a second pass for four seconds without a lost call."""
    with edge(variant, suite):
        return load(rate, rate * 4) == 0


def highest_rate(variant: Variant, suite: str, first: int = 250, most: int = 8000) -> int:
    """The highest rate (calls a second) that is sustained: doubled until it fails, then narrowed down."""
    good, bad = 0, first
    while bad <= most and sustained(variant, suite, bad):
        good, bad = bad, bad * 2
    for _ in range(3):
        middle = (good + bad) // 2
        if sustained(variant, suite, middle):
            good = middle
        else:
            bad = middle
    return good


def verbs(suite: str, *, compiled: bool) -> str:
    """What the verbs of one call take in Python, with warm and with cold caches: `edge_verbs`."""
    path = "/compiled:/source" if compiled else "/source/pylib:/source/kamailio:/source"
    return docker(
        "run", "--rm", "--network", "none", "-v", f"{ROOT}:/source:ro", "-w", "/source",
        "-v", f"{ROOT / 'out' / 'compiled' / suite}:/compiled:ro", "-e", f"PYTHONPATH={path}",
        "-e", "PYTHONDONTWRITEBYTECODE=1", f"session-timer/edge:{suite}",
        "python3", "-m", "tests.bench.edge_verbs",
    )  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=int, default=200, help="calls a second")
    parser.add_argument("--calls", type=int, default=3000, help="calls a run")
    parser.add_argument("--suite", default="trixie", help="the edge's Debian")
    parser.add_argument("--workers", type=int, default=2, help="Kamailio's worker processes (children)")
    parser.add_argument("--no-rates", action="store_true")
    parser.add_argument("--no-tables", action="store_true")
    options = parser.parse_args()

    made = subprocess.run([ROOT / "docker" / "build-compiled", options.suite], check=False)
    if made.returncode:
        sys.exit("bench-edge: the compiled form was not made")
    results: dict[str, list[Result]] = {variant.name: [] for variant in VARIANTS}
    for form, compiled in (("plain", False), ("compiled", True)):
        print(f"our code alone, {form}:\n{verbs(options.suite, compiled=compiled)}", end="", flush=True)
    with stage():
        for turn in range(options.rounds):
            # Every other round runs backwards, so that a drift of the machine favours nobody.
            for variant in VARIANTS if turn % 2 == 0 else reversed(VARIANTS):
                result = measure(variant, options.suite, options.rate, options.calls, workers=options.workers)
                results[variant.name].append(result)
                cost = result.cpu / options.calls * 1e6
                print(
                    f"round {turn + 1}/{options.rounds} {variant.name:22} {cost:7.0f} us/call"
                    f"  lost {result.lost}",
                    flush=True,
                )
        for name, runs in results.items():
            cost = statistics.median(run.cpu for run in runs) / options.calls * 1e6
            print(f"median {name:22} {cost:7.0f} us/call")
        if not options.no_tables:
            for records in (0, 10_000, 100_000):
                result = measure(
                    VARIANTS[1], options.suite, options.rate, options.calls, records, options.workers
                )
                print(
                    f"native+timers with {records:6} records in the table: "
                    f"{result.cpu / options.calls * 1e6:.0f} us/call, lost {result.lost}",
                    flush=True,
                )
        if not options.no_rates:
            for variant in VARIANTS:
                rate = highest_rate(variant, options.suite)
                print(f"highest rate without loss, {variant.name}: {rate} calls/s", flush=True)

    def ratio(over: str, under: str) -> float:
        pairs = zip(results[over], results[under], strict=True)
        return statistics.median(a.cpu / b.cpu for a, b in pairs)

    for form, suffix in (("edge plain", ""), ("edge", " compiled")):
        ours = (f"native+timers{suffix}", f"kemi+timers{suffix}")
        lost = sum(run.lost for name in ours for run in results[name])
        print(
            f"{form}: native+timers/native+sst {ratio(ours[0], 'native+sst'):.2f}, "
            f"kemi+timers/kemi {ratio(ours[1], 'kemi'):.2f}, lost {lost}"
        )


if __name__ == "__main__":
    main()
