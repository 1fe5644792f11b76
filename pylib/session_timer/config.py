"""The configuration that edge and companion share, validated all at once.

It takes the data that a YAML, JSON or TOML reader delivers, because inside Kamailio's Python there may
be no other library. The companion's own section is passed through for the companion to validate.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .headers import ABSOLUTE_MINIMUM, LARGEST_INTERVAL, Role
from .internal_header import DEFAULT_NAME
from .policy import ExpiryAction, Mode, Policy

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
    """A profile: who it is for, and what holds for them."""

    name: str
    policy: Policy
    networks: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __hash__(self) -> int:
        # Hashing every field would cost more than most of what is looked up by a peer.
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Edge:
    """The edge's own settings; times in seconds."""

    rpc: str = ""
    """Where the companion reaches the edge's JSON-RPC, ``udp:<address>:<port>`` or ``unix:<path>``."""
    header: str = DEFAULT_NAME
    learned_min_se: int = 3600
    """How long a Min-SE that a destination told us in a 422 is remembered."""
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
    peers: tuple[Peer, ...] = ()
    edge: Edge = field(default_factory=Edge)
    companion: Mapping[str, Any] = field(default_factory=dict)

    def is_asterisk(self, host: str) -> bool:
        """Whether this edge speaks for `host`, an address or a name."""
        return _host(host) in self.asterisk

    def peer(self, name: str = "", address: str = "", domain: str = "") -> Peer:
        """The first profile that matches, by name, then by address or domain; else the general settings."""
        if name:
            for peer in self.peers:
                if name == peer.name or name in peer.names:
                    return peer
        ip = _address(address) if address else None
        for peer in self.peers:
            if domain and domain.lower() in peer.domains:
                return peer
            if ip is not None and any(ip in network for network in peer.networks):
                return peer
        return Peer("", self.policy)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _host(text: str) -> str:
    """An address or a name in the one form of the many in which it may be written."""
    ip = _address(text)
    return text.lower() if ip is None else str(ip)


_Choice = TypeVar("_Choice", Role, Mode, ExpiryAction)


class _Reader:
    """Collects problems while reading, so that an operator sees them all at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def bad(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path or "(top level)", reason))

    def section(
        self, data: object, path: str, known: frozenset[str] | Mapping[str, object]
    ) -> Mapping[str, Any]:
        """`data` as a mapping of known keys; anything else is a problem."""
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            self.bad(path, f"expected keys and values, got {_kind(data)}")
            return {}
        for name in data:
            if name not in known:
                where = f"{path}.{name}" if path else str(name)
                self.bad(where, f"unknown key; known here: {', '.join(sorted(known))}")
        return {name: value for name, value in data.items() if name in known}

    def boolean(self, value: object, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        self.bad(path, f"expected true or false, got {_kind(value)}")
        return None

    def integer(self, value: object, path: str, least: int, most: int = LARGEST_INTERVAL) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            self.bad(path, f"expected a whole number of seconds, got {_kind(value)}")
        elif not least <= value <= most:
            self.bad(path, f"expected {least} to {most} seconds, got {_kind(value)}")
        else:
            return value
        return None

    def text(self, value: object, path: str) -> str | None:
        if isinstance(value, str) and value and value.isprintable():
            return value
        self.bad(path, f"expected text, got {_kind(value)}")
        return None

    def texts(self, value: object, path: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.bad(path, f"expected a list, got {_kind(value)}")
            return ()
        read = (self.text(item, f"{path}[{index}]") for index, item in enumerate(value))
        return tuple(item for item in read if item is not None)

    def choice(self, value: object, path: str, choices: type[_Choice]) -> _Choice | None:
        try:
            return choices(str(value))
        except ValueError:
            self.bad(path, f"expected {' or '.join(choices)}, got {_kind(value)}")
            return None


def _kind(value: object) -> str:
    names: dict[type, str] = {type(None): "nothing", dict: "keys and values", list: "a list"}
    try:
        return names.get(type(value)) or repr(value)
    except ValueError:
        return "a number too long to print"


_UNSAFE = "unsafe_lab_intervals"
_TOP = frozenset({"session_timer", "asterisk", "peers", "edge", "companion", _UNSAFE})
_MATCH = frozenset({"address", "domain", "name"})
_PEER = frozenset({"name", "match", "session_timer"})
_RPC = re.compile(r"udp:(?:[^:\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})|unix:/\S+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")

Read = Callable[[_Reader, object, str, int], object]


def _flag(reader: _Reader, value: object, path: str, _floor: int) -> object:
    return reader.boolean(value, path)


def _interval(reader: _Reader, value: object, path: str, floor: int) -> object:
    return reader.integer(value, path, floor)


_POLICY_KEYS: dict[str, Read] = {
    "enabled": _flag,
    "default_expires": _interval,
    "min_se": _interval,
    "max_expires": _interval,
    "prefer_refresher": lambda reader, value, path, _: reader.choice(value, path, Role),
    "offer_refresher": _flag,
    "use_update": _flag,
    "request_timer": _flag,
    "require_timer": _flag,
    "proxy_require_timer": _flag,
    "one_sided": _flag,
    "raise_small_interval": _flag,
    "mode": lambda reader, value, path, _: reader.choice(value, path, Mode),
    "expiry": lambda reader, value, path, _: reader.choice(value, path, ExpiryAction),
    "expiry_guard": lambda reader, value, path, _: reader.integer(value, path, 1),
    "probe": _flag,
    "hang_up_refused": _flag,
}


def is_rpc_address(text: str) -> bool:
    """Whether an edge's JSON-RPC may be there: ``udp:<address>:<port>`` or ``unix:<path>``."""
    match = _RPC.fullmatch(text)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) < 65536)


def _rpc(reader: _Reader, value: object, path: str, _floor: int) -> object:
    text = reader.text(value, path)
    if text is not None and not is_rpc_address(text):
        reader.bad(path, f"expected udp:<address>:<port> or unix:<path>, got {text!r}")
    return text


def _header(reader: _Reader, value: object, path: str, _floor: int) -> object:
    text = reader.text(value, path)
    if text is not None and _HEADER_NAME.fullmatch(text) is None:
        reader.bad(path, f"{text!r} is no header name")
    return text


_EDGE_KEYS: dict[str, Read] = {
    "rpc": _rpc,
    "header": _header,
    "learned_min_se": lambda reader, value, path, _: reader.integer(value, path, 1),
    "bye_on_expiry": _flag,
}


def validate(data: object, source: str) -> Config:
    """Read a configuration; `source` names it in errors. Raises `ConfigError` with every problem found."""
    reader = _Reader()
    top = reader.section(data, "", _TOP)
    unsafe = reader.boolean(top[_UNSAFE], _UNSAFE) if _UNSAFE in top else False
    floor = 1 if unsafe else ABSOLUTE_MINIMUM
    policy = _policy(reader, top.get("session_timer"), "session_timer", Policy(floor=floor), floor)
    companion = top.get("companion")
    config = Config(
        policy=policy,
        asterisk=frozenset(map(_host, reader.texts(top.get("asterisk", []), "asterisk"))),
        peers=_peers(reader, top.get("peers", []), policy, floor),
        edge=Edge(**_read(reader, top.get("edge"), "edge", _EDGE_KEYS, floor)),
        # The companion alone knows its keys.
        companion=reader.section(companion, "companion", companion or {}),
    )
    if reader.problems:
        raise ConfigError(source, tuple(reader.problems))
    return config


def _read(reader: _Reader, data: object, path: str, keys: Mapping[str, Read], floor: int) -> dict[str, Any]:
    """What is given and good."""
    given = reader.section(data, path, keys)
    read = {name: keys[name](reader, value, f"{path}.{name}", floor) for name, value in given.items()}
    return {name: value for name, value in read.items() if value is not None}


def _policy(reader: _Reader, data: object, path: str, base: Policy, floor: int) -> Policy:
    policy = replace(base, **_read(reader, data, path, _POLICY_KEYS, floor))
    if policy.default_expires < policy.min_se:
        reader.bad(
            f"{path}.default_expires",
            f"{policy.default_expires} is below min_se {policy.min_se}: raise it, or lower min_se",
        )
    if policy.max_expires is not None and policy.max_expires < policy.default_expires:
        reader.bad(
            f"{path}.max_expires",
            f"{policy.max_expires} is below default_expires {policy.default_expires}: raise it or lower that",
        )
    return policy


def _peers(reader: _Reader, data: object, base: Policy, floor: int) -> tuple[Peer, ...]:
    if not isinstance(data, list):
        reader.bad("peers", f"expected a list of profiles, got {_kind(data)}")
        return ()
    peers: list[Peer] = []
    for index, item in enumerate(data):
        path = f"peers[{index}]"
        given = reader.section(item, path, _PEER)
        if "name" not in given:
            reader.bad(f"{path}.name", "a profile needs a name: it shows in logs, records and metrics")
        name = reader.text(given["name"], f"{path}.name") if "name" in given else None
        if name is not None and name in [peer.name for peer in peers]:
            reader.bad(f"{path}.name", f"{name!r} is taken by an earlier profile")
        match = reader.section(given.get("match"), f"{path}.match", _MATCH)
        networks = [
            _network(reader, text, f"{path}.match.address[{at}]")
            for at, text in enumerate(reader.texts(match.get("address", []), f"{path}.match.address"))
        ]
        peers.append(
            Peer(
                name=name or "",
                policy=_policy(reader, given.get("session_timer"), f"{path}.session_timer", base, floor),
                networks=tuple(network for network in networks if network is not None),
                domains=tuple(
                    text.lower() for text in reader.texts(match.get("domain", []), f"{path}.match.domain")
                ),
                names=reader.texts(match.get("name", []), f"{path}.match.name"),
            )
        )
    return tuple(peers)


def _network(reader: _Reader, text: str, path: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        reader.bad(path, f"expected an address or a network such as 192.0.2.0/24: {error}")
        return None
