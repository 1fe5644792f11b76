"""Who may ask for what over HTTP. Decided on what a request says of itself; `server.py` obeys."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

OPEN = frozenset({"/", "/healthz", "/readyz"})
"""Pages without a token: the page has no data in it, and health checks rarely have a place for one."""

CHANGES_NOTHING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is not served: the status (RFC 9110) and a line for whoever asked."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """What guards the pages."""

    token: str | None = None
    """What a request must bring; None: whoever reaches the socket may ask."""
    names: frozenset[str] = frozenset({"localhost"})
    """Names that a request may call us by. An address is always one: a page of somebody else's that makes a
    browser ask us (DNS rebinding) has a name."""

    @classmethod
    def of(cls, token: str | None, names: Iterable[str]) -> Access:
        """With `localhost` among the names."""
        return cls(token, frozenset({"localhost", *(name.lower().rstrip(".") for name in names)}))

    def authorized(self, headers: Mapping[str, str]) -> bool:
        """Whether the request brings the token, or none is asked for."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self.token.encode())
        return scheme.lower() == "bearer" and same

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why this request is not served; None: it is."""
        host = headers.get("Host")
        if host is not None and not self._is_ours(host):
            return Refusal(
                421, "this companion has another name: companion.http.hosts lists those it goes by"
            )
        if path not in OPEN and not self.authorized(headers):
            return Refusal(
                401, "a token is needed (Authorization: Bearer ...): companion.http.token_file has it"
            )
        if method not in CHANGES_NOTHING and not _of_our_own_page(headers, host):
            # A page of somebody else's, in the browser of somebody who may.
            return Refusal(403, "not from a web page of another origin")
        return None

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True


def _name(host: str) -> str | None:
    """The name or address in a Host header, without the port; None for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _of_our_own_page(headers: Mapping[str, str], host: str | None) -> bool:
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    if origin is None:
        return True  # no browser: those send it with each POST
    return host is not None and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())
