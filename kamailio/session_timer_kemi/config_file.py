"""The configuration file, read before Kamailio forks."""

from __future__ import annotations

from pathlib import Path

from session_timer import Config, ConfigError, Problem, validate
from session_timer.config_file import parse


def load(path: str) -> Config:
    """Read and validate a file. Raises `ConfigError` with every problem, the file's name in front."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, (Problem("(file)", f"cannot be read: {error}"),)) from error
    return validate(parse(text, path), path)
