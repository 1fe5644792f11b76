"""The header between edge and Asterisk: what a companion must know of a call before it reads the record.

``1800;refresher=local;allow=UPDATE;edge=e1;peer=carrier-a;placed=remote;v=2;call=<Call-ID>;tag=<hex>;sig=<hex>``

The edge removes every row of this name that comes from outside, but nothing hangs on that: two parsers never
agree on every byte. The signature covers the whole value and the Call-ID. So a reader believes a row only if
a program with the key wrote it for this very call.

Topology hiding may give Asterisk another Call-ID than the edge has in its routes and in the record's key. So
the row says the edge's. A reader that knows the call by another one compares the peer's tag, which stays.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from .dialog import Agreement, DialogTimer, Side
from .headers import HeaderError, delta_and_params
from .shared_key import SharedKey

DEFAULT_NAME = "X-Session-Timer"
VERSION = "2"

_PURPOSE = "internal header"
_SIGNED_BY = ";sig="
_LONGEST_CALL_ID = 256
"""Characters of a Call-ID that is repeated: the header stays small, whatever a peer sends."""
_TAG_BYTES = 6

_is_plain = re.compile(r"[A-Za-z0-9_.~@-]*+").fullmatch


class InternalHeader(NamedTuple):
    """What the edge says of one dialog; the companion reads it through Asterisk."""

    agreement: Agreement | None
    """None: no session timer is running (``0;refresher=none``)."""
    peer_allows_update: bool = False
    edge: str = ""
    """The name of the edge that keeps the record; the companion's configuration has its address."""
    peer: str = ""
    """The name of the peer's profile."""
    placed: Side | None = None
    """Whose INVITE began the dialog; None if the edge does not know."""
    call_id: str = ""
    """The Call-ID that the edge has, where the reader has another one; empty: both have the same."""

    @property
    def dialog(self) -> DialogTimer:
        """The dialog's timer, with what the header has of it."""
        return DialogTimer(self.agreement, peer_allows_update=self.peer_allows_update)

    def encode(self, key: SharedKey, call_id: str, peer_tag: str = "") -> str:
        """The header's value, signed for the call with this Call-ID.

        `peer_tag` is the tag of the peer's end. With it the row can be read where topology hiding has changed
        the Call-ID; without it, or where the Call-ID is longer than 256 characters, only by the same Call-ID.
        """
        text = _text(self)
        if peer_tag and 0 < len(call_id) <= _LONGEST_CALL_ID:
            text = f"{text};call={_quoted(call_id)};tag={_digest(peer_tag)}"
        return text + _SIGNED_BY + key.signature(_PURPOSE, call_id, text)

    @classmethod
    def decode(cls, value: str, key: SharedKey, call_id: str, peer_tag: str = "") -> InternalHeader:
        """Read a row of the call that the reader knows by this Call-ID and this tag of the peer's end.

        Raises `HeaderError` if it is not signed with this key for this call, or is of another version.
        """
        text, _, signature = value.strip().rpartition(_SIGNED_BY)
        own = ""
        if not key.verifies(signature, _PURPOSE, call_id, text):
            own = _own_call_id(text, peer_tag)
            if not own or not key.verifies(signature, _PURPOSE, own, text):
                raise HeaderError(DEFAULT_NAME, value, "is not signed with our key for this call")
        interval, params = delta_and_params(DEFAULT_NAME, text)
        given = {name: value for _, name, value in params}
        if given.get("v") != VERSION:
            raise HeaderError(DEFAULT_NAME, value, f"version {given.get('v')!r}, this code reads {VERSION}")
        refresher = given.get("refresher", "")
        if refresher not in ("local", "remote", "none") or (refresher == "none") != (interval == 0):
            raise HeaderError(DEFAULT_NAME, value, "expected an interval and refresher=local, remote or none")
        placed = given.get("placed", "")
        if placed not in ("", "local", "remote"):
            raise HeaderError(DEFAULT_NAME, value, "expected placed=local or placed=remote")
        return cls(
            agreement=Agreement(interval, Side(refresher), "one-sided" in given) if interval else None,
            peer_allows_update=given.get("allow") == "UPDATE",
            edge=_unquoted(given.get("edge", "")),
            peer=_unquoted(given.get("peer", "")),
            placed=Side(placed) if placed else None,
            call_id=own,
        )


@lru_cache(256)
def _text(header: InternalHeader) -> str:
    """The value without its signature: the same for one call of a peer after the other."""
    agreed = header.agreement
    parts = [str(agreed.interval), f"refresher={agreed.refresher}"] if agreed else ["0", "refresher=none"]
    if agreed and agreed.one_sided:
        parts.append("one-sided")
    parts.append(f"allow={'UPDATE' if header.peer_allows_update else 'INVITE'}")
    named = (("edge", header.edge), ("peer", header.peer), ("placed", header.placed or ""))
    parts += [f"{name}={_quoted(value)}" for name, value in named if value]
    return ";".join((*parts, f"v={VERSION}"))


def _own_call_id(text: str, peer_tag: str) -> str:
    """The Call-ID that the edge has, of a row whose peer has this tag; empty: the row does not say it."""
    given = dict([part.partition("=")[::2] for part in text.split(";")])
    if not peer_tag or given.get("tag") != _digest(peer_tag):
        return ""
    return _unquoted(given.get("call", ""))


def _digest(tag: str) -> str:
    """Enough of a tag to tell calls apart, in few characters."""
    return hashlib.blake2s(tag.encode("utf-8", "surrogateescape"), digest_size=_TAG_BYTES).hexdigest()


# pjsip ends a row at "&" and at a lone CR, others at a quote they do not like: a name has none of these.
def _quoted(name: str) -> str:
    # `quote` takes several times as long, and a Call-ID is another one with each call.
    return name.replace("@", "%40") if _is_plain(name) else quote(name, safe="", errors="surrogateescape")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogateescape")
