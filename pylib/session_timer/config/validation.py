"""Validates the configuration that edge and companion share, and finds every problem at once.

It takes the data that `file.parse` delivers. No interval is below 90 seconds (RFC 4028 sections 4 and 5). The
companion validates its own section.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..headers import ABSOLUTE_MINIMUM, Role
from .model import Config, ConfigError, EdgeSettings, Network, Peer, address_of, host_of
from .policy import ExpiryAction, Mode, Policy
from .reader import Reader, kind_of

_UNSAFE = "unsafe_lab_intervals"
_TOP = frozenset({"session_timer", "asterisk", "peers", "edge", "companion", _UNSAFE})
_MATCH = frozenset({"address", "domain", "name"})
_PEER = frozenset({"name", "match", "session_timer"})
_DOOR = re.compile(r"https?://(?P<host>[^:/?#@\s\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?")
_RPC = re.compile(r"udp:(?P<host>[^:\s]+|\[[0-9A-Fa-f:.]+\]):[0-9]+")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,254}}$){_LABEL}(?:\.{_LABEL})*\.?")
_EDGE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Of a token's other characters some mean more in a regular expression, or to Asterisk's dialplan."""

Read = Callable[[Reader, object, str, int], object]


def _flag(reader: Reader, value: object, path: str, _floor: int) -> object:
    return reader.boolean(value, path)


def _interval(reader: Reader, value: object, path: str, floor: int) -> object:
    return reader.integer(value, path, floor)


def _mode(reader: Reader, value: object, path: str, _floor: int) -> object:
    if value == "watch":
        reader.warn(
            path, "write mode: endpoint_timers in place of mode: watch, which release 0.3 will not know"
        )
        return Mode.ENDPOINT_TIMERS
    return reader.choice(value, path, Mode)


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
    "mode": _mode,
    "expiry": lambda reader, value, path, _: reader.choice(value, path, ExpiryAction),
    "expiry_guard": lambda reader, value, path, _: reader.integer(value, path, 1),
    "probe": _flag,
    "hang_up_refused": _flag,
    "keep_after_bare_2xx": _flag,
    "media_is_evidence": _flag,
    "observe": _flag,
}


def is_door_address(text: str) -> bool:
    """Whether an edge's door may be there: ``http://<host>:<port>`` or ``https://<host>:<port>``."""
    match = _DOOR.fullmatch(text)
    if match is None or not (match["port"] is None or 0 < int(match["port"]) < 65536):
        return False
    ip = address_of(match["host"])
    return not ip.is_unspecified if ip is not None else _HOST_NAME.fullmatch(match["host"]) is not None


def _door(reader: Reader, value: object, path: str, _floor: int) -> object:
    text = reader.text(value, path)
    if text is not None and not is_door_address(text):
        reader.bad(
            path,
            "expected http://<host>:<port>, the address at which the companion reaches this Kamailio by TCP, "
            f"got {text!r}",
        )
    return text


def _rpc(reader: Reader, value: object, path: str, _floor: int) -> object:
    match = _RPC.fullmatch(value) if isinstance(value, str) else None
    host = match["host"] if match is not None else "<address of this Kamailio>"
    reader.bad(
        path,
        f'is of release 0.1. Write door: "http://{host}:5060" (a TCP address of Kamailio) and key_file: in '
        "its place; docs/how-to/upgrade.md has the lines",
    )
    return None


def _edge_name(reader: Reader, value: object, path: str, _floor: int) -> object:
    text = reader.text(value, path)
    if text is not None and _EDGE_NAME.fullmatch(text) is None:
        reader.bad(path, f"only letters, digits, '.', '_' and '-' can be used, 64 at most, got {text!r}")
    return text


def _plain_text(reader: Reader, value: object, path: str, _floor: int) -> object:
    return reader.text(value, path)


def _header(reader: Reader, value: object, path: str, _floor: int) -> object:
    text = reader.text(value, path)
    if text is not None and _HEADER_NAME.fullmatch(text) is None:
        reader.bad(path, f"only letters, digits, '.', '_' and '-' can be used, got {text!r}")
    return text


_EDGE_KEYS: dict[str, Read] = {
    "name": _edge_name,
    "door": _door,
    "key_file": _plain_text,
    "key_credential": _plain_text,
    "rpc": _rpc,
    "header": _header,
    "learned_min_se": lambda reader, value, path, _: reader.integer(value, path, 1),
    "bye_on_expiry": _flag,
}


def validate(data: object, source: str) -> Config:
    """Read a configuration; `source` names it in errors. Raises `ConfigError` with every problem found."""
    reader = Reader()
    top = reader.section(data, "", _TOP)
    unsafe = reader.boolean(top[_UNSAFE], _UNSAFE) if _UNSAFE in top else False
    floor = 1 if unsafe else ABSOLUTE_MINIMUM
    policy = _policy(reader, top.get("session_timer"), "session_timer", Policy(floor=floor), floor)
    companion = top.get("companion")
    hosts, networks = _asterisk(reader, top.get("asterisk", []))
    config = Config(
        policy=policy,
        asterisk=hosts,
        asterisk_networks=networks,
        peers=_peers(reader, top.get("peers", []), policy, floor),
        edge=EdgeSettings(**_read(reader, top.get("edge"), "edge", _EDGE_KEYS, floor)),
        # The companion alone knows its keys.
        companion=reader.section(companion, "companion", companion or {}),
    )
    if reader.problems:
        raise ConfigError(source, tuple(reader.problems))
    return replace(config, warnings=tuple(reader.warnings))


def _asterisk(reader: Reader, value: object) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Addresses, names and networks; what can match nothing is a problem."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for path, text in reader.texts(value, "asterisk").items():
        ip = address_of(text)
        if ip is not None and ip.is_unspecified:
            reader.bad(path, f"{text!r} is the address of no host: name the one that Asterisk sends from")
        elif ip is not None or _HOST_NAME.fullmatch(text) is not None:
            hosts.add(host_of(text))
        elif "/" in text and (network := _network(reader, text, path)) is not None:
            networks.append(network)
        elif "/" not in text:
            reader.bad(path, f"expected an address, a network or the name of a host, got {text!r}")
    return frozenset(hosts), tuple(networks)


def _read(reader: Reader, data: object, path: str, keys: Mapping[str, Read], floor: int) -> dict[str, Any]:
    """What is given and good."""
    given = reader.section(data, path, keys)
    read = {name: keys[name](reader, value, f"{path}.{name}", floor) for name, value in given.items()}
    return {name: value for name, value in read.items() if value is not None}


def _policy(reader: Reader, data: object, path: str, base: Policy, floor: int) -> Policy:
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


def _peers(reader: Reader, data: object, base: Policy, floor: int) -> tuple[Peer, ...]:
    if not isinstance(data, list):
        reader.bad("peers", f"expected a list of profiles, got {kind_of(data)}")
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
            _network(reader, text, place)
            for place, text in reader.texts(match.get("address", []), f"{path}.match.address").items()
        ]
        peers.append(
            Peer(
                name=name or "",
                policy=_policy(reader, given.get("session_timer"), f"{path}.session_timer", base, floor),
                networks=tuple(network for network in networks if network is not None),
                domains=_domains(reader, match.get("domain", []), f"{path}.match.domain"),
                names=tuple(reader.texts(match.get("name", []), f"{path}.match.name").values()),
            )
        )
    return tuple(peers)


def _domains(reader: Reader, value: object, path: str) -> tuple[str, ...]:
    """The hosts of URIs; what can match nothing is a problem."""
    domains: list[str] = []
    for place, text in reader.texts(value, path).items():
        if address_of(text) is None and _HOST_NAME.fullmatch(text) is None:
            reader.bad(place, f"expected the host of a URI, such as trunk.example.com, got {text!r}")
        domains.append(host_of(text))
    return tuple(domains)


def _network(reader: Reader, text: str, path: str) -> Network | None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        reader.bad(path, f"expected an address or a network such as 192.0.2.0/24: {error}")
        return None
    if network.num_addresses == 1 and network.network_address.is_unspecified:
        reader.bad(path, f"{text!r} is the address of no host")
    return network
