"""The UAC's decisions (RFC 4028 section 7): what our INVITE or UPDATE carries and what its response means."""

from __future__ import annotations

from dataclasses import dataclass

from .config.policy import LARGEST, Policy
from .dialog import Agreement, DialogTimer, Side
from .headers import ABSOLUTE_MINIMUM, Role, SessionExpires
from .message import RefreshResponse

WITHOUT_SUPPORT = ("ACK",)
"""Methods whose requests do not carry ``Supported: timer`` (RFC 4028 7.1)."""

MOST_422_RETRIES = 5
"""Every retry needs a larger Min-SE than the one before; a path that goes on growing it is broken."""


@dataclass(frozen=True, slots=True)
class TimerHeaders:
    """What our INVITE or UPDATE carries in addition to ``Supported: timer`` (RFC 4028 7.1 and 7.4)."""

    session_expires: SessionExpires | None = None
    min_se: int | None = None
    """Seconds."""
    require_timer: bool = False
    proxy_require_timer: bool = False


def shows_support(method: str, policy: Policy) -> bool:
    """Whether our request of this method carries ``Supported: timer`` (RFC 4028 7.1)."""
    return policy.enabled and method not in WITHOUT_SUPPORT


def request(
    policy: Policy, dialog: DialogTimer | None = None, told_min_se: int | None = None
) -> TimerHeaders:
    """Call with each INVITE and UPDATE of ours; returns its timer headers (RFC 4028 7.1, 7.4).

    `dialog` is None before there is one. Then `told_min_se` is the largest Min-SE, in seconds, of the 422
    responses to this call so far, or of earlier ones from this destination.
    """
    if not policy.enabled:
        return TimerHeaders()
    agreed = dialog.agreement if dialog is not None else None
    if dialog is None or (agreed is None and not dialog.peer_supports) or (agreed and agreed.one_sided):
        known_min_se = told_min_se if dialog is None else dialog.min_se
        min_se = max(policy.min_se, known_min_se or 0)
        shown = min_se if known_min_se is not None or policy.min_se > ABSOLUTE_MINIMUM else None
        expires = None
        if policy.request_timer:
            wish = agreed.interval if agreed else policy.default_expires
            role = policy.prefer_refresher if dialog is None and policy.offer_refresher else None
            if agreed:
                role = Role.UAC
            expires = SessionExpires.of(max(wish, min_se), role)
        return TimerHeaders(expires, shown, policy.require_timer, policy.proxy_require_timer)
    # Where a Min-SE is due at all, it is not below our own minimum (RFC 4028 7.4, MAY).
    shown = None if dialog.min_se is None else max(dialog.min_se, policy.min_se)
    expires = None
    if agreed is not None:
        role = agreed.refresher.role(sender=Side.LOCAL)
        expires = SessionExpires.of(max(agreed.interval, shown or policy.floor), role)
    return TimerHeaders(expires, shown, policy.require_timer, policy.proxy_require_timer)


def accept(
    sent: TimerHeaders, response: RefreshResponse, policy: Policy, dialog: DialogTimer | None = None
) -> DialogTimer:
    """Call with each 2xx to an INVITE or UPDATE of ours; returns what it brings into force (RFC 4028 7.2).

    `sent` is what the request carried, `dialog` what held so far, None before there is one.
    """
    if not policy.enabled:
        return DialogTimer()
    known = dialog or DialogTimer()
    asked = sent.session_expires
    shown = response.session_expires
    supports = known.peer_supports or response.supports_timer or (shown is not None and asked is None)
    agreement: Agreement | None = None
    if shown is not None:
        role = shown.refresher or (asked.refresher if asked else None) or Role.UAC
        # A peer may name 136 years. To refresh or to look once a day breaks no rule.
        most = max(LARGEST, policy.largest)
        agreement = Agreement(min(shown.interval, most), Side.of(role, sender=Side.LOCAL))
        # Only an end that knows timers takes the refreshing on itself: a proxy completes with uac (8.2).
        supports = supports or role is Role.UAS
    elif known.agreement is not None and _goes_on(known.agreement, response, policy):
        agreement = Agreement.refreshed_alone(known.agreement.interval)
        supports = supports or response.requires_timer
    elif response.requires_timer:
        supports = True  # it speaks of timers and sets none: switched off
    elif not supports and policy.one_sided:
        agreement = Agreement.refreshed_alone(asked.interval if asked else policy.default_expires)
    return DialogTimer(
        agreement=agreement,
        # The Min-SE of 422 responses from before the dialog is forgotten with it (RFC 4028 7.4).
        min_se=known.min_se,
        peer_supports=supports,
        peer_allows_update=known.peer_allows_update
        if response.allows_update is None
        else response.allows_update,
    )


def _goes_on(running: Agreement, response: RefreshResponse, policy: Policy) -> bool:
    """Whether we go on alone after a refresh of ours got a 2xx without Session-Expires.

    By the letter such a 2xx switches the timer off (RFC 4028 7.2). But a peer that names ``timer`` in that
    very 2xx breaks section 9, and may still count by what was agreed: pjsip lists ``timer`` even when its
    timers are off. To go on costs one UPDATE an interval. And a peer that agreed to nothing has nothing
    to switch off.
    """
    if not policy.keep_after_bare_2xx:
        return False
    return running.one_sided or response.supports_timer or response.requires_timer


def retry_with(told: RefreshResponse, sent: TimerHeaders, retries: int) -> int | None:
    """The Min-SE, in seconds, to retry with after a 422; None if a retry is pointless (RFC 4028 7.3, 10).

    `retries` counts those already made. If the 422 has no larger Min-SE than our request had, the next one
    would get 422 again. The interval does not count: a proxy may have reduced it, and only a Min-SE of ours
    prevents that (8.1).
    """
    if told.min_se is None or retries >= MOST_422_RETRIES:
        return None
    return told.min_se if told.min_se > (sent.min_se or 0) else None


def rejected(dialog: DialogTimer, response: RefreshResponse) -> DialogTimer:
    """Call with each other final response: a 422's Min-SE is remembered, the agreement stays (7.4, 10)."""
    return dialog.with_min_se(response.min_se) if response.code == 422 else dialog
