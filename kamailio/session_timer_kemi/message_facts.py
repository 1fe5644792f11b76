"""The message in hand: its identifiers, where it comes from, and the header rows that session timers read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import NamedTuple, TypeVar, TypeVarTuple

from session_timer import LARGEST_INTERVAL, HeaderError, Record, Side, dialog_oddities
from session_timer.record import key

from . import ksr
from .memory.branch_memory import PEER_NAME
from .memory.records import Records

_Facts = TypeVarTuple("_Facts")
_Result = TypeVar("_Result")

REFRESHES = ("INVITE", "UPDATE")

_MOST_REMEMBERED = 512
LONGEST_REMEMBERED = 1024
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
        return cls._make(ksr.rows(_HEADERS))

    def of(self, header: str) -> Sequence[str]:
        """The rows of one header, as the library asks for them."""
        place = _PLACES.get(header)
        value = None if place is None else self[place]
        return () if value is None else (value,)


_HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow")
_PLACES = {header: place for place, header in enumerate(_HEADERS)}


class Form(NamedTuple):
    """How To and Contact of a message within a dialog are written."""

    oddities: tuple[str, ...] = ()
    """What the grammar forbids although its meaning is certain, for the log."""
    uncertain: HeaderError | None = None
    """Why its dialog is not certain."""

    @classmethod
    def of(cls, to: str, contact: str) -> Form:
        """Of the message with these headers; empty for one that is absent."""
        try:
            return cls(dialog_oddities(to, contact))
        except HeaderError as error:
            return cls(uncertain=error)


_FORM = ("$hdr(To)", "$hdr(Contact)")


def read_2xx(*, of_asterisk: bool) -> tuple[Rows | None, Form]:
    """The rows of a 2xx; None where Kamailio cannot parse its headers, in which every 2xx has a CSeq.

    Of Asterisk's only those that an edit of ours touches: what it allows is none of our business.
    """
    if of_asterisk:
        (cseq, *values), form = _OF_ASTERISK.read()[1], Form()
    else:
        written, (cseq, *values) = _OF_PEERS.read()
        form = Form.of(*written)
    return None if cseq is None else Rows(*values), form


_OF_ASTERISK = ksr.AtOnce((), ("CSeq", *_HEADERS[:4]))
_OF_PEERS = ksr.AtOnce(_FORM, ("CSeq", *_HEADERS))


def cseq(number: str) -> int:
    """The number in CSeq, as far as a record holds it (RFC 3261 8.1.1.5: less than 2**31)."""
    # Of a number that is far too large Python reads 4300 digits at most: that is no fault of ours.
    return min(int(number.lstrip("0")[:11] or 0), LARGEST_INTERVAL)


class Request(NamedTuple):
    """An INVITE or UPDATE, read at once."""

    method: str
    call_id: str
    from_tag: str
    to_tag: str
    """Empty in a request that begins a dialog."""
    cseq: int
    """The number in CSeq."""
    source: str
    """The address that it came from."""
    from_domain: str
    peer_name: str
    """What the script calls the peer; empty if it does not say."""
    rows: Rows
    record: Record | None
    """The record of the dialog as it stood when the request came; None outside a dialog.

    Of one that cannot be read the response tells.
    """
    form: Form
    """Of a request of the peer's within a dialog."""

    @classmethod
    def read(cls, method: str) -> Request:
        """The one that is being routed."""
        values, rows = _OF_REQUESTS.read()
        call_id, from_tag, to_tag, number, source, from_domain, peer_name, to, contact = values
        record = Records().read(key(call_id, from_tag, to_tag), log=False) if to_tag else None
        ours = record is not None and record.sender(from_tag) is Side.LOCAL
        return cls(
            method=method,
            call_id=call_id,
            from_tag=from_tag,
            to_tag=to_tag,
            cseq=cseq(number),
            source=source,
            from_domain=from_domain,
            peer_name=peer_name,
            rows=Rows(*rows),
            record=record,
            form=Form.of(to, contact) if to_tag and not ours else Form(),
        )

    @property
    def dialog(self) -> str:
        """The key of the dialog's record."""
        return key(self.call_id, self.from_tag, self.to_tag)


_OF_REQUESTS = ksr.AtOnce(("$ci", "$ft", "$tt", "$cs", "$si", "$fd", f"$avp({PEER_NAME})", *_FORM), _HEADERS)


class InHand:
    """Remembers the last request that was read, so that its branch routes need not read it again.

    Each process of Kamailio routes one message at a time. A failure route may hold the copy of a request
    that another process received under the same number: hence the length and the Call-ID.
    """

    def __init__(self) -> None:
        self._request: Request | None = None
        self._mark = ["", "", ""]

    def read(self, method: str) -> Request:
        """A request that has just come in."""
        self._request = None
        request = Request.read(method)
        self._mark = [*ksr.pvs("$mi", "$ml"), request.call_id]
        self._request = request
        return request

    def again(self, method: str) -> Request:
        """The request that is being relayed: as it was read in the request route, if it was."""
        known = self._request
        if known is not None and ksr.pvs("$mi", "$ml", "$ci") == self._mark:
            return known
        return Request.read(method)


def remembered(decide: Callable[[Rows, *_Facts], _Result]) -> Callable[[Rows, *_Facts], _Result]:
    """Keep the results of a pure decision: the messages of one peer say the same, call after call.

    A worker of Kamailio comes to each message with cold caches, where looking a decision up costs a
    small part of making it.
    """
    known = lru_cache(_MOST_REMEMBERED)(decide)

    @wraps(decide)
    def decided(rows: Rows, *facts: *_Facts) -> _Result:
        if sum(map(len, filter(None, rows))) > LONGEST_REMEMBERED:
            return decide(rows, *facts)
        return known(rows, *facts)

    return decided
