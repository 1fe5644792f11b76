"""What a decision of the protocol library costs: ``make bench-library``.

Nanoseconds of processor time a decision as the median over rounds, bytes a session over 100,000 of
them. Each round runs in a process of its own, and where the repository has a release tag that release
takes turns with the working tree, so that a change of the machine's mood meets both.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLS = 10_000
"""Decisions in one measurement."""
SESSIONS = 100_000

LIVEKIT_NANOSECONDS, LIVEKIT_BYTES = 208, 393
"""The Go timer of LiveKit's proposal: its INVITE negotiation, which leaves out part of section 9; a timer."""

DECISIONS = {
    "uas": "UAS: INVITE read, decided, header written",
    "uas_alone": "UAS: the decision alone, facts already read",
    "uac": "UAC: 2xx read and accepted",
    "proxy": "proxy: INVITE read and decided, 2xx read and completed",
    "refresh": "session: refresh due, sent, answered 2xx",
}


def main() -> int:
    """Measure and print; with ``--measure`` one round, as JSON."""
    reader = argparse.ArgumentParser(description="what a decision of the protocol library costs")
    reader.add_argument("--rounds", type=int, default=9)
    reader.add_argument("--measure", choices=["decisions", "bytes"], help=argparse.SUPPRESS)
    options = reader.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    tag = _newest_tag()
    with tempfile.TemporaryDirectory() as folder:
        trees = {"this tree": ROOT / "pylib"}
        if tag is not None:
            trees[tag] = _unpacked(tag, Path(folder))
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        for _ in range(options.rounds):
            for name, tree in trees.items():
                rounds[name].append(_round(tree, "decisions"))
        # Memory is the same in every round.
        held = {name: _round(tree, "bytes")["session"] for name, tree in trees.items()}
    _report(rounds, held, tag)
    return 0


def measure(what: str) -> dict[str, float]:
    """One round: nanoseconds a decision, or bytes a session."""
    if what == "bytes":
        return {"session": _bytes_a_session()}
    return {name: _nanoseconds(decide) for name, decide in _decisions().items()}


@dataclass(frozen=True)
class _Rows:
    """Header rows as the edge hands them over: a lookup each, nothing else."""

    headers: dict[str, list[str]]

    def __call__(self, name: str) -> list[str]:
        return self.headers.get(name, [])


def _decisions() -> dict[str, Callable[[], object]]:
    from session_timer import (  # noqa: PLC0415 - the tree under test is chosen by PYTHONPATH
        Agreement,
        DialogTimer,
        Policy,
        RefreshRequest,
        RefreshResponse,
        Side,
        proxy,
        session,
        uac,
        uas,
    )

    policy = Policy()
    request = _Rows(
        {
            "Session-Expires": ["1800;refresher=uac"],
            "Min-SE": ["90"],
            "Supported": ["100rel, timer, replaces"],
            "Allow": ["INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK"],
        }
    )
    answer = _Rows({**request.headers, "Min-SE": [], "Require": ["timer"]})
    bare = _Rows({"Allow": ["INVITE, ACK, CANCEL, BYE"]})
    sent = uac.request(policy)
    dialog = DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True, peer_allows_update=True)
    waiting = session.begin(dialog, 0.0, policy)

    def as_uas() -> object:
        decision = uas.answer(RefreshRequest.read("INVITE", request), policy)
        return str(decision.session_expires) if isinstance(decision, uas.Accept) else None

    def as_uac() -> object:
        return uac.accept(sent, RefreshResponse.read(200, answer), policy)

    def as_proxy() -> object:
        decision = proxy.forward(RefreshRequest.read("INVITE", request), policy)
        if not isinstance(decision, tuple):
            return decision
        return proxy.complete(decision[1], RefreshResponse.read(200, bare), Side.REMOTE)

    def refresh() -> object:
        refreshing, _ = session.due(waiting, 900.0)
        return session.refreshed(refreshing, dialog, 900.1)

    facts = RefreshRequest.read("INVITE", request)

    def uas_alone() -> object:
        return uas.answer(facts, policy)

    return {"uas": as_uas, "uas_alone": uas_alone, "uac": as_uac, "proxy": as_proxy, "refresh": refresh}


def _nanoseconds(decide: Callable[[], object]) -> float:
    for _ in range(CALLS // 10):
        decide()
    start = time.process_time_ns()
    for _ in range(CALLS):
        decide()
    return (time.process_time_ns() - start) / CALLS


def _bytes_a_session() -> float:
    """As a companion holds it: every session with an agreement and numbers of its own, policies shared."""
    from session_timer import Agreement, DialogTimer, Policy, Side, session  # noqa: PLC0415

    policy = Policy()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    held = [
        session.begin(
            DialogTimer(Agreement(1800, Side.LOCAL), peer_supports=True, peer_allows_update=True),
            number * 0.001,
            policy,
            spread=number / SESSIONS,
        )
        for number in range(SESSIONS)
    ]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(held)


def _newest_tag() -> str | None:
    """The release before the commit that is checked out, if there is one."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--tags", "--abbrev=0", "HEAD^"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None


def _unpacked(tag: str, folder: Path) -> Path:
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", tag, "pylib"], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "pylib"


def _round(tree: Path, what: str) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, __file__, "--measure", what],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def _report(rounds: dict[str, list[dict[str, float]]], held: dict[str, float], tag: str | None) -> None:
    ours = rounds["this tree"]
    print(f"bench-library: Python {platform.python_version()}, median of {len(ours)} rounds")
    for name, what in DECISIONS.items():
        nanoseconds = statistics.median(each[name] for each in ours)
        line = f"  {what:<56} {nanoseconds:7,.0f} ns {1e9 / nanoseconds:11,.0f} a second"
        print(line + _against(rounds, tag, name))
    compared = "" if tag is None else f"   {held['this tree'] / held[tag]:.2f} x {tag}"
    print(f"  {f'a session, of {SESSIONS:,}':<56} {held['this tree']:7,.0f} bytes{compared}")
    if tag is None:
        print("  no release tag before this commit yet: nothing to compare with")
    print(
        f"  for scale, LiveKit's proposed timer in Go: about {LIVEKIT_NANOSECONDS} ns for its (incomplete)"
        f" INVITE negotiation, {LIVEKIT_BYTES} bytes a session"
    )


def _against(rounds: dict[str, list[dict[str, float]]], tag: str | None, name: str) -> str:
    """The median of the ratios of neighbouring rounds."""
    if tag is None:
        return ""
    pairs = zip(rounds["this tree"], rounds[tag], strict=True)
    ratio = statistics.median(ours[name] / theirs[name] for ours, theirs in pairs)
    return f"   {ratio:.2f} x {tag}"


if __name__ == "__main__":
    sys.exit(main())
