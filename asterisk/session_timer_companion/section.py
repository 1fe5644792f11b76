"""What the sections of `companion:` have in common: how they are read, what overrides them, types and errors.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from session_timer import ConfigError, Problem
from session_timer.config.file import parse, unreadable

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
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(path), error) from None
    data = parse(text, str(path))
    return {} if data is None else data


def overlay(data: dict[str, Any], environment: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    """Call with the file's data before it is validated: sets in place what the environment overrides.

    Returns the variable that has set a place, by that place: for `with_variables`.
    """
    variables: dict[str, str] = {}
    for variable in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        steps = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not isinstance(data.get("companion"), dict):
            data["companion"] = {}
        try:
            value = parse(environment[variable], variable)
        except ConfigError:
            value = environment[variable]
        if _set(data["companion"], steps, value):
            variables[place_of(tuple(int(step) if step.isdecimal() else step for step in steps))] = variable
        else:
            problems.append(Problem(f"${variable}", "names no place in the companion section"))
    return variables


def with_variables(problems: Iterable[Problem], variables: Mapping[str, str]) -> tuple[Problem, ...]:
    """The same problems; each names the variables that have set what is wrong, or a part of it."""
    told = []
    for problem in problems:
        set_by = [f"${name}" for place, name in variables.items() if _within(problem.path, place)]
        note = f" (set by {', '.join(set_by)})" if set_by else ""
        told.append(Problem(problem.path, problem.reason + note))
    return tuple(told)


def _within(one: str, other: str) -> bool:
    """Whether one of two places is the other or in it."""
    shorter, longer = sorted((one, other), key=len)
    rest = longer.removeprefix(shorter)
    return shorter != "companion" and longer.startswith(shorter) and rest[:1] in ("", ".", "[")


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


def problems_of(
    error: ValidationError, section: type, at: tuple[int | str, ...] = (), beside: Iterable[str] = ()
) -> list[Problem]:
    """What pydantic found in `section`, which stands `at` this place, in our words.

    `beside` are keys that it takes besides those that it declares. No value is shown: it may be a secret.
    """
    return [
        Problem(place_of((*at, *item["loc"])), _reason(item, section, beside))
        for item in error.errors(include_input=False)
    ]


_IN_OUR_WORDS = {
    "missing": "is missing",
    "value_error": "{error}",
    "too_short": "expected at least {min_length} entry",
    "literal_error": "expected {expected}",
    "model_type": "expected keys and values",
    "dataclass_type": "expected keys and values",
    "string_type": "expected text: put it between quotes",
    "string_pattern_mismatch": "only letters, digits, '.', '_' and '-' can be used",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number of seconds that ends",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than_equal": "expected at most {le:g}",
}
"""By pydantic's type of error, with what it says besides."""


def _reason(item: ErrorDetails, section: type, beside: Iterable[str]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        *steps, _ = item["loc"]
        known = {*_known(section, steps), *(() if steps else beside)}
        return f"unknown key; known here: {', '.join(sorted(known))}"
    if kind in _IN_OUR_WORDS:
        return _IN_OUR_WORDS[kind].format_map(context)
    return re.sub(r"^(Input|String) should (be (a |an )?|have )", "expected ", str(item["msg"]))


def _known(section: type, steps: Iterable[int | str]) -> Iterable[str]:
    """The keys of the section that these steps lead to; a number is a place in a list of sections."""
    for step in steps:
        if isinstance(step, str):
            kind = get_type_hints(section)[step]
            section = next(each for each in (kind, *get_args(kind)) if isinstance(each, type))
    if issubclass(section, BaseModel):
        return section.model_fields
    return get_type_hints(section)
