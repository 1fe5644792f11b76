"""A ladder as Mermaid's sequenceDiagram, which code hosts draw in a README."""

from __future__ import annotations

from session_timer_companion.explain.drawing.ladder import Arrow, Ladder, Note, Section


def mermaid(ladder: Ladder) -> str:
    """The diagram's text, ending in a line break."""
    lines = ["sequenceDiagram"]
    lines += [f"    participant {_name(index)} as {_text(name)}" for index, name in enumerate(ladder.columns)]
    across = f"{_name(0)},{_name(len(ladder.columns) - 1)}" if len(ladder.columns) > 1 else _name(0)
    for row in ladder.rows:
        match row:
            case Arrow():
                head = "--" if row.label[:1].isdigit() else "-"
                words = "<br/>".join(_text(each) for each in (row.full_name, *row.details))
                lines.append(f"    {_name(row.source)}{head}>>{_name(row.target)}: {words}")
            case Note() | Section():
                lines.append(f"    Note over {across}: {_text(row.text)}")
    return "\n".join(lines) + "\n"


def _name(column: int) -> str:
    return f"p{column}"


def _text(text: str) -> str:
    # Mermaid ends a statement at ; and begins an entity at #.
    return text.translate({ord("#"): "#35;", ord(";"): "#59;"})
