"""The companion's settings: the YAML file it shares with the edge, the environment over it, and secrets.

Every problem is found at once, with the file and the place in it; nothing here ends in a traceback.
"""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, field_validator
from session_timer import Config, ConfigError, Problem, SharedKey, is_door_address, validate

from session_timer_companion.ami.account import AmiAccount
from session_timer_companion.ami.errors import AmiAccountError
from session_timer_companion.events.hook_settings import Hook
from session_timer_companion.http.settings import Http, http_token
from session_timer_companion.section import (
    AS_IF_ABSENT,
    FilePath,
    Section,
    overlay,
    problems_of,
    read_file,
    with_variables,
)


def _door(text: str) -> str:
    if not is_door_address(text):
        raise ValueError("expected http://<host>:<port> or https://<host>:<port>")
    return text


_ACCOUNT = TypeAdapter(AmiAccount)


class Log(Section):
    """`companion.log`."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class EdgePlace(Section):
    """`companion.edges[]`: one edge, and how its door is reached."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    """As the edge's own `edge.name` has it: internal headers name it."""
    door: Annotated[str, AfterValidator(_door)]
    stand_ins: list[str] = Field(default_factory=list)
    """Names of edges that replicate its records (DMQ)."""
    ca_file: FilePath | None = None
    """PEM file with the CA of an https door; none: the system's CAs."""


class Brake(Section):
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


class KeptEvents(Section):
    """`companion.history`: what is kept of what happened to calls, in memory."""

    events: Annotated[int, Field(ge=0, le=200)] = 16
    """Of each call, the last ones."""
    ended: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    """Calls that are over, the last ones; as many again of those to which something notable happened."""


class CompanionSettings(Section):
    """`companion`. Times are in seconds."""

    ami: Annotated[list[AmiAccount], Field(min_length=1)]
    edges: list[EdgePlace] = Field(default_factory=list)
    """None: the one of `edge.name` and `edge.door`."""
    http: Annotated[Http, AS_IF_ABSENT] = Http()
    log: Annotated[Log, AS_IF_ABSENT] = Log()
    history: Annotated[KeptEvents, AS_IF_ABSENT] = KeptEvents()
    hooks: list[Hook] = Field(default_factory=list)
    """Who is told when a call is hung up or a peer refuses."""
    poll_interval: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often the edge's list of changes is read."""
    door_timeout: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    """How long one reply of an edge may take."""
    pace: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Refreshes a second at most that one Asterisk is made to send."""
    brake: Annotated[Brake, AS_IF_ABSENT] = Brake()
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
    http_token: str | None = field(default=None, repr=False)
    """What a request over HTTP must bring; None: nothing."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check the file. Raises `ConfigError` with every problem found."""
    environment = os.environ if environment is None else environment
    source = str(path)
    data = read_file(path)
    problems: list[Problem] = []
    shared = Config()
    variables = overlay(data, environment, problems) if isinstance(data, dict) else {}
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
    guard: str | None = None
    if settings is not None:
        guard = http_token(settings.http, path, environment, problems)
        key = _key(shared, settings, path, environment, problems)
        edges = _edges(shared, settings, problems)
    if problems or settings is None:
        raise ConfigError(source, with_variables(problems, variables))
    # The section has been read; kept as it came, it would show its passwords.
    return Configuration(replace(shared, companion={}), settings, holders, key, edges, guard)


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
        problems += problems_of(error, CompanionSettings)
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
        problems += problems_of(error, AmiAccount, ("ami", index), secret_files.SECRETS)
    except AmiAccountError as error:
        problems.append(Problem(place, str(error)))
    else:
        return account, holder, problems
    return None, holder, problems
