"""How one Asterisk's manager interface is reached: address, login, TLS, patience.

It is one entry of `companion.ami` in the configuration as well: pydantic checks the types of what an operator
wrote, and what a type cannot say is checked here.
"""

from __future__ import annotations

import math
import ssl
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from session_timer_companion.ami.errors import AmiAccountError
from session_timer_companion.section import FilePath, Host, Port

Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]

_STRICT = ConfigDict(extra="forbid")
"""Strict would want an instance in place of keys and values: so each type is strict by itself."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS towards AMI (`tlsenable=yes` in manager.conf, usually port 5039)."""

    __pydantic_config__ = _STRICT

    ca_file: FilePath | None = None
    """PEM file with the CA, or the self-signed certificate itself. None: the system's CAs."""

    server_name: Host | None = None
    """Name that the certificate must bear. None: the account's host."""

    verify: Flag = True
    """False accepts any certificate: encrypted, but to whom is unknown."""

    def __post_init__(self) -> None:
        """Raises AmiAccountError for a name that no certificate bears."""
        if self.server_name is not None and not self.server_name.strip("."):
            raise AmiAccountError("tls.server_name is empty: leave it out to expect the account's host")
        if self.server_name is not None and self.server_name.startswith("."):
            raise AmiAccountError(f"tls.server_name {self.server_name!r} must not begin with a dot")

    def context(self) -> ssl.SSLContext:
        """The client context. Raises AmiAccountError if the CA file cannot be read."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one too: a file without a certificate
            raise AmiAccountError(
                f"tls.ca_file {self.ca_file}: {error.strerror or error}. It must be a PEM file with the CA's "
                "certificate that this process may read"
            ) from error
        # Python 3.13 refuses a CA without key usage, such as `openssl req` and Asterisk's own script make.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt, in seconds."""

    first: float = 0.25
    ceiling: float = 10.0
    refused: float = 30.0
    """After a refused login: somebody has to change a password, and Asterisk logs each attempt."""

    def delay(self, attempt: int, draw: float, *, refused: bool = False) -> float:
        """Seconds before attempt number `attempt` (from 0); `draw` is a random number in [0, 1).

        The result lies between half of the nominal delay and the whole of it, so that many companions that
        lost the same Asterisk do not come back in the same moment.
        """
        # 2.0**1024 overflows; an Asterisk that is away for days reaches such counts
        nominal = self.refused if refused else min(self.ceiling, self.first * 2.0 ** min(attempt, 64))
        return nominal * (0.5 + draw / 2)


@dataclass(frozen=True, slots=True)
class AmiAccount:
    """One Asterisk's manager account: one entry of `companion.ami`. All times in seconds."""

    __pydantic_config__ = _STRICT

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    """What logs, metrics and errors call this Asterisk."""

    host: Host
    username: Annotated[str, Field(min_length=1)] = "session-timer"
    secret: str = field(default="", repr=False)
    """The password itself, wherever the configuration has it from."""

    port: Port = 5038
    tls: TlsSettings | None = None
    alone: Flag = False
    """No edge in front of it: each answered call is refreshed, by the profile that its endpoint names."""

    connect_timeout: Seconds = 5.0
    """For TCP, TLS, greeting and login together."""

    action_timeout: Seconds = 5.0
    """For one reply; in a list, for the next entry."""

    ping_interval: Seconds = 10.0
    ping_timeout: Seconds = 5.0
    """No reply of any kind for this long after a Ping ends the connection."""

    def __post_init__(self) -> None:
        """Raises AmiAccountError for what could never work."""
        for key in ("name", "host", "username", "secret"):
            value: str = getattr(self, key)
            if not value or any(character in value for character in "\r\n\0"):
                raise AmiAccountError(f"AMI account {self.name!r}: {key} must be one line and not empty")
        if not 0 < self.port < 65536:
            raise AmiAccountError(f"AMI account {self.name!r}: port {self.port} is not between 1 and 65535")
        for key in ("connect_timeout", "action_timeout", "ping_interval", "ping_timeout"):
            seconds: float = getattr(self, key)
            if not 0 < seconds < math.inf:
                raise AmiAccountError(
                    f"AMI account {self.name!r}: {key} is {seconds}; it must be a number of seconds above 0"
                )

    @property
    def address(self) -> str:
        """`name (host:port)`, for messages."""
        return f"{self.name} ({self.host}:{self.port})"
