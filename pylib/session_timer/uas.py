"""The UAS's decisions (RFC 4028 section 9): what to answer to an INVITE or UPDATE of the peer."""

from __future__ import annotations

from dataclasses import dataclass

from .config.policy import Policy
from .dialog import Agreement, DialogTimer, Side
from .headers import Role, SessionExpires
from .message import RefreshRequest
from .minimum import Reject, too_small


@dataclass(frozen=True, slots=True)
class Accept:
    """Put these headers on the 2xx; with the 2xx, `dialog` comes into force."""

    dialog: DialogTimer
    session_expires: SessionExpires | None = None
    """None: the 2xx carries no Session-Expires."""
    require_timer: bool = False


def answer(request: RefreshRequest, policy: Policy, dialog: DialogTimer | None = None) -> Reject | Accept:
    """Call with each INVITE and UPDATE from the peer (RFC 4028 section 9).

    `dialog` is what holds so far, None before there is one. Returns what the 2xx carries and brings into
    force, or the 422 or 420 to answer with.
    """
    if not policy.enabled:
        return Reject(420) if request.requires_timer else Accept(DialogTimer())
    refusal = too_small(request, policy, dialog)
    if refusal is not None:
        return refusal

    known = remember(request, dialog or DialogTimer())
    interval = _interval(request, policy, known.agreement)
    if interval is None:
        return Accept(known.with_agreement(_alone(policy, known)))
    role = _refresher(request, policy, known.agreement)
    return Accept(
        dialog=known.with_agreement(Agreement(interval, Side.of(role, sender=Side.REMOTE))),
        session_expires=SessionExpires.of(interval, role),
        require_timer=request.supports_timer,
    )


def remember(request: RefreshRequest, dialog: DialogTimer) -> DialogTimer:
    """What we learn of the peer from its refresh request, also when we reject it (RFC 4028 7.4)."""
    seen = dialog.with_min_se(request.min_se)
    allows_update = seen.peer_allows_update if request.allows_update is None else request.allows_update
    return DialogTimer(
        seen.agreement, seen.min_se, seen.peer_supports or request.supports_timer, allows_update
    )


def _interval(request: RefreshRequest, policy: Policy, current: Agreement | None) -> int | None:
    """The interval of our 2xx in seconds; None for a 2xx without Session-Expires."""
    least = max(request.min_se or 0, policy.floor)
    if request.session_expires is None:
        if not (request.supports_timer and policy.request_timer):
            return None
        wish = policy.default_expires if current is None or current.one_sided else current.interval
        return max(wish, least)
    asked = request.session_expires.interval
    if asked < policy.floor:
        # Less than 90 seconds is not lawful, and a sender that does not claim support cannot understand 422.
        return policy.min_se if policy.raise_small_interval else None
    if asked < policy.min_se and policy.raise_small_interval:
        return policy.min_se
    if asked > policy.largest:
        return min(asked, max(policy.largest, least))
    return asked


def _refresher(request: RefreshRequest, policy: Policy, current: Agreement | None) -> Role:
    """Table 2 of RFC 4028; without support only we can refresh, whatever the request says."""
    if not request.supports_timer:
        return Role.UAS
    if request.session_expires is not None and request.session_expires.refresher is not None:
        return request.session_expires.refresher
    if current is not None and not current.one_sided:
        return current.refresher.role(sender=Side.REMOTE)
    return policy.prefer_refresher


def _alone(policy: Policy, known: DialogTimer) -> Agreement | None:
    """No timer is on the wire: refresh alone where the peer knows none, do nothing where it wants none."""
    if not policy.one_sided:
        return None
    if known.agreement is not None and policy.keep_after_bare_2xx:
        # Some stacks leave the timer out of a hold, and go on counting by what was agreed before.
        return Agreement.refreshed_alone(known.agreement.interval)
    if known.peer_supports:
        return None
    return Agreement.refreshed_alone(policy.default_expires)
