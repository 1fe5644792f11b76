"""What the sections of `companion:` have in common: how they are read, what overrides them, types and errors.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails
from session_timer import ConfigError, Problem
from session_timer.config.file import parse

ENVIRONMENT_PREFIX = "SESSION_TIMER_COMPANION__"
"""`SESSION_TIMER_COMPANION__AMI__0__HOST=…` stands for `companion.ami[0].host`; values are read as YAML."""


class Section(BaseModel):
    """Keys with types; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


AS_IF_ABSENT = BeforeValidator(lambda section: {} if section is None else section)
"""A section without any key counts as one that is not there."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


def _host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError:
        raise ValueError("is no name of a host: between the dots there are 1 to 63 characters") from None
    return text


Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_printable), AfterValidator(_host)]
FilePath = Annotated[str, AfterValidator(_printable)]


def read_file(path: Path) -> object:
    """What the YAML file has in it. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), (Problem("(file)", f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (Problem("(file)", f"is not UTF-8 at byte {error.start}"),)) from None
    data = parse(text, str(path))
    return {} if data is None else data


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


def place_of(location: tuple[int | str, ...]) -> str:
    path = "companion"
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def reason_of(item: ErrorDetails) -> str:
    """Pydantic's finding in our words; the value itself is left out, it may be a secret."""
    kind, context = item["type"], item.get("ctx", {})
    match kind:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return "unknown key"
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "too_short" | "too_long":
            return f"expected at least {context.get('min_length', 1)} entry"
        case "literal_error":
            return f"expected {context['expected']}"
        case "model_type" | "dataclass_type":
            return "expected keys and values"
        case "string_type":
            return "expected text: put it between quotes"
        case "string_pattern_mismatch":
            return "only letters, digits, '.', '_' and '-' can be used"
    message = str(item["msg"])
    return re.sub(r"^Input should be (a |an )?", "expected ", message)
