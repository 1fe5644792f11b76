"""`companion.http`: where the pages are served, and who may see them.

What is served shows Call-IDs and numbers, and acts on calls. So it is for this host alone, unless a token
guards it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field, ValidationError, model_validator
from session_timer import ConfigError, Problem

from session_timer_companion import secret_files
from session_timer_companion.section import (
    Host,
    Port,
    Section,
    overlay,
    problems_of,
    read_file,
    with_variables,
)

SHORTEST_TOKEN = 16
"""Characters. What is shorter can be guessed."""

TOKEN_KEYS = ("token_file", "token_credential")
"""The keys that say where the token is."""


class Http(Section):
    """`companion.http`: the page, metrics, health and sessions."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: Port = 8080
    token_file: str | None = None
    """A file whose first line is the token; relative to the configuration."""
    token_credential: str | None = None
    """Name of a systemd credential whose first line is the token."""
    hosts: list[Host] = Field(default_factory=list)
    """More names under which the pages may be asked for."""

    @model_validator(mode="after")
    def _guarded(self) -> Http:
        if self.token_file is not None and self.token_credential is not None:
            raise ValueError("give token_file or token_credential, not both")
        if self.enabled and not is_loopback(self.host) and not self.guarded:
            raise ValueError(
                f"host {self.host} can be reached from other hosts, which then see and hang up calls: "
                f"give token_file, a file with at least {SHORTEST_TOKEN} characters nobody guesses "
                "(openssl rand -hex 32), or host: 127.0.0.1"
            )
        return self

    @property
    def guarded(self) -> bool:
        """Whether a token is asked for."""
        return self.token_file is not None or self.token_credential is not None


def is_loopback(host: str) -> bool:
    """Whether only programs of this host reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _token(settings: Http, read: Callable[[str, str], str]) -> str | None:
    """The token that the settings name, None for none; `read` gets key and value and returns the first line.

    Raises `ValueError` with the reason.
    """
    for key in TOKEN_KEYS:
        value = getattr(settings, key)
        if value is not None:
            found = read(key, value)
            return _checked(found)
    return None


def _checked(token: str) -> str:
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ValueError(
            f"the token needs at least {SHORTEST_TOKEN} printable ASCII characters: openssl rand -hex 32"
        )
    return token


def token_of(file: Path) -> str:
    """The token in a file's first line. Raises `ValueError` with the reason."""
    return _checked(secret_files.first_line(file, "the token"))


def http_token(
    settings: Http, path: Path, environment: Mapping[str, str], problems: list[Problem]
) -> str | None:
    """The token that a request must bring; None for none. What is wrong with it goes into `problems`."""

    def read(key: str, value: str) -> str:
        return secret_files.first_line(secret_files.holder_of(key, value, path, environment), "the token")

    try:
        return _token(settings, read)
    except ValueError as error:
        problems.append(Problem("companion.http", str(error)))
        return None


def http_settings(path: Path, environment: Mapping[str, str] | None = None) -> tuple[Http, str | None]:
    """Where the companion of this file is asked, and its token, read without any password.

    No token where the file it is in cannot be read: the companion then says that it wants one. Raises
    `ConfigError`.
    """
    environment = os.environ if environment is None else environment
    data = read_file(path)
    problems: list[Problem] = []
    section: object = None
    variables: dict[str, str] = {}
    if isinstance(data, dict):
        variables = overlay(data, environment, problems)
        section = data.get("companion")
    given = section.get("http") if isinstance(section, dict) else None
    try:
        settings = Http.model_validate(given or {})
        return settings, http_token(settings, path, environment, [])
    except ValidationError as error:
        found = with_variables(problems_of(error, Http, ("http",)), variables)
        raise ConfigError(str(path), found) from None
