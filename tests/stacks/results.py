"""What a run has seen, kept as a file so that the page can be made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.stack import ROOT

RESULTS = ROOT / "out" / "stacks.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One case that was played."""

    agent: str
    scenario: str
    seen: str
    complaints: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "scenario": self.scenario,
            "seen": self.seen,
            "complaints": list(self.complaints),
        }

    @classmethod
    def of(cls, found: dict[str, Any]) -> Row:
        """Read what ``as_json`` wrote."""
        return cls(found["agent"], found["scenario"], found["seen"], tuple(found["complaints"]))
