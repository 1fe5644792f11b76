"""The drawn states are those that the library has."""

from __future__ import annotations

from session_timer.session.transitions import TRANSITIONS, State

from tests.conformance import diagram


def test_the_page_in_the_docs_is_up_to_date() -> None:
    assert diagram.PAGE.read_text() == diagram.as_text(), "make conformance draws it anew"


def test_the_drawing_has_every_state_and_every_move() -> None:
    arrows = [line for line in diagram.as_text().splitlines() if " --> " in line]
    assert all(
        any(f"{state.value} --> " in arrow or f" --> {state.value}:" in arrow for arrow in arrows)
        for state in State
    )
    living = len(State) - 1
    drawn_once = sum(arrow.strip().startswith("living ") for arrow in arrows)
    # The last arrow is the end of the drawing, which is no move of a session.
    assert len(arrows) - 1 + drawn_once * (living - 1) == len(TRANSITIONS)
