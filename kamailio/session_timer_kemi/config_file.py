"""The settings file, read before Kamailio forks: YAML, or JSON where PyYAML is not installed."""

from __future__ import annotations

import json
from pathlib import Path

from session_timer import Config, ConfigError, Problem, validate


def load(path: str) -> Config:
    """Read and validate a file. Raises `ConfigError` with every problem, the file's name in front."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, (Problem("(file)", f"cannot be read: {error}"),)) from error
    return validate(_parse(path, text), path)


def _parse(path: str, text: str) -> object:
    if path.endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(path, (Problem("(file)", f"is no JSON: {error}"),)) from error
    try:
        import yaml  # noqa: PLC0415 - only where the file is YAML does a bare host need it
    except ModuleNotFoundError as error:
        wanted = "needs PyYAML: apt-get install python3-yaml, or write the same as .json"
        raise ConfigError(path, (Problem("(file)", wanted),)) from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            path, (Problem("(file)", f"is no YAML: {' '.join(str(error).split())}"),)
        ) from error
