"""Who a message comes from and goes to: our Asterisk, or a peer with a profile."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from session_timer import Config, Peer

_LONGEST_NAME = 253
"""Characters of a host or a domain (RFC 1035 2.3.4); no profile names a longer one."""


class End(NamedTuple):
    """One end of a hop."""

    is_asterisk: bool
    peer: Peer
    host: str
    """Its address or name."""


class Directory:
    """Answers who is at an address, remembering what it has answered before."""

    # An attacker chooses addresses and domains; what is remembered of them is bounded.
    _MOST_REMEMBERED = 4096

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str, str, str], End] = {}
        general = config.peer()
        self._named = {general.name: general, **{peer.name: peer for peer in config.peers}}
        self._kept = {
            name: replace(peer, policy=replace(peer.policy, enabled=True))
            for name, peer in self._named.items()
        }

    def find(self, name: str, host: str, domain: str) -> End:
        """Who is at `host`: `name` is what the script called the peer, `domain` is of the peer's URI."""
        asked = (name, host, domain)
        end = self._known.get(asked)
        if end is None:
            host, domain = host[:_LONGEST_NAME], domain[:_LONGEST_NAME]
            asked = (name, host, domain)
            if len(self._known) >= self._MOST_REMEMBERED:
                self._known.clear()
            peer = self._config.peer(name=name, address=host, domain=domain)
            end = End(self._config.is_asterisk(host), self._named[peer.name], host)
            self._known[asked] = end
        return end

    def named(self, name: str, *, timer: bool = True) -> Peer:
        """The profile of that name, as records and transactions keep it; the general one if it is gone.

        A `timer` that is agreed stays, though the profile is switched off since: a refresh that goes
        unrecorded is one that never came.
        """
        profiles = self._kept if timer else self._named
        return profiles.get(name) or profiles[""]
