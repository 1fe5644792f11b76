"""A ladder as lines of a terminal, one row at a time, so that it can be told while it happens."""

from __future__ import annotations

from rich.text import Text

from session_timer_companion.explain.drawing.ladder import Arrow, Ladder, Note, Row, Section, Tone

_COLOURS = {
    Tone.OPEN: "bold cyan",
    Tone.REFRESH: "bold blue",
    Tone.SUCCESS: "green",
    Tone.REFUSAL: "bold yellow",
    Tone.END: "bold magenta",
    Tone.OTHER: "dim",
}
_TIME = 9
_SPAN = 16
_QUIET = "dim"


class TerminalLadder:
    """Draws rows under a fixed set of columns; colours are dropped by whoever prints without a terminal."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def header(self) -> list[Text]:
        """The line of names."""
        line = Text(" " * _TIME)
        for name in self._columns:
            line.append(name.center(_SPAN + 1)[: _SPAN + 1], "bold")
        return [line]

    def row(self, row: Row) -> Text:
        """One row as one line."""
        match row:
            case Arrow():
                return self._arrow(row)
            case Note():
                return self._bare(f"{row.time:8.3f} ").append(f"  ⋯ {row.text}", "italic")
            case Section():
                return Text(f"{'':{_TIME}}─── {row.text} ───", "bold")

    def whole(self, ladder: Ladder) -> list[Text]:
        """A finished ladder."""
        return [*self.header(), *(self.row(row) for row in ladder.rows)]

    def _arrow(self, arrow: Arrow) -> Text:
        left, right = sorted((arrow.source, arrow.target))
        width = (right - left) * (_SPAN + 1) - 1
        shaft = f" {arrow.name[: width - 4]} ".center(width - 1, "─")
        drawn = f"{shaft}▶" if arrow.source < arrow.target else f"◀{shaft}"
        line = Text(f"{arrow.time:8.3f} ", _QUIET)
        line.append(self._lifelines(0, left))
        line.append(drawn, _COLOURS[arrow.tone])
        line.append(self._lifelines(right, len(self._columns) - 1).lstrip())
        # A refusal is worth its words; everybody knows the phrase of a 200.
        words = (arrow.phrase, *arrow.details) if arrow.tone is Tone.REFUSAL else arrow.details
        if words:
            line.append("  " + "  ".join(words), _COLOURS[arrow.tone].removeprefix("bold "))
        line.rstrip()
        return line

    def _lifelines(self, first: int, last: int) -> str:
        """The lifelines of the columns first..last, with the space that stands before the first."""
        margin = " " * (_SPAN // 2) if first == 0 else ""
        return margin + (" " * _SPAN).join("│" for _ in range(first, last + 1))

    def _bare(self, time: str) -> Text:
        return Text(time, _QUIET).append(self._lifelines(0, len(self._columns) - 1), _QUIET)
