"""What was expected, what was seen, and whether that is the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison, in words for people."""

    what: str
    expected: str
    seen: str
    passed: bool


def equal(what: str, expected: object, seen: object) -> Check:
    """Seen must be equal to expected."""
    return Check(what, str(expected), str(seen), seen == expected)


def at_least(what: str, expected: float, seen: float | None, unit: str = "") -> Check:
    """Seen must not be less than expected."""
    return Check(
        what, f"at least {expected:g}{unit}", _number(seen, unit), seen is not None and seen >= expected
    )


def near(what: str, expected: float, seen: float | None, *, early: float = 0.2, late: float = 1.0) -> Check:
    """Seen, in seconds, must lie between ``early`` before and ``late`` after expected."""
    fits = seen is not None and expected - early <= seen <= expected + late
    return Check(what, f"{expected:.1f} s (-{early:g}, +{late:g})", _number(seen, " s"), fits)


def between(what: str, least: float, most: float, seen: float | None) -> Check:
    """Seen, in seconds, must lie between ``least`` and ``most``."""
    fits = seen is not None and least - 0.2 <= seen <= most
    return Check(what, f"{least:.1f} to {most:.1f} s", _number(seen, " s"), fits)


def contains(what: str, expected: str, seen: str) -> Check:
    """Expected must occur in seen, of which the check shows the beginning."""
    return Check(what, f"contains {expected!r}", seen[:200] or "nothing", expected in seen)


def _number(value: float | None, unit: str) -> str:
    return "nothing" if value is None else f"{round(value, 3):g}{unit}"
