"""What an operator wants of session timers with one peer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .headers import ABSOLUTE_MINIMUM, Role


class Mode(StrEnum):
    """How the edge stands towards a peer."""

    ANCHOR = "anchor"
    """We are the user agent of RFC 4028 sections 7 and 9, on behalf of an Asterisk."""
    PROXY = "proxy"
    """We are the proxy of section 8: both ends run their own timers."""
    WATCH = "watch"
    """The endpoint runs its own timers: nothing is refreshed for it, and the edge is a proxy towards it."""


class ExpiryAction(StrEnum):
    """What follows when a session has expired."""

    HANG_UP = "hang_up"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that hold for one peer; every time is in seconds."""

    enabled: bool = True
    default_expires: int = 1800
    """The session interval we ask for (RFC 4028 section 4 recommends 1800)."""
    min_se: int = ABSOLUTE_MINIMUM
    """Our own minimum timer: shorter requests are answered 422."""
    max_expires: int | None = None
    """A longer interval is reduced to this (RFC 4028 8.1 and 9 allow it); None leaves it."""
    prefer_refresher: Role = Role.UAC
    """Our choice where the RFC leaves it to us (Table 2, fourth row)."""
    offer_refresher: bool = False
    """Name that choice in an initial INVITE too; RFC 4028 7.1 recommends leaving it open."""
    use_update: bool = True
    """Refresh by UPDATE where the peer allows it (RFC 4028 7.4), else by re-INVITE."""
    request_timer: bool = True
    """Ask for a session timer where nobody else did."""
    require_timer: bool = False
    """Put ``timer`` into Require of our requests; not recommended (RFC 4028 7.1)."""
    proxy_require_timer: bool = False
    """Put ``timer`` into Proxy-Require of our requests; not recommended (RFC 4028 7.1)."""
    one_sided: bool = True
    """Refresh alone where the peer knows no session timers (RFC 4028 7.2), so that its death is seen."""
    raise_small_interval: bool = False
    """As UAS, raise a too small interval where the UAC lacks support (erratum 1687, held)."""
    mode: Mode = Mode.ANCHOR
    expiry: ExpiryAction = ExpiryAction.HANG_UP
    expiry_guard: int | None = None
    """How long before expiration a silent peer is given up, a third of the interval at most; None: 32."""
    probe: bool = True
    """Send a refresh of our own before giving a silent peer up."""
    hang_up_refused: bool = False
    """Hang up a peer that answers, but refuses every refresh; off, because an answer is a sign of life."""
    floor: int = ABSOLUTE_MINIMUM
    """The absolute minimum in force: 90, lower only in a lab."""

    def guard(self, interval: float) -> float:
        """Seconds before the expiration at which a silent peer is given up (RFC 4028 section 10)."""
        wanted = 32.0 if self.expiry_guard is None else float(self.expiry_guard)
        return min(wanted, interval / 3)
