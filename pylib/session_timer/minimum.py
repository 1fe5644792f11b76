"""The minimum timer: a UAS (RFC 4028 section 9) and a proxy (8.1) answer 422 to an interval below it."""

from __future__ import annotations

from dataclasses import dataclass

from .config.policy import Policy
from .dialog import DialogTimer
from .message import RefreshRequest


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer the request with an error."""

    code: int
    """422, or 420 where ``timer`` is required of a peer whose profile is off."""
    min_se: int | None = None
    """Seconds, for the Min-SE of a 422 (RFC 4028 section 6)."""


def too_small(request: RefreshRequest, policy: Policy, dialog: DialogTimer | None = None) -> Reject | None:
    """Call with each INVITE and UPDATE; returns the 422 for an interval below our minimum, else None.

    A sender that does not list ``timer`` in Supported cannot understand 422 (RFC 4028 8.1, 9). The interval
    that `dialog` runs with is never too small: a minimum that grows holds for new calls.
    """
    asked = request.session_expires
    if asked is None or not request.supports_timer:
        return None
    running = dialog.agreement if dialog is not None else None
    least = policy.min_se
    if running is not None and not running.one_sided:
        least = min(least, running.interval)
    return None if asked.interval >= least else Reject(422, policy.min_se)
