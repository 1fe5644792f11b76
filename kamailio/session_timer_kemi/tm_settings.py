"""A setting of tm that decides whether we see each 2xx, and that no function of Kamailio tells.

Releases from 6.1.4 on have it, and a distribution may bring it to an earlier one: a name of a release is no
proof. A value can be read where a module exports it, as Kamailio's do.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from . import ksr

_LOADED = Path("/proc/self/maps")


def warn_of_lost_responses() -> None:
    """Call it once Kamailio runs: warn if tm matches no response after the final one."""
    if exported("tm.so", "_tm_reply_matching"):
        ksr.warn(
            "session timer: this tm takes no response for a transaction that has had its final one, so the "
            "second 2xx of a fork and a 2xx that is sent again pass without a timer; add "
            'modparam("tm", "reply_matching", 0) to kamailio.cfg, below the include of session-timer.cfg'
        )


def exported(library: str, name: str) -> int | None:
    """The integer that a library exports, which this process has loaded under this file name.

    None where there is no such library or no such name, and on a system that does not say.
    """
    try:
        paths = {line.split(maxsplit=5)[-1] for line in _LOADED.read_text(encoding="utf-8").splitlines()}
        (path,) = (each for each in paths if Path(each).name == library)
        loaded = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        return ctypes.c_int.in_dll(loaded, name).value
    except (OSError, ValueError):
        return None
