"""The companion's settings: the YAML file it shares with the edge, the environment over it, and secrets.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from session_timer import Config, ConfigError, Problem, SharedKey, is_door_address, validate
from session_timer.config.file import parse

from session_timer_companion.ami.account import AmiAccount, FilePath, Host, Port
from session_timer_companion.ami.errors import AmiAccountError

ENVIRONMENT_PREFIX = "SESSION_TIMER_COMPANION__"
"""`SESSION_TIMER_COMPANION__AMI__0__HOST=…` stands for `companion.ami[0].host`; values are read as YAML."""

_AsIfAbsent = BeforeValidator(lambda section: {} if section is None else section)
"""A section without any key, as in the part that the edge shares."""


def _door(text: str) -> str:
    if not is_door_address(text):
        raise ValueError("expected http://<host>:<port> or https://<host>:<port>")
    return text


_ACCOUNT = TypeAdapter(AmiAccount)


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


class EdgePlace(_Section):
    """`companion.edges[]`: one edge, and how its door is reached."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    """As the edge's own `edge.name` has it: internal headers name it."""
    door: Annotated[str, AfterValidator(_door)]
    stand_ins: list[str] = []
    """Names of edges that replicate its records (DMQ)."""
    ca_file: FilePath | None = None
    """PEM file with the CA of an https door; none: the system's CAs."""


class Brake(_Section):
    """`companion.brake`: more hang-ups than this are a fault of ours until a person has looked."""

    hangups_a_minute: Annotated[int, Field(ge=0)] = 60
    """Never more than this; 0 takes the brake off."""
    percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Nor more than this share of the tracked calls within a minute."""
    least: Annotated[int, Field(ge=1)] = 10
    """But so many in any case: of few calls a single one is a large share."""

    def allowed(self, calls: int) -> float:
        """How many hang-ups within a minute are allowed with so many tracked calls."""
        if not self.hangups_a_minute:
            return math.inf
        return min(self.hangups_a_minute, max(self.least, calls * self.percent / 100))


class CompanionSettings(_Section):
    """`companion`. Times are in seconds."""

    ami: Annotated[list[AmiAccount], Field(min_length=1)]
    edges: list[EdgePlace] = []
    """None: the one of `edge.name` and `edge.door`."""
    http: Annotated[Http, _AsIfAbsent] = Http()
    log: Annotated[Log, _AsIfAbsent] = Log()
    poll_interval: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often the edge's list of changes is read."""
    door_timeout: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """How long one reply of an edge may take."""
    pace: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Refreshes a second at most that one Asterisk is made to send."""
    brake: Annotated[Brake, _AsIfAbsent] = Brake()
    learn_peers: bool = True
    """Refresh by re-INVITE for a day where UPDATE timed out at the edge and re-INVITE was answered."""
    cdr_field: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = "session_timer"
    """The CDR variable that gets the reason of a hang-up; empty: none."""

    @field_validator("ami")
    @classmethod
    def _names_differ(cls, servers: list[AmiAccount]) -> list[AmiAccount]:
        names = [server.name for server in servers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two servers are called {twice[0]!r}: names show in logs and metrics")
        return servers

    @field_validator("edges")
    @classmethod
    def _edges_differ(cls, edges: list[EdgePlace]) -> list[EdgePlace]:
        names = [edge.name for edge in edges]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two edges are called {twice[0]!r}: internal headers tell them apart by name")
        for edge in edges:
            unknown = [name for name in edge.stand_ins if name not in names or name == edge.name]
            if unknown:
                raise ValueError(
                    f"{unknown[0]!r}, a stand-in of {edge.name!r}, is no other edge of this list"
                )
        return edges


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the companion runs by."""

    shared: Config
    settings: CompanionSettings
    password_holders: tuple[Path | None, ...] = ()
    """For each AMI account the file that its password was read from; None: given by systemd."""
    key: SharedKey | None = None
    """That edge and companion share; None where no call comes through an edge."""
    edges: tuple[EdgePlace, ...] = ()


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
    key: SharedKey | None = None
    edges: tuple[EdgePlace, ...] = ()
    if settings is not None:
        key = _key(shared, settings, path, environment, problems)
        edges = _edges(shared, settings, problems)
    if problems or settings is None:
        raise ConfigError(source, tuple(problems))
    # The section has been read; kept as it came, it would show its passwords.
    return Configuration(replace(shared, companion={}), settings, holders, key, edges)


def _edges(shared: Config, settings: CompanionSettings, problems: list[Problem]) -> tuple[EdgePlace, ...]:
    """Where the edges are. Without any, records are read nowhere and nothing can be judged."""
    for index, edge in enumerate(settings.edges):
        try:
            ssl.create_default_context(cafile=edge.ca_file)
        except OSError as error:
            reason = f"{edge.ca_file}: {error.strerror or error}; it must be a PEM file with a certificate"
            problems.append(Problem(f"companion.edges[{index}].ca_file", reason))
    if settings.edges or all(account.alone for account in settings.ami):
        return tuple(settings.edges)
    if shared.edge.door:
        return (EdgePlace(name=shared.edge.name, door=shared.edge.door),)
    wanted = 'is missing: write door: "http://<address of Kamailio>:<its TCP port>", or companion.edges'
    if not any(problem.path in ("edge.door", "edge.rpc") for problem in problems):
        problems.append(Problem("edge.door", wanted))
    return ()


def _key(
    shared: Config,
    settings: CompanionSettings,
    path: Path,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> SharedKey | None:
    """The key that edge and companion share, where any call comes through an edge."""
    from session_timer_companion import secret_files  # noqa: PLC0415  # a command that asks needs no secret

    given = {"key_file": shared.edge.key_file, "key_credential": shared.edge.key_credential}
    # Where there is a file too, that is the edge's, and the one of a command in a shell.
    names = (
        ("key_credential", "key_file")
        if environment.get("CREDENTIALS_DIRECTORY")
        else ("key_file", "key_credential")
    )
    name = next((name for name in names if given[name]), "")
    if not name:
        if not all(account.alone for account in settings.ami):
            reason = (
                "is missing: edge and companion share a key. `session-timer make-key FILE` makes one; the "
                "edge's copy of the file must be the same"
            )
            problems.append(Problem("edge.key_file", reason))
        return None
    try:
        holder = secret_files.holder_of(name, given[name], path, environment)
        return SharedKey.parse(secret_files.first_line(holder, "the key"))
    except ValueError as error:
        problems.append(Problem(f"edge.{name}", str(error)))
        return None


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
    if "rpc_timeout" in section:
        problems.append(Problem("companion.rpc_timeout", "is of release 0.1: write door_timeout instead"))
        section = {name: value for name, value in section.items() if name != "rpc_timeout"}
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
    from session_timer_companion import secret_files  # noqa: PLC0415  # as above

    place = f"companion.ami[{index}]"
    given, holder, wrong = secret_files.with_password(server, path, environment)
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
