"""The settings file, read before Kamailio forks, and the key that edge and companion share."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from session_timer import Config, ConfigError, Problem, SharedKey, validate
from session_timer.config.file import parse, unreadable


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
        raise unreadable(path, error) from error
    config = validate(parse(text, path), path)
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
        unusable = Problem("edge.key_file", f"{file} cannot be used: {_reason(error)}")
        raise ConfigError(path, (unusable,)) from error


def _resolved(config: Config, path: str) -> Config:
    """With the addresses of every Asterisk that is given by name."""
    addresses: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for name in sorted(config.asterisk_names):
        try:
            found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_UDP)
        except (OSError, UnicodeError) as error:
            problems.append(Problem("asterisk", f"{name!r} cannot be resolved: {_reason(error)}"))
        else:
            addresses[name] = tuple(sorted({str(each[4][0]) for each in found}))
    if problems:
        raise ConfigError(path, tuple(problems))
    return config.with_addresses(addresses)


def _reason(error: Exception) -> str:
    """What the system says, without Python's number and the path once more."""
    return getattr(error, "strerror", None) or str(error)
