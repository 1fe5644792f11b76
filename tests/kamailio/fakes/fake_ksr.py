"""A strict KSR: the functions that a real Kamailio lists, with a small model of the message being routed.

A function that the release does not have, a wrong number or type of arguments, and whatever the real one
would drop silently end the test. The failures pass through `except Exception`, so that no guard hides them.
How the real ones behave was recorded (`record.py`); `test_fake_ksr.py` holds this one to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.kamailio.fakes.kamailio import HERE
from tests.kamailio.fakes.ksr_functions import Functions

RELEASES = tuple(sorted(path.stem for path in (HERE / "api").glob("*.json")))

_TYPES: dict[str, type] = {"str": str, "int": int}


class FakeKsr(Functions):
    """Takes the place of the module KSR."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._not_loaded:
            raise AttributeError(name)
        if name in self._modules:
            return _Module(self, name)
        return self._function(name)

    def _function(self, name: str) -> Callable[..., Any]:
        if name not in self._api:
            pytest.fail(f"Kamailio {self.release} has no KSR.{name}")
        types, _ = self._api[name]

        def call(*arguments: Any) -> Any:
            if len(arguments) != len(types):
                pytest.fail(f"KSR.{name} takes {len(types)} arguments, got {arguments!r}")
            for given, wanted in zip(arguments, types, strict=True):
                # bool is an int in Python, and to Kamailio's argument parser too: but nobody means it.
                if type(given) is not _TYPES[wanted]:
                    pytest.fail(f"KSR.{name} wants {wanted}, got {given!r}")
            self.called.add(name)
            self.calls.append(name)
            if name in self.raising:
                raise self.raising[name]
            model = getattr(self, "_do_" + name.replace(".", "_"), None)
            if model is None:
                pytest.fail(f"KSR.{name}: the fake has no model of it")
            return model(*map(self._to_kamailio, arguments))

        return call

    def _to_kamailio(self, argument: Any) -> Any:
        """Python's text becomes UTF-8; what cannot raises as the real one does."""
        if not isinstance(argument, str):
            return argument
        try:
            text = argument.encode().decode("latin-1")
        except UnicodeEncodeError:
            if self.release == "5.6":
                raise SystemError("returned a result with an exception set") from None
            raise
        if "\0" in text and self.release == "5.6":
            raise SystemError("returned a result with an exception set")
        return text


class _Module:
    """KSR.hdr, KSR.pv and so on."""

    def __init__(self, ksr: FakeKsr, name: str) -> None:
        self._ksr, self._name = ksr, name

    def __getattr__(self, name: str) -> Any:
        return self._ksr._function(f"{self._name}.{name}")
