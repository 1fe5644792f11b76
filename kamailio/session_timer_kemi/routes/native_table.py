"""What a native kamailio.cfg reads of this edge: it has no Python to ask.

session-timer-native.cfg calls Python only for messages that need it, and this table shows which those are.
"""

from __future__ import annotations

from session_timer import Config

from .. import ksr

OURS = "session_timer_ours"
"""The hash table of Asterisk's addresses, as far as calls have passed."""
_NAMED = "named"
"""The value of an address that the settings name: what comes from there is not searched for our header."""
_SEEN = "seen"
"""The value of one that a record has shown, and so a peer may have chosen."""
_MOST_NOTED = 256
"""Hosts that each process notes there. Within a dialog its peer chooses where a request goes."""
_ENOUGH = ":enough"
"""The key beside them: the seconds that are enough for every profile. No host begins like it."""


class NativeTable:
    """Writes the hash table `OURS`; each process of Kamailio has one of these."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._noted: set[str] = set()

    def publish_enough(self) -> None:
        """Let a native configuration know which interval no profile calls too small."""
        if _ENOUGH not in self._noted:
            self._noted.add(_ENOUGH)
            ksr.table_put(OURS, _ENOUGH, str(self._config.largest_min_se))

    def note_asterisk(self, host: str) -> None:
        """Let a native configuration know whose requests need Python."""
        if not host or host in self._noted:
            return
        if len(self._noted) >= _MOST_NOTED and host not in self._config.asterisk:
            return
        self._noted.add(host)
        ksr.table_put(OURS, host, _NAMED if self._config.is_asterisk(host) else _SEEN)
