"""The proxy's decisions (RFC 4028 section 8): both ends run their own timers, we may only ask for one."""

from __future__ import annotations

from dataclasses import dataclass

from .config.policy import Policy
from .dialog import Agreement, DialogTimer, Side
from .headers import Role, SessionExpires
from .message import RefreshRequest, RefreshResponse
from .minimum import Reject, too_small


@dataclass(frozen=True, slots=True)
class Forward:
    """Change the request so before it is forwarded; None leaves a header as it is."""

    session_expires: SessionExpires | None = None
    min_se: int | None = None
    """Seconds."""
    require_timer: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered for the life of the transaction (RFC 4028 8.1)."""

    interval: int | None
    """Seconds: the Session-Expires of the request as forwarded; None if it had none."""
    uac_supports: bool
    refresher: Role | None = None
    """The refresher that the request named."""


def forward(
    request: RefreshRequest, policy: Policy, dialog: DialogTimer | None = None, *, insist: bool = False
) -> Reject | tuple[Forward, Remembered]:
    """Call with each INVITE and UPDATE before it is forwarded (RFC 4028 8.1).

    `dialog` is what holds so far, None before there is one. Returns what to change and what to remember, or
    the 422 to answer with. `insist` adds ``Require: timer`` where the UAC lacks support (8.1, MAY).
    """
    asked = request.session_expires
    if not policy.enabled:
        return Forward(), Remembered(None, request.supports_timer)
    refusal = too_small(request, policy, dialog)
    if refusal is not None:
        return refusal

    min_se = request.min_se
    if asked is not None and not request.supports_timer and asked.interval < policy.min_se:
        min_se = max(min_se or 0, policy.min_se)
    least = max(min_se or 0, policy.floor)
    if asked is None:
        interval = max(policy.default_expires, least) if policy.request_timer else None
    elif asked.interval < least:
        interval = least
    elif policy.max_expires is not None and asked.interval > policy.max_expires:
        # Only on the operator's word: a default of ours binds no two ends with timers of their own.
        interval = min(asked.interval, max(policy.max_expires, least))
    else:
        interval = asked.interval

    changed = None
    if interval is not None and (asked is None or interval != asked.interval):
        changed = SessionExpires.of(interval) if asked is None else asked.with_interval(interval)
    return (
        Forward(
            session_expires=changed,
            min_se=min_se if min_se != request.min_se else None,
            require_timer=insist and interval is not None and not request.supports_timer,
        ),
        Remembered(interval, request.supports_timer, asked.refresher if asked else None),
    )


@dataclass(frozen=True, slots=True)
class Complete:
    """Put these headers on the forwarded 2xx; with it, `dialog` comes into force."""

    dialog: DialogTimer
    session_expires: SessionExpires | None = None
    """None: the 2xx passes as it is."""

    @property
    def require_timer(self) -> bool:
        """``timer`` goes into Require exactly where we completed the 2xx (RFC 4028 8.2)."""
        return self.session_expires is not None


def complete(
    asked: Remembered, response: RefreshResponse, sender: Side, dialog: DialogTimer | None = None
) -> Complete:
    """Call with each final response before it is forwarded (RFC 4028 8.2).

    `sender` is the side that sent the request. Only a 2xx changes anything. A Session-Expires that cannot be
    read is left as it is, and no second one is added. In a proxy `Side.LOCAL` and `Side.REMOTE` are only
    names for the two ends of the dialog.
    """
    known = dialog or DialogTimer()
    if not response.is_success:
        return Complete(known)
    shown = response.session_expires
    if shown is not None:
        role = shown.refresher or asked.refresher or Role.UAC
        return Complete(known._replace(agreement=Agreement(shown.interval, Side.of(role, sender))))
    if asked.interval is None or not asked.uac_supports or response.malformed:
        return Complete(known._replace(agreement=None))
    return Complete(
        known._replace(agreement=Agreement(asked.interval, sender)),
        SessionExpires.of(asked.interval, Role.UAC),
    )
