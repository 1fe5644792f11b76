"""The diagram of a session's states, drawn from the table that the library runs on.

python -m tests.conformance.diagram    write docs/session-states.md
"""

from __future__ import annotations

import re
from pathlib import Path

from session_timer.session.transitions import TRANSITIONS, Event, State

PAGE = Path(__file__).parents[2] / "docs" / "session-states.md"

_HEAD = """\
# A session's states

`make conformance` draws this page from `TRANSITIONS` in `pylib/session_timer/session/transitions.py`; do not
edit it. There is no other way to move: an event that a state does not name is an error. What the states and
events mean stands beside them in the code.

"""


def as_text() -> str:
    """The page: moves that every living state has in common are drawn once, from the box around them."""
    living = [state for state in State if state is not State.OVER]
    common = {
        event: targets.pop()
        for event in Event
        if len(targets := {TRANSITIONS.get((state, event)) for state in living}) == 1 and None not in targets
    }
    lines = ["stateDiagram-v2", "    state living {"]
    lines += [
        f"        {state.value} --> {target.value}: {event.value}"
        for (state, event), target in TRANSITIONS.items()
        if event not in common and target is not State.OVER
    ]
    lines.append("    }")
    lines += [
        f"    living --> {target}: {event.value}" for event, target in common.items() if target is not None
    ]
    lines += [
        f"    {state.value} --> {target.value}: {event.value}"
        for (state, event), target in TRANSITIONS.items()
        if target is State.OVER
    ]
    lines.append(f"    {State.OVER.value} --> [*]")
    drawing = "\n".join(re.sub(r": (2xx|response|outlived|kept): ", r": \1, ", line) for line in lines)
    return f"{_HEAD}```mermaid\n{drawing}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(as_text())
