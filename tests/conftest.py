"""What holds for every suite: `--results FILE` keeps each test's outcome with the requirements it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.results import Recorder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--results",
        metavar="FILE",
        type=Path,
        default=None,
        help="write every test's outcome and the requirements it names to FILE, for the ledger",
    )


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--results")
    if path is not None:
        config.pluginmanager.register(Recorder(path), "requirement-results")
