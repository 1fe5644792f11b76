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

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from session_timer import Config, ConfigError, Problem, validate

from session_timer_companion.ami.client import AmiAccount, AmiAccountError, TlsSettings

ENVIRONMENT_PREFIX = "SESSION_TIMER_COMPANION__"
"""`SESSION_TIMER_COMPANION__AMI__0__HOST=…` stands for `companion.ami[0].host`; values are read as YAML."""

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


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


FilePath = Annotated[str, AfterValidator(_printable)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_printable), AfterValidator(_host)]
_AsIfAbsent = BeforeValidator(lambda section: {} if section is None else section)
"""A section without any key, as in the part that the edge shares."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Tls(_Section):
    """`companion.ami[].tls`."""

    ca_file: FilePath | None = None
    server_name: Host | None = None
    verify: bool = True


class AmiServer(_Section):
    """`companion.ami[]`: one Asterisk, and how its manager is reached."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    host: Host
    port: Port = 5038
    username: Annotated[str, Field(min_length=1)] = "session-timer"
    secret: SecretStr | None = None
    secret_file: FilePath | None = None
    secret_credential: FilePath | None = None
    """Name of a systemd credential (`LoadCredential=`)."""
    tls: Tls | None = None
    alone: bool = False
    """No edge in front of it: each answered call is refreshed, by the profile that its endpoint names."""
    ping_interval: Seconds = 10.0
    action_timeout: Seconds = 5.0

    @model_validator(mode="after")
    def _one_secret(self) -> AmiServer:
        given = [self.secret, self.secret_file, self.secret_credential]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give the password once: as secret, secret_file or secret_credential")
        return self


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

    ami: Annotated[list[AmiServer], Field(min_length=1)]
    http: Annotated[Http, _AsIfAbsent] = Http()
    log: Annotated[Log, _AsIfAbsent] = Log()
    poll_interval: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often the edge's list of changes is read."""
    rpc_timeout: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """How long one answer of the edge may take."""

    @field_validator("ami")
    @classmethod
    def _names_differ(cls, servers: list[AmiServer]) -> list[AmiServer]:
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
    accounts: tuple[AmiAccount, ...]


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
    accounts: tuple[AmiAccount, ...] = ()
    if isinstance(data, dict):
        settings, accounts = _companion(data.get("companion"), path, environment, problems)
    if problems or settings is None:
        raise ConfigError(source, tuple(problems))
    # The section has been read; kept as it came, it would show its passwords.
    return Configuration(replace(shared, companion={}), settings, accounts)


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


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win; here the second is an error."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401  # its stub is wrong
        node = super().compose_mapping_node(anchor)
        # Now, because later the keys of a mapping that is merged (`<<`) stand among the node's own.
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is here twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


# The 13th month, a number of 5,000 digits and lists in lists without end are no errors of YAML's own.
_UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), (Problem("(file)", f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (Problem("(file)", f"is not UTF-8 at byte {error.start}"),)) from None
    try:
        data = yaml.load(text, _UniqueKeys)  # noqa: S506  # a SafeLoader that also minds double keys
    except _UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(str(path), (Problem(where, f"not YAML: {reason}"),)) from None
    return {} if data is None else data


def _overlay(data: dict[str, Any], environment: Mapping[str, str], problems: list[Problem]) -> None:
    """Set what the environment overrides, in place."""
    for variable in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        steps = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not isinstance(data.get("companion"), dict):
            data["companion"] = {}
        try:
            value = yaml.safe_load(environment[variable])
        except _UNREADABLE:
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
) -> tuple[CompanionSettings | None, tuple[AmiAccount, ...]]:
    if section is None:
        problems.append(Problem("companion", "is missing: the companion needs at least companion.ami"))
        return None, ()
    if not isinstance(section, dict):
        return None, ()  # `validate` has told
    try:
        settings = CompanionSettings.model_validate(section)
    except ValidationError as error:
        problems += [Problem(_place(item["loc"]), _reason(item)) for item in error.errors()]
        return None, ()
    accounts: list[AmiAccount] = []
    for index, server in enumerate(settings.ami):
        place = f"companion.ami[{index}]"
        try:
            accounts.append(_account(server, _secret(server, path, environment)))
        except _SecretError as error:
            problems.append(Problem(f"{place}.{error.key}", error.reason))
        except AmiAccountError as error:
            problems.append(Problem(place, str(error)))
    return settings, tuple(accounts)


def _place(location: tuple[int | str, ...]) -> str:
    path = "companion"
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _reason(item: ErrorDetails) -> str:
    """Pydantic's finding in our words; the value itself is left out, it may be a secret."""
    kind, context = item["type"], item.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "too_short" | "too_long":
            return f"expected at least {context.get('min_length', 1)} entry"
        case "literal_error":
            return f"expected {context['expected']}"
        case "model_type":
            return "expected keys and values"
        case "string_type":
            return "expected text: put it between quotes"
        case "string_pattern_mismatch":
            return "only letters, digits, '.', '_' and '-' can be used"
    message = str(item["msg"])
    return re.sub(r"^Input should be (a |an )?", "expected ", message)


class _SecretError(Exception):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


def _secret(server: AmiServer, path: Path, environment: Mapping[str, str]) -> str:
    if server.secret is not None:
        return server.secret.get_secret_value()
    if server.secret_credential is not None:
        folder = environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise _SecretError(
                "secret_credential",
                "there are no systemd credentials ($CREDENTIALS_DIRECTORY is not set): the unit needs "
                "LoadCredential=, a command in a shell CREDENTIALS_DIRECTORY=<folder of that file>; "
                "or use secret_file",
            )
        return _first_line("secret_credential", Path(folder) / server.secret_credential)
    return _first_line("secret_file", path.parent / (server.secret_file or ""))


def _first_line(key: str, file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise _SecretError(key, f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _SecretError(key, f"{file} is not text") from None
    if not lines or not lines[0].strip():
        raise _SecretError(key, f"{file} is empty; its first line must be the password")
    return lines[0].strip()


def _account(server: AmiServer, secret: str) -> AmiAccount:
    tls = None
    if server.tls is not None:
        ca_file = Path(server.tls.ca_file) if server.tls.ca_file else None
        tls = TlsSettings(ca_file=ca_file, server_name=server.tls.server_name, verify=server.tls.verify)
        tls.context()  # a CA file that cannot be read is found here, not at the first connection
    return AmiAccount(
        name=server.name,
        host=server.host,
        port=server.port,
        username=server.username,
        secret=secret,
        tls=tls,
        ping_interval=server.ping_interval,
        action_timeout=server.action_timeout,
    )
