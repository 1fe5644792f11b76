"""The header rows that session timers look at, and the memory of what was decided by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import NamedTuple, TypeVar, TypeVarTuple

from . import ksr

_Facts = TypeVarTuple("_Facts")
_Result = TypeVar("_Result")

_MOST_REMEMBERED = 512
_LONGEST_REMEMBERED = 1024
"""Characters. Senders choose their rows: what is kept of them is bounded, and a rare giant is not kept."""


class Rows(NamedTuple):
    """What one message says of session timers: None is absent, a header that is repeated is one list."""

    session_expires: str | None = None
    min_se: str | None = None
    supported: str | None = None
    require: str | None = None
    proxy_require: str | None = None
    allow: str | None = None

    @classmethod
    def read(cls) -> Rows:
        """Those of the message that is being routed."""
        return cls._make(map(ksr.row, _HEADERS))

    def of(self, header: str) -> Sequence[str]:
        """The rows of one header, as the library asks for them."""
        place = _PLACES.get(header)
        value = None if place is None else self[place]
        return () if value is None else (value,)


_HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow")
_PLACES = {header: place for place, header in enumerate(_HEADERS)}


def remembered(decide: Callable[[Rows, *_Facts], _Result]) -> Callable[[Rows, *_Facts], _Result]:
    """Keep the answers of a pure decision: the messages of one peer say the same, call after call.

    A worker of Kamailio comes to each message with cold caches, where looking a decision up costs a
    small part of making it.
    """
    known = lru_cache(_MOST_REMEMBERED)(decide)

    @wraps(decide)
    def answer(rows: Rows, *facts: *_Facts) -> _Result:
        if sum(map(len, filter(None, rows))) > _LONGEST_REMEMBERED:
            return decide(rows, *facts)
        return known(rows, *facts)

    return answer
