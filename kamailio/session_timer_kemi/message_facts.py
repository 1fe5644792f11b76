"""The message in hand: its identifiers, where it comes from, and the header rows that session timers read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, Generic, NamedTuple, TypeVar, TypeVarTuple

from session_timer import LARGEST_INTERVAL, Record
from session_timer.record import key

from . import ksr
from .memory import branch_memory
from .memory.records import Records

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

    @classmethod
    def read_first(cls, number: int) -> Rows:
        """Those that an edit of ours touches or a decision needs, in the order in which they stand above."""
        return cls._make((*map(ksr.row, _HEADERS[:number]), *(None,) * (len(_HEADERS) - number)))

    def of(self, header: str) -> Sequence[str]:
        """The rows of one header, as the library asks for them."""
        place = _PLACES.get(header)
        value = None if place is None else self[place]
        return () if value is None else (value,)


_HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow")
_PLACES = {header: place for place, header in enumerate(_HEADERS)}


class _Once(Generic[_Result]):
    """A property that is read once: `functools.cached_property` of Python 3.11 takes a lock each time."""

    def __init__(self, read: Callable[[Any], _Result]) -> None:
        self._read = read
        self._name = read.__name__
        self.__doc__ = read.__doc__

    def __get__(self, message: Any, owner: type) -> _Result:  # noqa: ANN401 - whatever class has it
        value = self._read(message)
        message.__dict__[self._name] = value  # found there from now on, before this
        return value


class Message:
    """A request or a response: each fact is read from Kamailio when it is first asked for, and only then."""

    @_Once
    def method(self) -> str:
        """Of the request, or of the request that a response answers."""
        return ksr.pv("$rm")

    @_Once
    def call_id(self) -> str:
        return ksr.pv("$ci")

    @_Once
    def from_tag(self) -> str:
        return ksr.pv("$ft")

    @_Once
    def to_tag(self) -> str:
        """Empty in a request that begins a dialog."""
        return ksr.pv("$tt")

    @_Once
    def cseq(self) -> int:
        """The number in CSeq, as far as a record holds it (RFC 3261 8.1.1.5: less than 2**31)."""
        # Of a number that is far too large Python reads no more than 4300 digits, without a fault of ours.
        return min(int(ksr.pv("$cs").lstrip("0")[:11] or 0), LARGEST_INTERVAL)

    @_Once
    def source(self) -> str:
        """The address that the message came from."""
        return ksr.pv("$si")

    @_Once
    def from_domain(self) -> str:
        return ksr.pv("$fd")

    @_Once
    def peer_name(self) -> str:
        """What the script calls the peer; empty if it does not say."""
        return branch_memory.peer_name()

    @_Once
    def record(self) -> Record | None:
        """The record of a request's dialog as it stood when the request came; None outside a dialog.

        Of one that cannot be read the response tells.
        """
        return Records().read(self.dialog, log=False) if self.to_tag else None

    @_Once
    def rows(self) -> Rows:
        return Rows.read()

    @property
    def dialog(self) -> str:
        """The key of the dialog's record."""
        return key(self.call_id, self.from_tag, self.to_tag)


class InHand:
    """Remembers the last request that was read, so that its branch route need not read it again.

    Each process of Kamailio routes one message at a time. A failure route may hold the copy of a request
    that another process received under the same number: hence the length and the Call-ID.
    """

    def __init__(self) -> None:
        self._message: Message | None = None
        self._mark: tuple[str, str] = ("", "")

    def read(self) -> Message:
        """A message that has just come in."""
        self._message = None
        return Message()

    def remember(self, message: Message) -> None:
        """The branch route of this request is to start from what has been read of it."""
        self._mark = ksr.pv("$mi"), ksr.pv("$ml")
        self._message = message

    def again(self) -> Message:
        """The request that is being relayed: as it was read in the request route, if it was."""
        known, self_mark = self._message, self._mark
        if known is None or (ksr.pv("$mi"), ksr.pv("$ml")) != self_mark:
            return Message()
        call_id = ksr.pv("$ci")
        return known if known.call_id == call_id else Message()


def remembered(decide: Callable[[Rows, *_Facts], _Result]) -> Callable[[Rows, *_Facts], _Result]:
    """Keep the results of a pure decision: the messages of one peer say the same, call after call.

    A worker of Kamailio comes to each message with cold caches, where looking a decision up costs a
    small part of making it.
    """
    known = lru_cache(_MOST_REMEMBERED)(decide)

    @wraps(decide)
    def decided(rows: Rows, *facts: *_Facts) -> _Result:
        if sum(map(len, filter(None, rows))) > _LONGEST_REMEMBERED:
            return decide(rows, *facts)
        return known(rows, *facts)

    return decided
