"""A ladder as SVG: one file, no script, its own background so that it reads on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from session_timer_companion.explain.drawing.ladder import Arrow, Ladder, Note, Row, Section, Tone

_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_PAPER, _EDGE, _INK, _FAINT, _LINE = "#fbfcfe", "#d5dbe3", "#1f2933", "#6b7785", "#b6c0cc"
_BAND = "#e9eef5"
_NOTE_PAPER, _NOTE_INK = "#fff4d6", "#7a5200"
_COLOURS = {
    Tone.OPEN: "#0b62c4",
    Tone.REFRESH: "#5b3fc4",
    Tone.SUCCESS: "#14783c",
    Tone.REFUSAL: "#b45309",
    Tone.END: "#b3214f",
    Tone.OTHER: "#77828f",
}
_GUTTER, _SPAN, _MARGIN = 84, 330, 150
_TOP, _ROW, _LINE_HEIGHT = 96, 30, 15
# A wait worth seeing: rows further apart than this get a broken lifeline between them, in seconds.
_WAIT = 1.5
# A letter of a title of size 15 is so wide in the widest of these fonts.
_TITLE_LETTER = 9.3


def svg(ladder: Ladder) -> str:
    """The picture's text."""
    body: list[str] = []
    y = float(_TOP)
    before: float | None = None
    breaks: list[tuple[float, float]] = []
    for row in ladder.rows:
        if isinstance(row, Section):
            before = None
        else:
            if before is not None and row.time - before > _WAIT:
                breaks.append((y + 4, y + 26))
                body.append(_text(14, y + 19, f"… {row.time - before:.1f} s", _FAINT, size=11))
                y += 30
            before = row.time
        drawn, height = _row(row, y, len(ladder.columns))
        body += drawn
        y += height
    width = _x(len(ladder.columns) - 1) + _MARGIN
    height = y + 24
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="{_FONT}" role="img" aria-label="{escape(ladder.title)}">',
        f"<title>{escape(ladder.title)}</title>",
        f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="10" fill="{_PAPER}" '
        f'stroke="{_EDGE}"/>',
        _text(20, 30, _fitting(ladder.title, width - 40), _INK, size=15, weight="600"),
    ]
    lines = [line for column in range(len(ladder.columns)) for line in _lifeline(column, y, breaks)]
    names = [each for column, name in enumerate(ladder.columns) for each in _name(column, name)]
    return "\n".join([*head, *lines, *names, *body, "</svg>"]) + "\n"


def _fitting(title: str, width: float) -> str:
    """What of a title fits beside the edge of the picture; all of it is in the picture's name."""
    most = int(width / _TITLE_LETTER)
    return title if len(title) <= most else f"{title[: most - 1]}…"


def _row(row: Row, y: float, columns: int) -> tuple[list[str], float]:
    """What one row draws when it begins at ``y``, and its height."""
    match row:
        case Arrow():
            drawn = list(_arrow(row, y))
            return drawn, _ROW + _LINE_HEIGHT * len(row.details) + (4 if row.details else 0)
        case Note():
            return list(_pill(row.text, y, columns)), 34
        case Section():
            middle = (_x(0) + _x(columns - 1)) / 2
            left, right = _x(0) - 70, _x(columns - 1) + 70
            return [
                _box(left, y + 8, right - left, 26, radius=4, fill=_BAND),
                _text(middle, y + 25, row.text, _INK, size=12, anchor="middle", weight="600"),
            ], 44


def _arrow(arrow: Arrow, y: float) -> Iterator[str]:
    colour = _COLOURS[arrow.tone]
    start, end = _x(arrow.source), _x(arrow.target)
    sign = 1 if end > start else -1
    at = y + 22
    middle = (start + end) / 2
    yield _text(14, at + 4, f"{arrow.time:.3f} s", _FAINT, size=11)
    yield _text(middle, at - 6, arrow.full_name, colour, size=12.5, anchor="middle", weight="600")
    shaft = f"M{start + sign * 2:g} {at:g}H{end - sign * 9:g}"
    yield f'<path d="{shaft}" stroke="{colour}" stroke-width="1.6" fill="none"/>'
    yield f'<path d="M{end - sign * 2:g} {at:g}l{-sign * 10} -4.5v9z" fill="{colour}"/>'
    for number, detail in enumerate(arrow.details, start=1):
        yield _text(middle, at + _LINE_HEIGHT * number, detail, _INK, size=11, anchor="middle")


def _pill(text: str, y: float, columns: int) -> Iterator[str]:
    middle = (_x(0) + _x(columns - 1)) / 2
    width = 7.0 * len(text) + 28
    yield _box(middle - width / 2, y + 6, width, 23, radius=11.5, fill=_NOTE_PAPER)
    yield _text(middle, y + 21.5, text, _NOTE_INK, size=11.5, anchor="middle")


def _name(column: int, name: str) -> Iterator[str]:
    yield (
        f'<rect x="{_x(column) - 70}" y="48" width="140" height="28" rx="6" fill="#eef2f7" stroke="{_LINE}"/>'
    )
    yield _text(_x(column), 66.5, name, _INK, size=13, anchor="middle", weight="600")


def _lifeline(column: int, bottom: float, breaks: list[tuple[float, float]]) -> Iterator[str]:
    x, y = _x(column), 76.0
    for begin, end in [*breaks, (bottom + 10, bottom + 10)]:
        yield f'<path d="M{x} {y:g}V{begin:g}" stroke="{_LINE}"/>'
        if end > begin:
            yield f'<path d="M{x} {begin:g}V{end:g}" stroke="{_LINE}" stroke-dasharray="3 4"/>'
        y = end


def _box(x: float, y: float, width: float, height: float, *, radius: float, fill: str) -> str:  # noqa: PLR0913
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}"/>'


def _text(  # noqa: PLR0913 - an SVG text element has that many attributes
    x: float,
    y: float,
    text: str,
    colour: str,
    *,
    size: float,
    anchor: str = "start",
    weight: str = "400",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _x(column: int) -> int:
    return _GUTTER + 86 + column * _SPAN
