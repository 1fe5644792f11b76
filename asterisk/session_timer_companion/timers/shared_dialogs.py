"""What calls have agreed on, each agreement kept once: thousands of calls have few."""

from __future__ import annotations

from session_timer import DialogTimer

MOST_DIALOGS = 10_000
"""Different agreements that are kept to be shared among calls."""


class SharedDialogs:
    """One object for all calls that agreed on the same."""

    def __init__(self) -> None:
        self._known: dict[DialogTimer, DialogTimer] = {}

    def one(self, dialog: DialogTimer) -> DialogTimer:
        """The object that stands for this agreement."""
        if len(self._known) > MOST_DIALOGS:
            self._known.clear()
        return self._known.setdefault(dialog, dialog)
