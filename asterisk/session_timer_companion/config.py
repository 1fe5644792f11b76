"""The companion's settings: the YAML file it shares with the edge, the environment over it, and secrets.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from session_timer import Config, ConfigError, Problem, validate
from session_timer.config_file import parse

from session_timer_companion.ami.account import AmiAccount, Host, Port
from session_timer_companion.ami.errors import AmiAccountError

ENVIRONMENT_PREFIX = "SESSION_TIMER_COMPANION__"
"""`SESSION_TIMER_COMPANION__AMI__0__HOST=…` stands for `companion.ami[0].host`; values are read as YAML."""

_AsIfAbsent = BeforeValidator(lambda section: {} if section is None else section)
"""A section without any key, as in the part that the edge shares."""

_ACCOUNT = TypeAdapter(AmiAccount)

SECRETS = ("secret", "secret_file", "secret_credential")
"""The keys of an AMI account that say what its password is, or where."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Http(_Section):
    """`companion.http`: metrics, health and sessions, for this host only unless said otherwise."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: Port = 8080


class Log(_Section):
    """`companion.log`."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class CompanionSettings(_Section):
    """`companion`. Times are in seconds."""

    ami: Annotated[list[AmiAccount], Field(min_length=1)]
    http: Annotated[Http, _AsIfAbsent] = Http()
    log: Annotated[Log, _AsIfAbsent] = Log()
    poll_interval: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often the edge's list of changes is read."""
    rpc_timeout: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """How long one answer of the edge may take."""

    @field_validator("ami")
    @classmethod
    def _names_differ(cls, servers: list[AmiAccount]) -> list[AmiAccount]:
        names = [server.name for server in servers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two servers are called {twice[0]!r}: names show in logs and metrics")
        return servers


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the companion runs by."""

    shared: Config
    settings: CompanionSettings
    password_holders: tuple[Path | None, ...] = ()
    """For each AMI account the file that its password was read from; None: given by systemd."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check the file. Raises `ConfigError` with every problem found."""
    environment = os.environ if environment is None else environment
    source = str(path)
    data = _read(path)
    problems: list[Problem] = []
    shared = Config()
    if isinstance(data, dict):
        _overlay(data, environment, problems)
    try:
        shared = validate(data, source)
    except ConfigError as error:
        problems += error.problems
    settings: CompanionSettings | None = None
    holders: tuple[Path | None, ...] = ()
    if isinstance(data, dict):
        settings, holders = _companion(data.get("companion"), path, environment, problems)
    if problems or settings is None:
        raise ConfigError(source, tuple(problems))
    # The section has been read; kept as it came, it would show its passwords.
    return Configuration(replace(shared, companion={}), settings, holders)


def http_settings(path: Path, environment: Mapping[str, str] | None = None) -> Http:
    """Where the companion of this file is asked, read without any password. Raises `ConfigError`."""
    environment = os.environ if environment is None else environment
    data = _read(path)
    problems: list[Problem] = []
    section: object = None
    if isinstance(data, dict):
        _overlay(data, environment, problems)
        section = data.get("companion")
    given = section.get("http") if isinstance(section, dict) else None
    try:
        return Http.model_validate(given or {})
    except ValidationError as error:
        found = [Problem(_place(("http", *item["loc"])), _reason(item)) for item in error.errors()]
        raise ConfigError(str(path), tuple(found)) from None


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), (Problem("(file)", f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (Problem("(file)", f"is not UTF-8 at byte {error.start}"),)) from None
    data = parse(text, str(path))
    return {} if data is None else data


def _overlay(data: dict[str, Any], environment: Mapping[str, str], problems: list[Problem]) -> None:
    """Set what the environment overrides, in place."""
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


def _companion(
    section: object, path: Path, environment: Mapping[str, str], problems: list[Problem]
) -> tuple[CompanionSettings | None, tuple[Path | None, ...]]:
    if section is None:
        problems.append(Problem("companion", "is missing: the companion needs at least companion.ami"))
        return None, ()
    if not isinstance(section, dict):
        return None, ()  # `validate` has said so
    servers = section.get("ami")
    holders: list[Path | None] = []
    if isinstance(servers, list):
        read = [_account(index, server, path, environment) for index, server in enumerate(servers)]
        problems += [problem for _, _, found in read for problem in found]
        holders = [holder for _, holder, _ in read]
        # One that is wrong has been named: with another in its place the rest is checked.
        stand_ins = [AmiAccount(f"wrong-{index}", "h", secret="wrong") for index in range(len(read))]  # noqa: S106
        section = {**section, "ami": [read[i][0] or stand_ins[i] for i in range(len(read))]}
    try:
        settings = CompanionSettings.model_validate(section)
    except ValidationError as error:
        problems += [Problem(_place(item["loc"]), _reason(item)) for item in error.errors()]
        return None, ()
    return settings, tuple(holders)


def _account(
    index: int, server: object, path: Path, environment: Mapping[str, str]
) -> tuple[AmiAccount | None, Path | None, list[Problem]]:
    """One entry of `companion.ami`: the account, the file its password is in, and what is wrong."""
    place = f"companion.ami[{index}]"
    given, holder, wrong = _with_password(server, path, environment)
    problems = [Problem(f"{place}{key}", reason) for key, reason in wrong]
    try:
        account = _ACCOUNT.validate_python(given)
        if account.tls is not None:
            account.tls.context()  # finds a CA file that cannot be read now, not at the first connection
    except ValidationError as error:
        problems += [Problem(_place(("ami", index, *item["loc"])), _reason(item)) for item in error.errors()]
    except AmiAccountError as error:
        problems.append(Problem(place, str(error)))
    else:
        return account, holder, problems
    return None, holder, problems


def _place(location: tuple[int | str, ...]) -> str:
    path = "companion"
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _reason(item: ErrorDetails) -> str:
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


def _with_password(
    server: object, path: Path, environment: Mapping[str, str]
) -> tuple[object, Path | None, list[tuple[str, str]]]:
    """The account with the password itself in it, the password's file, and what is wrong with which key."""
    if not isinstance(server, dict):
        return server, None, []
    given = [key for key in SECRETS if server.get(key) is not None]
    rest = {key: value for key, value in server.items() if key not in SECRETS}
    # Where there is no password the other problems are to be found all the same.
    unknown = {**rest, "secret": "unknown"}
    if len(given) != 1:
        return unknown, None, [("", "give the password once: as secret, secret_file or secret_credential")]
    (key,) = given
    if key == "secret":
        return {**rest, "secret": server[key]}, path, []
    try:
        holder = _holder(key, server[key], path, environment)
        return {**rest, "secret": first_line(holder, "the password")}, holder, []
    except ValueError as error:
        return unknown, None, [(f".{key}", str(error))]


def _holder(key: str, value: object, path: Path, environment: Mapping[str, str]) -> Path:
    """The file that `secret_file` or `secret_credential` names. Raises `ValueError`."""
    if not isinstance(value, str):
        raise ValueError("expected text: put it between quotes")  # noqa: TRY004  # one kind for all that is wrong
    if not value.isprintable():
        raise ValueError("has a character that cannot be printed")
    if key.endswith("_file"):
        return path.parent / value
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ValueError(
            "there are no systemd credentials ($CREDENTIALS_DIRECTORY is not set): the unit needs "
            f"LoadCredential=, a command in a shell CREDENTIALS_DIRECTORY=<folder of that file>; "
            f"or use {key.removesuffix('_credential')}_file"
        )
    return Path(folder) / value


def first_line(file: Path, what: str) -> str:
    """The first line of a file that holds a secret. Raises `ValueError` with what is wrong with it."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text") from None
    if not lines or not lines[0].strip():
        raise ValueError(f"{file} is empty; its first line must be {what}")
    return lines[0].strip()
