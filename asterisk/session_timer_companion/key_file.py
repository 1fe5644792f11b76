"""Makes the file with the key that edge and companion share."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

MODE = 0o640


def make(file: Path) -> None:
    """Write a new key into `file`, which must not be there yet. Raises `OSError`."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        os.fchmod(descriptor, MODE)
        out.write(secrets.token_urlsafe(48) + "\n")
