"""Draws the samples of a soak as one SVG: a panel for each thing that must not grow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from html import escape

from tests.bench.soak.judge import HOUR, MIB, WARM_UP
from tests.bench.soak.samples import Sample

Line = tuple[str, Callable[[Sample], float]]

WIDTH, HEIGHT = 300, 110
"""Of a panel's field."""
LEFT, TOP, RIGHT, BOTTOM = 64, 34, 16, 26
ACROSS = 2
COLOURS = ("#1f6feb", "#bf5b04", "#2f7d32")

PANELS: tuple[tuple[str, tuple[Line, ...]], ...] = (
    ("memory of the companion, MiB", (("", lambda s: s.companion_memory / MIB),)),
    ("memory of Asterisk, MiB", (("", lambda s: s.asterisk_memory / MIB),)),
    ("memory of the edge's processes, MiB", (("", lambda s: s.edge_memory / MIB),)),
    ("the edge's shared memory in use, MiB", (("", lambda s: s.edge_shared / MIB),)),
    (
        "calls",
        (
            ("Asterisk", lambda s: s.calls),
            ("companion", lambda s: s.sessions),
            ("edge's records", lambda s: s.records),
        ),
    ),
    (
        "open files",
        (
            ("companion", lambda s: s.companion_files),
            ("edge", lambda s: s.edge_files),
            ("Asterisk, less four a call", lambda s: s.asterisk_files - 4 * s.calls),
        ),
    ),
    (
        "in a minute the longest, s",
        (("to our refresh", lambda s: s.refresh_latest), ("a dead call stood", lambda s: s.dead_longest)),
    ),
    ("calls woken late by, ms", (("", lambda s: s.lag * 1000),)),
)


def drawn(samples: Sequence[Sample]) -> str:
    """The picture, as the text of an SVG file. Runs follow one another with a gap; the warm-up is grey."""
    runs = [[s for s in group if not s.last] for _, group in itertools.groupby(samples, key=lambda s: s.run)]
    runs = [run for run in runs if run]
    rows = -(-len(PANELS) // ACROSS)
    across, down = WIDTH + LEFT + RIGHT, HEIGHT + TOP + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ACROSS * across} {rows * down}" '
        f'font-family="sans-serif" font-size="11">',
        "<title>What each part of the stack held, minute by minute</title>",
        f'<rect width="{ACROSS * across}" height="{rows * down}" fill="#ffffff"/>',
    ]
    for number, (title, lines) in enumerate(PANELS):
        x, y = number % ACROSS * across + LEFT, number // ACROSS * down + TOP
        parts.append(f'<g transform="translate({x} {y})">{_panel(title, lines, runs)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, lines: Sequence[Line], runs: Sequence[Sequence[Sample]]) -> str:
    starts = list(itertools.accumulate((run[-1].second for run in runs), initial=0.0))
    longest = max(starts[-1], 1.0)
    values = [line(sample) for _, line in lines for run in runs for sample in run]
    top = _rounded_up(max(values, default=1.0))

    def at(second: float, value: float) -> str:
        return f"{second / longest * WIDTH:.1f},{HEIGHT - value / top * HEIGHT:.1f}"

    parts = [f'<text x="0" y="-18" font-weight="bold">{escape(title)}</text>']
    for start, run in zip(starts, runs, strict=False):
        warm = min(WARM_UP, run[-1].second) / longest * WIDTH
        parts.append(
            f'<rect x="{start / longest * WIDTH:.1f}" width="{warm:.1f}" height="{HEIGHT}" fill="#eeeeee"/>'
        )
    for part in (0.0, 0.5, 1.0):
        y = HEIGHT * (1 - part)
        parts.append(f'<line x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#cccccc"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{top * part:g}</text>')
    parts.append(f'<text x="0" y="{HEIGHT + 15}">0</text>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT + 15}" text-anchor="end">{longest / HOUR:.2g} h</text>')
    place = 0
    for colour, (name, line) in zip(COLOURS, lines, strict=False):
        for start, run in zip(starts, runs, strict=False):
            points = " ".join(at(start + sample.second, line(sample)) for sample in run)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if name:
            parts.append(f'<text x="{place}" y="-5" fill="{colour}">{escape(name)}</text>')
            place += 7 * len(name) + 14
    return "".join(parts)


def _rounded_up(value: float) -> float:
    """A round number that is not below it, for the end of an axis."""
    if value <= 0:
        return 1.0
    step = 1.0
    while step > value:
        step /= 10
    while step * 10 < value:
        step *= 10
    return next(step * times for times in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * times >= value)
