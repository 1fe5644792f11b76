"""Reads values of a configuration, each with its place, and collects what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ..headers import LARGEST_INTERVAL, Role
from .model import Problem
from .policy import ExpiryAction, Mode

_Choice = TypeVar("_Choice", Role, Mode, ExpiryAction)


class Reader:
    """Collects problems while reading, so that an operator sees them all at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def bad(self, path: str, reason: str) -> None:
        self.problems.append(Problem(path or "(top level)", reason))

    def warn(self, path: str, reason: str) -> None:
        """Note what is accepted for one release more, and what to write instead."""
        self.warnings.append(Problem(path, reason))

    def section(
        self, data: object, path: str, known: frozenset[str] | Mapping[str, object]
    ) -> Mapping[str, Any]:
        """`data` as a mapping of known keys; anything else is a problem."""
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            self.bad(path, f"expected keys and values, got {kind_of(data)}")
            return {}
        for name in data:
            if name not in known:
                where = f"{path}.{name}" if path else str(name)
                self.bad(where, f"unknown key; known here: {', '.join(sorted(known))}")
        return {name: value for name, value in data.items() if name in known}

    def boolean(self, value: object, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        self.bad(path, f"expected true or false, got {kind_of(value)}")
        return None

    def integer(self, value: object, path: str, least: int, most: int = LARGEST_INTERVAL) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            self.bad(path, f"expected a whole number of seconds, got {kind_of(value)}")
        elif not least <= value <= most:
            self.bad(path, f"expected {least} to {most} seconds, got {kind_of(value)}")
        else:
            return value
        return None

    def text(self, value: object, path: str) -> str | None:
        if isinstance(value, str) and value and value.isprintable():
            return value
        self.bad(path, f"expected text, got {kind_of(value)}")
        return None

    def texts(self, value: object, path: str) -> dict[str, str]:
        """The texts of a list, by the place of each; one that is no text is a problem."""
        if not isinstance(value, list):
            self.bad(path, f"expected a list, got {kind_of(value)}")
            return {}
        places = {f"{path}[{index}]": item for index, item in enumerate(value)}
        read = {place: self.text(item, place) for place, item in places.items()}
        return {place: text for place, text in read.items() if text is not None}

    def choice(self, value: object, path: str, choices: type[_Choice]) -> _Choice | None:
        try:
            return choices(str(value))
        except ValueError:
            self.bad(path, f"expected {' or '.join(choices)}, got {kind_of(value)}")
            return None


def kind_of(value: object) -> str:
    """What a value is, as an operator who wrote it would say."""
    names: dict[type, str] = {type(None): "nothing", dict: "keys and values", list: "a list"}
    try:
        return names.get(type(value)) or repr(value)
    except ValueError:
        return "a number too long to print"
