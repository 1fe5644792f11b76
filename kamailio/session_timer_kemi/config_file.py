"""The settings file, read before Kamailio forks, and the key that edge and companion share.

YAML, or JSON where PyYAML is not installed.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from session_timer import Config, ConfigError, Problem, SharedKey, validate


@dataclass(frozen=True, slots=True)
class Settings:
    """What an edge runs by."""

    config: Config
    key: SharedKey | None
    """None where the edge speaks for no Asterisk and the file names no key."""


def read(path: str) -> Settings:
    """Read and validate a file. Raises `ConfigError` with every problem, the file's name in front."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, (Problem("(file)", f"cannot be read: {error}"),)) from error
    config = validate(_parse(path, text), path)
    return Settings(_resolved(config, path), _key(config, path))


def _key(config: Config, path: str) -> SharedKey | None:
    named = config.edge.key_file
    if not named:
        if not config.anchors:
            return None
        wanted = (
            "is missing: this edge speaks for an Asterisk, and signs what it tells it. Make a key with "
            "`python3 -m session_timer_kemi.make_key FILE`, name the file here, and give the companion a copy"
        )
        raise ConfigError(path, (Problem("edge.key_file", wanted),))
    file = Path(path).parent / named
    try:
        return SharedKey.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(path, (Problem("edge.key_file", f"{file} cannot be used: {error}"),)) from error


def _resolved(config: Config, path: str) -> Config:
    """With the addresses of every Asterisk that is given by name."""
    addresses: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for name in sorted(config.asterisk_names):
        try:
            found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_UDP)
        except (OSError, UnicodeError) as error:
            problems.append(Problem("asterisk", f"{name!r} cannot be resolved: {error}"))
        else:
            addresses[name] = tuple(sorted({str(each[4][0]) for each in found}))
    if problems:
        raise ConfigError(path, tuple(problems))
    return config.with_addresses(addresses)


def _parse(path: str, text: str) -> object:
    if path.endswith(".json"):
        try:
            return json.loads(text, object_pairs_hook=_no_key_twice)
        except (ValueError, RecursionError) as error:
            raise ConfigError(path, (Problem("(file)", f"is no JSON: {error}"),)) from error
    try:
        import yaml  # noqa: PLC0415 - only where the file is YAML does a bare host need it
    except ModuleNotFoundError as error:
        wanted = "needs PyYAML: apt-get install python3-yaml, or write the same as .json"
        raise ConfigError(path, (Problem("(file)", wanted),)) from error
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        _refuse_key_twice(tree)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            path, (Problem("(file)", f"is no YAML: {' '.join(str(error).split())}"),)
        ) from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice")
    return found


def _refuse_key_twice(node: Any) -> None:  # noqa: ANN401 - yaml has no types
    """YAML lets the last of two equal keys win in silence; the one that was meant may be the first."""
    if node is None or isinstance(node.value, str):
        return
    names: set[str] = set()
    for item in node.value:
        name, value = item if isinstance(item, tuple) else (None, item)
        if name is not None:
            if isinstance(name.value, str) and name.value in names:
                raise ValueError(f"the key {name.value!r} appears twice, line {name.start_mark.line + 1}")
            names.add(str(name.value))
        _refuse_key_twice(value)
