"""The configuration that edge and companion share, and which host and which peer it names.

`validation.validate` makes one of the data that a YAML or JSON reader delivers.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..internal_header import DEFAULT_NAME
from .policy import Policy

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: `path` like ``peers[2].session_timer.min_se``."""

    path: str
    reason: str


class ConfigError(ValueError):
    """A configuration that cannot be used: every problem at once, in `problems`."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"{source}: {problem.path}: {problem.reason}" for problem in problems))
        self.source = source
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Peer:
    """A profile: the peers it is for, and the settings that hold for them."""

    name: str
    policy: Policy
    networks: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __hash__(self) -> int:
        # Hashing every field would cost more than most of what is looked up by a peer.
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """The edge's own settings; times in seconds."""

    name: str = "edge"
    """What the internal header calls this edge; its address is in the companion's configuration."""
    door: str = ""
    """Where the companion reaches the edge, ``http://<host>:<port>`` or ``https://…``; empty: nowhere."""
    key_file: str = ""
    """The file with the key that edge and companion share; relative to the configuration's folder."""
    key_credential: str = ""
    """The name of a systemd credential with that key, for the companion."""
    header: str = DEFAULT_NAME
    learned_min_se: int = 3600
    """How long the Min-SE of a destination's 422 is remembered."""
    bye_on_expiry: bool = False
    """End an expired session with BYE to both sides through the dialog module; RFC 4028 8.3 forbids it."""

    def __hash__(self) -> int:
        return hash(self.header)


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration."""

    policy: Policy = field(default_factory=Policy)
    """What holds for peers without a profile."""
    asterisk: frozenset[str] = frozenset()
    """The hosts this edge speaks for, as addresses or names."""
    asterisk_networks: tuple[Network, ...] = ()
    """Every host of these networks is one of them too."""
    peers: tuple[Peer, ...] = ()
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    companion: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    """What is accepted for one release more, and what to write instead."""

    @property
    def anchors(self) -> bool:
        """Whether this edge speaks for an Asterisk at all, and so needs the shared key."""
        return bool(self.asterisk or self.asterisk_networks)

    @property
    def asterisk_names(self) -> frozenset[str]:
        """Those of `asterisk` that are names: the program that loads the configuration resolves them."""
        return frozenset(host for host in self.asterisk if address_of(host) is None)

    @property
    def largest_min_se(self) -> int:
        """Seconds: a session interval that no profile calls too small."""
        return max(self.policy.min_se, *(peer.policy.min_se for peer in self.peers), self.policy.floor)

    def with_addresses(self, addresses: Mapping[str, tuple[str, ...]]) -> Config:
        """The same configuration, which also has the addresses of each Asterisk that it names."""
        found = frozenset(host_of(address) for each in addresses.values() for address in each)
        return replace(self, asterisk=self.asterisk | found)

    def is_asterisk(self, host: str) -> bool:
        """Whether this edge speaks for `host`, an address or a name."""
        if host_of(host) in self.asterisk:
            return True
        ip = address_of(host) if self.asterisk_networks else None
        return ip is not None and any(ip in network for network in self.asterisk_networks)

    def peer(self, name: str = "", address: str = "", domain: str = "") -> Peer:
        """The first profile that matches, by name, then by address or domain; else the general settings."""
        if name:
            for peer in self.peers:
                if name == peer.name or name in peer.names:
                    return peer
        ip = address_of(address) if address else None
        domain = host_of(domain) if domain else ""
        for peer in self.peers:
            if domain and domain in peer.domains:
                return peer
            if ip is not None and any(ip in network for network in peer.networks):
                return peer
        return Peer("", self.policy)

    def digest(self) -> str:
        """Names the settings that edge and companion must agree on: the policies and the profiles.

        Two copies of the file with another digest decide differently of the same call.
        """
        shared = {
            "policy": asdict(self.policy),
            "peers": [asdict(peer) for peer in self.peers],
            "header": self.edge.header,
        }
        text = json.dumps(shared, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `text` is; None for a name."""
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def host_of(text: str) -> str:
    """One form for the many ways to write an address or a name."""
    ip = address_of(text)
    return text.lower() if ip is None else str(ip)
