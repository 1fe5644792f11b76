"""The settings in force: the file's, or where a reload finds it broken those before."""

from __future__ import annotations

import os

from session_timer import ConfigError

from . import config_file, ksr
from .config_file import Settings

_last_good: dict[str, Settings] = {}
"""Outlives a reload of the script, which keeps imported modules: a broken file then changes nothing."""


def load(path: str) -> Settings:
    """Read the file, its problems into the log. Broken at the start it ends Kamailio."""
    try:
        settings = config_file.read(path)
    except ConfigError as wrong:
        for line in str(wrong).splitlines():
            ksr.error(f"session timer: {line}")
        if path not in _last_good:
            ksr.error("session timer: Kamailio does not start with this configuration")
            # An exception here would reach the operator as a Python traceback.
            os._exit(1)
        ksr.error("session timer: the configuration that was in force before stays in force")
        return _last_good[path]
    for warning in settings.config.warnings:
        ksr.warn(f"session timer: {path}: {warning.path}: {warning.reason}")
    _last_good[path] = settings
    return settings
