"""Where secrets come from: the AMI passwords, and the key that edge and companion share."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

SECRETS = ("secret", "secret_file", "secret_credential")
"""The keys of an AMI account that say what its password is, or where."""

MODE = 0o640

STAND_IN = "none"
"""What the unit hands over where a file is missing that not every companion has (`SetCredential=`)."""


def make_key(file: Path) -> None:
    """Write a new key into `file`, which must not be there yet. Raises `OSError`."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        os.fchmod(descriptor, MODE)
        out.write(secrets.token_urlsafe(48) + "\n")


def with_password(
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
        holder = holder_of(key, server[key], path, environment)
        return {**rest, "secret": first_line(holder, "the password")}, holder, []
    except ValueError as error:
        return unknown, None, [(f".{key}", str(error))]


def holder_of(key: str, value: object, path: Path, environment: Mapping[str, str]) -> Path:
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
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text") from None
    if text == STAND_IN:  # a file that somebody has written ends with its line
        raise ValueError(f"{what.removeprefix('the ')} is missing: systemd found no file for {file.name}")
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise ValueError(f"{file} is empty; its first line must be {what}")
    return lines[0].strip()
