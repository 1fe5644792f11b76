"""What the command makes of calls, as the tests ask for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from session_timer_companion.explain.command import explained
from session_timer_companion.explain.judging.judge import Settings
from session_timer_companion.explain.judging.rules import Level, Rule
from session_timer_companion.explain.judging.verdict import Explained, Verdict
from session_timer_companion.explain.reading.trace import Notes, read

from tests.companion.explain.scenario import Sent
from tests.companion.explain.writers import written


def judged(path: Path, notes: Notes | None = None, settings: Settings | None = None) -> list[Explained]:
    """Every call of a file."""
    notes = notes or Notes()
    return list(explained(read(path, notes), notes, settings or Settings()))


def one(sent: Iterable[Sent], settings: Settings | None = None) -> Explained:
    """The single call that is on the wire."""
    with tempfile.TemporaryDirectory() as folder:
        (call,) = judged(written(Path(folder) / "calls.pcap", sent), settings=settings)
    return call


def rules(sent: Iterable[Sent], settings: Settings | None = None) -> list[Rule]:
    """The rules of all verdicts on that call."""
    return [verdict.rule for verdict in one(sent, settings).verdicts]


def only(sent: Iterable[Sent], settings: Settings | None = None) -> Verdict:
    """The one verdict on that call."""
    (verdict,) = one(sent, settings).verdicts
    return verdict


__all__ = ["Level", "judged", "one", "only", "rules"]
