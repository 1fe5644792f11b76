"""What `session-timer doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PJSIP = "/etc/asterisk/pjsip.conf"
KAMAILIO = "/etc/kamailio/kamailio.cfg"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """It works; somebody should know."""
    PROBLEM = "problem"
    """Something would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    """Which part: the configuration, an Asterisk, an edge, the companion."""
    what: str
    why: str = ""
    """What follows from it."""
    change: str = ""
    """The line to write, or what to do."""
    file: str = ""
    """Where that line belongs."""
