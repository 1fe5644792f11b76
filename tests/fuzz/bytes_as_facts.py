"""Random bytes read as what a program meets: numbers, choices, messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from session_timer import Agreement, DialogTimer, ExpiryAction, Policy, Role, Rows, Side

_T = TypeVar("_T")

COMPACT_NAMES = {"x": "Session-Expires", "k": "Supported"}

INTERVALS = (90, 91, 120, 300, 600, 1800, 3600, 86_400, 2**32 - 1)
"""Seconds: the interesting session intervals."""


class Facts:
    """Takes bytes from the front; where none are left, everything is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        if not self:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def number(self, size: int) -> int:
        """A whole number of `size` bytes."""
        return sum(self.byte() << (8 * place) for place in range(size))

    def flag(self) -> bool:
        return bool(self.byte() & 1)

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[self.byte() % len(choices)]

    def rest(self) -> str:
        """What is left, as text: bytes that are no UTF-8 as Kamailio's Python delivers them."""
        left, self._at = self._data[self._at :], len(self._data)
        return left.decode("utf-8", "surrogateescape")

    def policy(self) -> Policy:
        """A policy that the configuration would accept."""
        min_se = self.one_of(INTERVALS)
        default = max(self.one_of(INTERVALS), min_se)
        flags = self.byte()
        return Policy(
            enabled=not flags & 1,
            default_expires=default,
            min_se=min_se,
            max_expires=max(self.one_of(INTERVALS), default) if flags & 2 else None,
            prefer_refresher=Role.UAS if flags & 4 else Role.UAC,
            offer_refresher=bool(flags & 8),
            request_timer=not flags & 16,
            one_sided=not flags & 32,
            raise_small_interval=bool(flags & 64),
            use_update=not flags & 128,
            expiry=self.one_of(list(ExpiryAction)),
            expiry_guard=self.one_of((None, 1, 32, 10_000)),
            probe=not self.flag(),
            hang_up_refused=self.flag(),
            keep_after_bare_2xx=not self.flag(),
        )

    def dialog(self) -> DialogTimer:
        """What may hold on a dialog, one of rogue intervals included."""
        flags = self.byte()
        agreement = None
        if flags & 1:
            interval = self.one_of((1, 30, *INTERVALS))
            agreement = Agreement(interval, Side.LOCAL if flags & 2 else Side.REMOTE)
            if flags & 4:
                agreement = Agreement(interval, Side.LOCAL, one_sided=True)
        min_se = self.one_of(INTERVALS) if flags & 8 else None
        return DialogTimer(agreement, min_se, bool(flags & 16), bool(flags & 32))


def rows(message: str) -> Rows:
    """Header rows, one a line as ``name: value``, looked up as a SIP parser would."""
    found: dict[str, list[str]] = {}
    for line in message.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            long_name = COMPACT_NAMES.get(name.strip().lower(), name.strip())
            found.setdefault(long_name.lower(), []).append(value)
    return lambda name: found.get(name.lower(), [])
