"""The companion's settings: the YAML file it shares with the edge, the environment over it, and secrets.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator
from session_timer import Config, ConfigError, Problem, validate

from session_timer_companion.ami.account import AmiAccount
from session_timer_companion.ami.errors import AmiAccountError
from session_timer_companion.events.hook_settings import Hook
from session_timer_companion.http.settings import Http, http_token
from session_timer_companion.section import (
    AS_IF_ABSENT,
    Section,
    first_line,
    overlay,
    place_of,
    read_file,
    reason_of,
    secret_file,
)

_ACCOUNT = TypeAdapter(AmiAccount)

SECRETS = ("secret", "secret_file", "secret_credential")
"""The keys of an AMI account that say what its password is, or where."""


class Log(Section):
    """`companion.log`."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class KeptEvents(Section):
    """`companion.history`: what is kept of what happened to calls, in memory."""

    events: Annotated[int, Field(ge=0, le=200)] = 16
    """Of each call, the last ones."""
    ended: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    """Calls that are over, the last ones; as many again of those to which something notable happened."""


class CompanionSettings(Section):
    """`companion`. Times are in seconds."""

    ami: Annotated[list[AmiAccount], Field(min_length=1)]
    http: Annotated[Http, AS_IF_ABSENT] = Http()
    log: Annotated[Log, AS_IF_ABSENT] = Log()
    history: Annotated[KeptEvents, AS_IF_ABSENT] = KeptEvents()
    hooks: list[Hook] = Field(default_factory=list)
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
    http_token: str | None = field(default=None, repr=False)
    """What a request must bring; None: nothing."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check the file. Raises `ConfigError` with every problem found."""
    environment = os.environ if environment is None else environment
    source = str(path)
    data = read_file(path)
    problems: list[Problem] = []
    shared = Config()
    if isinstance(data, dict):
        overlay(data, environment, problems)
    try:
        shared = validate(data, source)
    except ConfigError as error:
        problems += error.problems
    settings: CompanionSettings | None = None
    holders: tuple[Path | None, ...] = ()
    if isinstance(data, dict):
        settings, holders = _companion(data.get("companion"), path, environment, problems)
    guard = None
    if settings is not None:
        guard = http_token(settings.http, path, environment, problems)
    if problems or settings is None:
        raise ConfigError(source, tuple(problems))
    # The section has been read; kept as it came, it would show its passwords.
    return Configuration(replace(shared, companion={}), settings, holders, guard)


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
        problems += [Problem(place_of(item["loc"]), reason_of(item)) for item in error.errors()]
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
        problems += [
            Problem(place_of(("ami", index, *item["loc"])), reason_of(item)) for item in error.errors()
        ]
    except AmiAccountError as error:
        problems.append(Problem(place, str(error)))
    else:
        return account, holder, problems
    return None, holder, problems


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
        holder = secret_file(key, server[key], path, environment)
        return {**rest, "secret": first_line(holder, "the password")}, holder, []
    except ValueError as error:
        return unknown, None, [(f".{key}", str(error))]
