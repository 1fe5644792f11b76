"""One look at the whole stack: what Asterisk, companion, edge and SIPp tell, and the kernel of processes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.bench.companion_calls import (
    DEAD,
    FOLDER,
    LIVE,
    Ends,
    Kind,
    channels,
    count,
    counters,
    times,
)
from tests.bench.soak.samples import Sample
from tests.lab.stack import CDR, Stack

METRICS = """
import urllib.request
straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(straight.open("http://127.0.0.1:8080/metrics", timeout=20).read().decode())
"""


@dataclass(slots=True)
class Looking:
    """What has been read so far of files that grow, so that each look reads what is new."""

    stack: Stack
    run: str
    kinds: dict[str, Kind]
    interval: int
    """Of the sessions, in seconds."""
    read: dict[str, int] = field(default_factory=dict)
    """How many bytes of each file were read."""
    ends: Ends = field(default_factory=lambda: Ends(0, (), {}))
    stood: int = 0
    """Dead calls that stood longer than the interval, as SIPp saw it."""
    lagged: tuple[float, float] = (0.0, 0.0)
    """How many calls were woken, and how late all of them together."""

    def skip(self) -> None:
        """What others have left in Asterisk's records does not count."""
        self.new_text("asterisk", CDR)

    def look(self, second: float, *, last: bool = False) -> Sample:
        """One sample, at this second of the load."""
        stack = self.stack
        for kind in self.kinds.values():
            count(stack, kind)
        calls = channels(stack)
        page = metrics(stack.exec("companion", "python3", "-c", METRICS))
        woken = (page["session_timer_wake_lag_seconds_count"], page["session_timer_wake_lag_seconds_sum"])
        lag = (woken[1] - self.lagged[1]) / max(1.0, woken[0] - self.lagged[0])
        self.lagged = woken
        tables = {table["name"]: table["all"] for table in stack.rpc("htable.stats")}
        (faults,) = stack.rpc("stats.fetch", "script.session_timer_faults").values()
        used = {service: counters(stack, service) for service in ("companion", "edge", "asterisk")}
        self.ends = self.ends.with_more(stack.cdr_rows(self.new_text("asterisk", CDR)), self.interval)
        refreshed = times(self.new_text("carrier", f"{FOLDER}/refreshed/*_rtt.csv"))
        stood = [t for name in DEAD for t in times(self.new_text("carrier", f"{FOLDER}/{name}/*_rtt.csv"))]
        self.stood += sum(seconds > self.interval for seconds in stood)
        alive = [kind for name, kind in self.kinds.items() if name in LIVE]
        dead = sum(self.kinds[name].made for name in DEAD)
        lost = sum(sum(kind.failures.values()) for kind in alive)
        standing = len(self.ends.overlong)
        if last:
            lost = sum(kind.made - kind.good for kind in alive)
            standing += dead - sum(self.ends.dead.values()) + calls
        return Sample(
            run=self.run,
            second=second,
            calls=calls,
            sessions=int(page["session_timer_sessions"]),
            records=tables["session_timer"],
            changes=tables["session_timer_changes"],
            transactions=stack.rpc("tm.stats")["current"],
            companion_memory=used["companion"].own,
            companion_files=used["companion"].files,
            companion_cpu=used["companion"].cpu,
            edge_memory=used["edge"].own,
            edge_shared=stack.rpc("core.shmmem")["used"],
            edge_files=used["edge"].files,
            edge_cpu=used["edge"].cpu,
            asterisk_memory=used["asterisk"].own,
            asterisk_files=used["asterisk"].files,
            asterisk_cpu=used["asterisk"].cpu,
            lag=lag,
            refresh_latest=max(refreshed, default=0.0),
            dead_longest=max(stood, default=0.0),
            faults=int(page.get("session_timer_faults_total", 0)) + int(faults),
            live=sum(kind.made for kind in alive),
            dead=dead,
            live_lost=max(lost, self.ends.cut),
            dead_standing=max(standing, self.stood),
            last=last,
        )

    def new_text(self, service: str, path: str) -> str:
        """The whole lines that were written to a file since the last look; none if there is no such file."""
        start = self.read.get(path, 0)
        # The path may have a pattern in it, of which there is one file.
        text = self.stack.exec(service, "sh", "-c", f"tail -c +{start + 1} {path} 2>/dev/null || true")
        text = text[: text.rfind("\n") + 1]
        self.read[path] = start + len(text.encode())
        return text


def metrics(page: str) -> dict[str, float]:
    """The values of a page in Prometheus' format, each the sum over all its labels."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:{.*})? ([0-9.e+-]+)$", page, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found
