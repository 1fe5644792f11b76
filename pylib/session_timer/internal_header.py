"""The header between edge and Asterisk: what a companion must know of a call before it reads the record.

``X-Session-Timer: 1800;refresher=local;allow=UPDATE;rpc="udp:198.18.0.10:8090";peer="carrier-a";v=1``

It is a trust boundary: whatever of this name arrives from outside is removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .dialog import Agreement, DialogTimer, Side
from .headers import HeaderError, delta_and_params

DEFAULT_NAME = "X-Session-Timer"
VERSION = "1"

_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InternalHeader:
    """What the edge tells Asterisk, and through it the companion, of one dialog."""

    agreement: Agreement | None
    """None: no session timer is running (``0;refresher=none``)."""
    peer_allows_update: bool = False
    rpc: str = ""
    """Where the edge answers JSON-RPC, ``udp:<address>:<port>``."""
    peer: str = ""
    """The name of the peer's profile."""

    @property
    def dialog(self) -> DialogTimer:
        return DialogTimer(self.agreement, peer_allows_update=self.peer_allows_update)

    def encode(self) -> str:
        agreed = self.agreement
        parts = [str(agreed.interval), f"refresher={agreed.refresher}"] if agreed else ["0", "refresher=none"]
        if agreed and agreed.one_sided:
            parts.append("one-sided")
        parts.append(f"allow={'UPDATE' if self.peer_allows_update else 'INVITE'}")
        parts += [
            f'{name}="{_escaped(value)}"' for name, value in (("rpc", self.rpc), ("peer", self.peer)) if value
        ]
        return ";".join((*parts, f"v={VERSION}"))

    @classmethod
    def decode(cls, value: str) -> InternalHeader:
        """Read the header's value. Raises `HeaderError` for anything that is not ours."""
        interval, params = delta_and_params(DEFAULT_NAME, value)
        given = {name: text for _, name, text in params}
        if given.get("v") != VERSION:
            raise HeaderError(DEFAULT_NAME, value, f"version {given.get('v')!r}, this code reads {VERSION}")
        refresher = given.get("refresher", "")
        if refresher not in ("local", "remote", "none") or (refresher == "none") != (interval == 0):
            raise HeaderError(DEFAULT_NAME, value, "expected an interval and refresher=local, remote or none")
        agreement = Agreement(interval, Side(refresher), "one-sided" in given) if interval else None
        return cls(
            agreement=agreement,
            peer_allows_update=given.get("allow") == "UPDATE",
            rpc=_unquoted(given.get("rpc", "")),
            peer=_unquoted(given.get("peer", "")),
        )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return _PAIR.sub(r"\1", value[1:-1])
