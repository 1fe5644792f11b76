"""Writes what bash, zsh and fish need to complete ``session-timer``, one file each, as click makes it.

    python3 docker/packaging/completions.py FOLDER

The files ask the installed command for the words that fit, so they know its
options without being written anew.
"""

from __future__ import annotations

import sys
from inspect import cleandoc
from pathlib import Path

from click.shell_completion import get_completion_class
from session_timer_companion.cli import main

NAME = "session-timer"
VARIABLE = "_SESSION_TIMER_COMPLETE"
"""By this variable click's command knows that a shell asks."""
SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The text that ``shell`` reads at its start. Raises LookupError for a shell that click does not know."""
    kind = get_completion_class(shell)
    if kind is None:
        raise LookupError(f"click makes no completion for {shell}")
    return kind(main, {}, NAME, VARIABLE).source()


def write(folder: Path) -> None:
    """Write ``bash``, ``zsh`` and ``fish`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for shell in SHELLS:
        (folder / shell).write_text(completion(shell), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(cleandoc(__doc__))
    write(Path(sys.argv[1]))
