"""What the environment sets over the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from session_timer import ConfigError, Problem
from session_timer.config.file import parse

ENVIRONMENT_PREFIX = "SESSION_TIMER_COMPANION__"
"""`SESSION_TIMER_COMPANION__AMI__0__HOST=…` stands for `companion.ami[0].host`; values are read as YAML."""


def overlay(data: dict[str, Any], environment: Mapping[str, str], problems: list[Problem]) -> None:
    """Call with the file's data before it is validated: sets in place what the environment overrides."""
    for variable in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        steps = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not isinstance(data.get("companion"), dict):
            data["companion"] = {}
        try:
            value = parse(environment[variable], variable)
        except ConfigError:
            value = environment[variable]
        if not _set(data["companion"], steps, value):
            problems.append(Problem(f"${variable}", "names no place in the companion section"))


def _set(inside: object, steps: list[str], value: object) -> bool:
    first, *rest = steps
    if isinstance(inside, list) and first.isdecimal() and int(first) < len(inside):
        if rest:
            return _set(inside[int(first)], rest, value)
        inside[int(first)] = value
        return True
    if isinstance(inside, dict) and first:
        if rest:
            if inside.get(first) is None:
                inside[first] = {}
            return _set(inside[first], rest, value)
        inside[first] = value
        return True
    return False
