"""The names that programs may rely on."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
import session_timer

PACKAGE = Path(session_timer.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE or path.stem != "__init__"
)

PUBLIC = {
    "clock", "config", "config.file", "config.model", "config.policy", "config.reader", "config.validation",
    "dialog", "evidence", "headers", "internal_header", "message", "minimum", "proxy", "record", "session",
    "session.responses", "session.model", "session.steps", "session.transitions", "shared_key", "uac", "uas",
}  # fmt: skip


def test_the_package_offers_exactly_these_names() -> None:
    assert set(session_timer.__all__) == {
        "ABSOLUTE_MINIMUM", "LARGEST_INTERVAL", "REFRESH_METHODS", "TIMER",
        "Agreement", "Asked", "Config", "ConfigError", "DialogTimer", "EdgeSettings", "ExpiryAction",
        "HeaderError", "InternalHeader", "Mode", "Outcome", "Peer", "Policy", "Problem", "Record",
        "RecordError", "RefreshRequest", "RefreshResponse", "Role", "Rows", "SessionExpires", "SharedKey",
        "Side", "dialog_oddities", "evidence", "internal_header", "is_door_address", "minimum",
        "parse_min_se", "proxy", "record", "session", "uac",
        "uas", "validate",
    }  # fmt: skip
    assert all(hasattr(session_timer, name) for name in session_timer.__all__)
    assert len(session_timer.__all__) == len(set(session_timer.__all__))


def test_the_modules_are_these() -> None:
    assert set(MODULES) == PUBLIC


def test_it_is_typed() -> None:
    assert files("session_timer").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_public_function_is_documented_and_typed(name: str) -> None:
    module: ModuleType = __import__(f"session_timer.{name}", fromlist=["_"])
    assert module.__doc__
    for public, thing in vars(module).items():
        if public.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing):
            assert thing.__doc__, f"{name}.{public} has no docstring"
            assert set(inspect.signature(thing).parameters) | {"return"} == set(thing.__annotations__)
        elif inspect.isclass(thing):
            assert thing.__doc__, f"{name}.{public} has no docstring"


def test_nothing_but_the_standard_library_no_clock_no_socket_no_log() -> None:
    imported: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "config" / "file.py":
            continue  # PyYAML, imported where a text is YAML
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names
    assert not imported & {"time", "datetime", "socket", "asyncio", "logging", "os", "threading"}


def test_importing_it_brings_in_no_test_support() -> None:
    code = "import sys, session_timer; print('random' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["False"]
