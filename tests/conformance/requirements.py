"""What `requirements.toml` asks, and the tests that name it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import places
from .results import Outcome

REQUIREMENTS = Path(__file__).with_name("requirements.toml")


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that RFC 4028 leaves open or that goes beyond it, and our decision."""

    id: str
    question: str
    decision: str
    where: tuple[str, ...]

    @property
    def who(self) -> tuple[str, ...]:
        """Which of our parts do it."""
        return parts(self.where)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the ledger."""

    id: str
    rfc: int
    level: str
    asks: str
    where: tuple[str, ...] = ()
    """The names of the code of ours that performs it (see `places`)."""
    others: tuple[str, ...] = ()
    """Who performs it without code of ours."""
    declined: str = ""

    @property
    def section(self) -> str:
        return self.id.split("-", 1)[1].rsplit("-", 1)[0]

    @property
    def who(self) -> tuple[str, ...]:
        """Who performs it: our parts by their code, then the others."""
        return (*parts(self.where), *self.others)


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement with the tests that name it."""

    requirement: Requirement
    tests: tuple[Outcome, ...]

    @property
    def in_unit(self) -> bool:
        return any(test.passed and not test.on_the_wire for test in self.tests)

    @property
    def on_wire(self) -> bool:
        return any(test.passed and test.on_the_wire for test in self.tests)

    @property
    def is_missing(self) -> bool:
        return not (self.requirement.declined or self.in_unit or self.on_wire)


@dataclass(frozen=True, slots=True)
class Asked:
    """All that `requirements.toml` has, in the RFC's order."""

    prefixes: Mapping[str, str]
    """What the letters of an ID stand for."""
    gaps: tuple[Gap, ...]
    requirements: tuple[Requirement, ...]


def load(path: Path = REQUIREMENTS) -> Asked:
    """Read the requirements. Raises `KeyError` for an ID whose letters are not explained."""
    data = tomllib.loads(path.read_text())
    prefixes = data["prefix"]
    gaps = tuple(Gap(**{**gap, "where": tuple(gap["where"])}) for gap in data["gap"])
    requirements = tuple(
        Requirement(
            id=row["id"],
            rfc=prefixes[row["id"].split("-", 1)[0]]["rfc"],
            level=row["level"],
            asks=row["asks"],
            where=tuple(row.get("where", ())),
            others=tuple(row.get("who", ())),
            declined=row.get("declined", ""),
        )
        for row in data["requirement"]
    )
    return Asked({name: prefix["of"] for name, prefix in prefixes.items()}, gaps, requirements)


def parts(names: Iterable[str]) -> tuple[str, ...]:
    """Our parts in which these names of code stand."""
    have = {places.part(name) for name in names}
    return tuple(part for part in places.PARTS.values() if part in have)
