"""Makes the key that edge and companion share.

    python3 -m session_timer_kemi.make_key FILE

Exit status 0: the file is there, readable by its owner and group. 1: it could not be made, or was there
already. 2: no file was named.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence

_RANDOM_BYTES = 32


def main(arguments: Sequence[str]) -> int:
    """Make the one file that `arguments` names; the exit status."""
    if len(arguments) != 1:
        print("usage: python3 -m session_timer_kemi.make_key FILE", file=sys.stderr)
        return 2
    path = arguments[0]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    except FileExistsError:
        print(f"{path}: is there already; a new key would shut the companion out", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{path}: cannot be made: {error.strerror}", file=sys.stderr)
        return 1
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
    print(
        f"{path}: made. Let Kamailio's group read it (chgrp kamailio {path}), "
        "copy it to the companion's host, and name it in both settings as edge.key_file"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
