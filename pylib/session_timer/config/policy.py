"""What an operator wants of session timers with one peer, where RFC 4028 leaves the choice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..headers import ABSOLUTE_MINIMUM, Role

LARGEST = 86400
"""Seconds: a day. The longest interval that we agree to where the settings name none."""


class Mode(StrEnum):
    """How the edge stands towards a peer."""

    ANCHOR = "anchor"
    """We are the user agent of RFC 4028 sections 7 and 9, on behalf of an Asterisk."""
    PROXY = "proxy"
    """We are the proxy of section 8: both ends run their own timers."""
    ENDPOINT_TIMERS = "endpoint_timers"
    """The endpoint runs its own timers: the edge is a proxy for it, and the companion does not refresh it."""


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
    """A longer interval is reduced to this (RFC 4028 8.1 and 9 allow it); None: to a day, `LARGEST`."""
    prefer_refresher: Role = Role.UAC
    """Our choice where the RFC leaves it to us (Table 2, fourth row)."""
    offer_refresher: bool = False
    """Name that choice in an initial INVITE too; RFC 4028 7.1 recommends leaving it open."""
    use_update: bool = True
    """Refresh by UPDATE where the peer allows it (RFC 4028 7.4), else by re-INVITE."""
    request_timer: bool = True
    """Ask for a session timer where no other element did."""
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
    """Seconds before expiration when a silent peer is hung up, a third of the interval at most; None: 32."""
    probe: bool = True
    """Send a refresh of our own before we hang a silent peer up."""
    hang_up_refused: bool = False
    """Hang up a peer that refuses every refresh; off, because a response is a sign of life."""
    keep_after_bare_2xx: bool = True
    """Go on alone where a peer that lists ``timer`` answers our refresh without Session-Expires."""
    media_is_evidence: bool = True
    """Keep a call while the peer sends media, whatever signalling says."""
    observe: bool = False
    """Report each refresh and each hang-up in place of doing it."""
    floor: int = ABSOLUTE_MINIMUM
    """The absolute minimum in force: 90, lower only in a lab."""

    @property
    def largest(self) -> int:
        """The longest session interval that we agree to, in seconds."""
        return LARGEST if self.max_expires is None else self.max_expires

    def guard(self, interval: float) -> float:
        """How many seconds before the expiration we give a silent peer up (RFC 4028 section 10)."""
        wanted = 32.0 if self.expiry_guard is None else float(self.expiry_guard)
        return min(wanted, interval / 3)

    def lasting(self, interval: float) -> float:
        """Seconds after which a session of this interval expires; never below `floor`."""
        return max(interval, float(self.floor))

    def answer_time(self, interval: float) -> float:
        """Seconds that a refresh of ours waits for its first response.

        A path may swallow UPDATE. So the edge ends the wait after this time, and the companion still has time
        for another form before `guard`, at an interval of 90 seconds as well as of 1800.
        """
        lasting = self.lasting(interval)
        window = lasting - self.guard(lasting) - lasting / 2
        return max(min(2.0, lasting / 6), min(12.0, 0.45 * window))

    def ringing_time(self, interval: float) -> float:
        """Seconds that a re-INVITE of ours waits for its final response once a provisional one has come."""
        return max(self.answer_time(interval), min(30.0, self.lasting(interval) / 6))
