"""Draws what grows with the number of calls: a panel for each figure, the number on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT = 300, 110
LEFT, TOP, RIGHT, BOTTOM = 40, 34, 60, 34
ACROSS = 2
COLOUR = "#1f6feb"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure over the number of sessions or records."""

    title: str
    part: str
    count: str
    """The row's field with the number."""
    value: str
    """The row's field that is drawn."""
    scale: float = 1.0
    goal: float | None = None
    """A line that the values are to stay below."""


PANELS = (
    Panel("companion: bytes a session", "companion", "sessions", "bytes_a_session", goal=700),
    Panel("companion: CPU at 1,800 s, % of one", "companion", "sessions", "cpu_share", 100),
    Panel("companion: p99 of the lateness, ms", "companion", "sessions", "late_p99", 1000, goal=100),
    Panel("companion: tracked again after, s", "companion", "sessions", "armed_seconds"),
    Panel("edge: CPU a call, of an empty table's", "edge", "records", "ratio", goal=1.05),
    Panel("edge: CPU without calls, % of one", "edge", "records", "idle_share", 100),
)


def drawn(measured: Mapping[str, Any]) -> str:
    """The picture, as the text of an SVG file."""
    down, across = HEIGHT + TOP + BOTTOM, WIDTH + LEFT + RIGHT
    rows = -(-len(PANELS) // ACROSS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ACROSS * across} {rows * down}" '
        f'font-family="sans-serif" font-size="11">',
        "<title>What companion and edge use, by the number of calls</title>",
        f'<rect width="{ACROSS * across}" height="{rows * down}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(PANELS):
        x, y = number % ACROSS * across + LEFT, number // ACROSS * down + TOP
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel, measured[panel.part]["rows"])}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, rows: Sequence[Row]) -> str:
    values = [row[panel.value] * panel.scale for row in rows]
    highest = max([*values, panel.goal or 0.0]) * 1.15 or 1.0
    # An empty table stands a decade to the left of the first count.
    places = [math.log10(row[panel.count]) if row[panel.count] else None for row in rows]
    known = [place for place in places if place is not None]
    first = min(known) - (1 if None in places else 0)
    last = max(*known, first + 1)

    def at(place: float | None, value: float) -> tuple[float, float]:
        x = ((first if place is None else place) - first) / (last - first) * WIDTH
        return round(x, 1), round(HEIGHT * (1 - value / highest), 1)

    points = [at(place, value) for place, value in zip(places, values, strict=True)]
    parts = [
        f'<text x="0" y="-14" font-weight="bold">{escape(panel.title)}</text>',
        f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}" stroke="#999999"/>',
    ]
    if panel.goal is not None:
        y = at(None, panel.goal)[1]
        parts.append(
            f'<line x1="0" x2="{WIDTH + 18}" y1="{y}" y2="{y}" stroke="#b3261e" stroke-dasharray="4 3"/>'
            f'<text x="{WIDTH + 22}" y="{y + 4}" fill="#b3261e">{panel.goal:g}</text>'
        )
    line = " ".join(f"{x},{y}" for x, y in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOUR}" stroke-width="1.5"/>')
    for (x, y), value, row in zip(points, values, rows, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{COLOUR}"/>')
        parts.append(f'<text x="{x}" y="{y - 6}" text-anchor="middle">{_shown(value)}</text>')
        parts.append(f'<text x="{x}" y="{HEIGHT + 15}" text-anchor="middle">{row[panel.count]:,}</text>')
    return "".join(parts)


def _shown(value: float) -> str:
    """A number as short as it can be told."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
