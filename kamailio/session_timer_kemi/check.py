"""Says whether a settings file can be used, without Kamailio and without starting anything.

    python3 -m session_timer_kemi.check FILE

Exit status 0: it can. 1: it cannot; one line for each problem on standard error. 2: no file was named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

try:
    from session_timer import ConfigError

    from .config_file import read
except ModuleNotFoundError as missing:
    if missing.name is None or not missing.name.startswith("session_timer"):
        raise
    sys.exit(
        "the Python package session_timer was not found: "
        "put pylib/session_timer beside session_timer_kemi or into PYTHONPATH"
    )


def main(arguments: Sequence[str]) -> int:
    """Check the one file that `arguments` names; the exit status."""
    if len(arguments) != 1:
        print("usage: python3 -m session_timer_kemi.check FILE", file=sys.stderr)
        return 2
    path = arguments[0]
    try:
        read(path)
    except ConfigError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(f"{path}: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
